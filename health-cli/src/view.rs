//! The state of `watch`: the current rows, and the rows that have changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use anstyle::Style;
use health_core::Status;

use crate::row::{Row, without_digits};
use crate::subject::Reading;
use crate::{screen, table};

pub(crate) struct View {
    /// The subject as a row: healthy, unhealthy, or the reason why it does not respond.
    whole: Row,
    rows: Vec<Row>,
    /// The time when a row got its status, if `watch` has seen the change.
    since: BTreeMap<String, Instant>,
    last_answer: Option<Instant>,
    last_look: Option<SystemTime>,
}

impl View {
    pub(crate) fn new(place: &str) -> Self {
        let whole = Row {
            is_plain: true,
            name: place.to_owned(),
            ..Row::from_response(place, "not looked at yet")
        };
        Self {
            whole,
            rows: Vec::new(),
            since: BTreeMap::new(),
            last_answer: None,
            last_look: None,
        }
    }

    /// Stores the result of a read, and returns the rows that have changed.
    pub(crate) fn take(&mut self, seen: Result<Reading, String>) -> Vec<Row> {
        self.last_look = Some(SystemTime::now());
        let (status, text) = match &seen {
            Ok(sight) if sight.is_healthy => (Status::Working, "healthy"),
            Ok(_) => (Status::Unavailable, "unhealthy"),
            Err(why) => (Status::Unavailable, &**why),
        };
        let whole = Row {
            is_plain: true,
            status,
            text: text.to_owned(),
            ..self.whole.clone()
        };
        let mut changed = Vec::new();
        if without_digits(&whole.text) != without_digits(&self.whole.text) {
            changed.push(whole.clone());
        }
        self.whole = whole;
        if let Ok(sight) = seen {
            self.last_answer = Some(Instant::now());
            changed.extend(self.replace(sight.rows.unwrap_or_default()));
        }
        changed
    }

    fn replace(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let mut before: BTreeMap<_, _> = self
            .rows
            .drain(..)
            .map(|row| (row.name.clone(), row))
            .collect();
        let mut changed = Vec::new();
        for row in &rows {
            let old = before.remove(&row.name);
            if old.as_ref().is_some_and(|old| old.status != row.status) {
                self.since.insert(row.name.clone(), Instant::now());
            }
            if old.is_none_or(|old| {
                old.status != row.status || without_digits(&old.text) != without_digits(&row.text)
            }) {
                changed.push(row.clone());
            }
        }
        for gone in before.into_values() {
            self.since.remove(&gone.name);
            changed.push(Row {
                is_plain: true,
                status: Status::Unknown,
                text: "gone".into(),
                ..gone
            });
        }
        self.rows = rows;
        changed
    }

    /// Formats the view for the width of the terminal.
    pub(crate) fn text(&self, interval: Duration) -> String {
        let bold = Style::new().bold();
        let style = self.whole.style();
        let looked = self
            .last_look
            .map(|time| format!("{}, ", humantime::format_rfc3339_seconds(time)));
        let mut text = format!(
            "{bold}{}{bold:#}  {style}{}{style:#}  {}every {}",
            self.whole.name,
            self.whole.text,
            looked.unwrap_or_default(),
            humantime::format_duration(interval)
        );
        if let Some(answer) = self
            .last_answer
            .filter(|_| !matches!(&*self.whole.text, "healthy" | "unhealthy"))
        {
            let _ = write!(
                text,
                "; the last answer is {} old",
                table::age(answer.elapsed())
            );
        }
        if !self.rows.is_empty() {
            let mut rows = table::of_rows(&self.rows, |row| {
                self.since.get(&row.name).map(Instant::elapsed)
            });
            rows.set_width(screen::size().0);
            let _ = write!(text, "\n\n{}", rows.trim_fmt());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(is_healthy: bool, rows: &[(&str, &str)]) -> Reading {
        Reading::new(
            is_healthy,
            rows.iter()
                .map(|(name, text)| Row::from_response(name, text))
                .collect(),
        )
    }

    fn told(changes: &[Row]) -> Vec<(&str, &str)> {
        changes.iter().map(|row| (&*row.name, &*row.text)).collect()
    }

    #[test]
    fn a_change_is_told_once() {
        let mut view = View::new("here");
        let first = view.take(Ok(sight(
            true,
            &[("a", "working"), ("b", "warning: 3 left")],
        )));
        assert_eq!(
            told(&first),
            [
                ("here", "healthy"),
                ("a", "working"),
                ("b", "warning: 3 left")
            ]
        );
        assert!(
            view.take(Ok(sight(
                true,
                &[("a", "working"), ("b", "warning: 2 left")]
            )))
            .is_empty()
        );
        let worse = view.take(Ok(sight(
            false,
            &[("b", "unavailable: 2 left"), ("c", "working")],
        )));
        assert_eq!(
            told(&worse),
            [
                ("here", "unhealthy"),
                ("b", "unavailable: 2 left"),
                ("c", "working"),
                ("a", "gone")
            ]
        );
        assert_eq!(
            told(&view.take(Err("connection refused".into()))),
            [("here", "connection refused")]
        );
        assert!(view.take(Err("connection refused".into())).is_empty());
        let back = view.take(Ok(sight(
            false,
            &[("b", "unavailable: 2 left"), ("c", "working")],
        )));
        assert_eq!(told(&back), [("here", "unhealthy")]);
    }

    #[test]
    fn the_table_shows_how_long_what_has_changed_is_so() {
        let mut view = View::new("here");
        let text = |view: &View| {
            let text = anstream::adapter::strip_str(&view.text(Duration::from_secs(2))).to_string();
            text.lines()
                .map(str::trim_end)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(text(&view), "here  not looked at yet  every 2s");
        view.take(Ok(sight(true, &[("a", "working")])));
        assert!(
            text(&view).ends_with("Z, every 2s\n\ncheck  status   message\na      working"),
            "{}",
            text(&view)
        );
        view.take(Ok(sight(false, &[("a", "unavailable: no")])));
        let table = "\n\ncheck  status       for  message\na      unavailable  0s   no";
        assert!(
            text(&view).starts_with("here  unhealthy  ") && text(&view).ends_with(table),
            "{}",
            text(&view)
        );
        view.take(Err("connection refused".into()));
        assert!(
            text(&view).contains("every 2s; the last answer is 0s old\n\n"),
            "{}",
            text(&view)
        );
    }
}
