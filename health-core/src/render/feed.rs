//! Code that the two feeds share: their entries, with ids and dates that are the same in every
//! response, and their XML.

use std::cmp::Reverse;
use std::fmt;
use std::time::SystemTime;

use quick_xml::se::Serializer;
use serde::Serialize;
use uuid::Uuid;

use crate::{CheckReport, Report, Status};

/// The author of the feeds.
pub(super) const AUTHOR: &str = "Health check";
/// The URL of the page, relative to any feed, because neither the host nor the token is known here.
pub(super) const PAGE: &str = "?format=html";
/// The namespace of the ids. Any UUID works, as long as it never changes.
const NAMESPACE: Uuid = Uuid::from_u128(0x19d9_bf5e_751d_41dc_9f34_1998_0eff_0155);

/// A check that is not working, as an entry of a feed.
pub(super) struct Entry<'a> {
    pub(super) row: &'a CheckReport,
    /// The time since when the check has its status.
    pub(super) date: SystemTime,
}

impl Entry<'_> {
    /// Returns the id of the transition. It stays the same while the failure lasts, and the next
    /// failure has another one.
    pub(super) fn id(&self) -> String {
        let since = self
            .date
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        id(&format!("{}\n{since}", self.row.identifier))
    }

    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.row.identifier, self.row.status)
    }

    pub(super) fn categories(&self) -> [&'static str; 2] {
        [
            self.row.status.as_str(),
            if self.row.critical {
                "critical"
            } else {
                "not critical"
            },
        ]
    }
}

/// Returns one entry for each check that is not working, the newest first.
pub(super) fn entries(report: &Report) -> Vec<Entry<'_>> {
    let failing = report
        .checks
        .iter()
        .filter(|row| row.status != Status::Working);
    let mut entries: Vec<_> = failing
        .map(|row| Entry {
            row,
            date: date(row, report),
        })
        .collect();
    entries.sort_by_key(|entry| Reverse(entry.date));
    entries
}

/// Returns the time of the feed's last change, which may be a recovery, because that removes an
/// entry. A redacted report has no such time.
pub(super) fn updated(report: &Report) -> SystemTime {
    let dates = report.checks.iter().map(|row| date(row, report));
    dates.max().unwrap_or(if report.redacted {
        report.generated_at
    } else {
        report.built_at
    })
}

/// Returns the time since when a row has its status. If no run has set it, this is the time of the
/// last run, or of the start of the service.
fn date(row: &CheckReport, report: &Report) -> SystemTime {
    row.since.or(row.last_run).unwrap_or(report.built_at)
}

pub(super) fn title(report: &Report) -> String {
    report.group.as_ref().map_or_else(
        || "System status".into(),
        |group| format!("System status: {group}"),
    )
}

/// Returns a permanent id for a unique name. The name can't be read from the id.
pub(super) fn id(name: &str) -> String {
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).urn().to_string()
}

/// Writes an XML document. A character that XML does not allow, not even escaped, is replaced.
pub(super) fn write_xml(document: &impl Serialize, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    let mut serializer = Serializer::new(&mut xml);
    serializer.indent(' ', 2);
    document.serialize(serializer).map_err(|_| fmt::Error)?;
    xml.push('\n');
    out.write_str(&xml.replace(is_illegal, "\u{fffd}"))
}

/// Returns `true` if XML 1.0 does not allow the character.
fn is_illegal(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r' | '\x7f')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Element<'a> {
        #[serde(rename = "@attribute")]
        attribute: &'a str,
        #[serde(rename = "$text")]
        text: &'a str,
    }

    #[test]
    fn xml_is_escaped_and_legal() {
        let hostile =
            "a<b>&\"c\"' ]]> \0\u{1b}\u{1f}\u{7f}\u{fffe}\u{ffff}\u{fffd}\u{10ffff} \t\nend";
        let mut xml = String::new();
        write_xml(
            &Element {
                attribute: hostile,
                text: hostile,
            },
            &mut xml,
        )
        .expect("a string takes everything");
        let (_, xml) = xml.split_once('\n').expect("the declaration has a line");
        let text = "a&lt;b&gt;&amp;\"c\"' ]]&gt; ���\u{7f}���\u{10ffff} \t\nend";
        let attribute = text
            .replace('"', "&quot;")
            .replace('\t', "&#9;")
            .replace('\n', "&#10;");
        assert_eq!(
            xml,
            format!("<Element attribute=\"{attribute}\">{text}</Element>\n")
        );
    }
}
