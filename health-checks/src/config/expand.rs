//! Expands `${VAR}`, `${VAR:-default}`, `${VAR|url}`, `${file:/path}` and `$${` in strings, after
//! the file was parsed.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::environment::is_known;
use super::table::{Document, Table};
use super::{ConfigError, Variables, variable};
use crate::support::{file, url};

pub(super) fn expand(
    document: &Document<'_>,
    root: &mut Table<'_>,
    variables: Variables<'_>,
) -> Result<(), ConfigError> {
    if let Some(checks) = root.values.get_mut("checks")
        && let DeValue::Array(checks) = checks.get_mut()
    {
        for (at, check) in checks.iter_mut().enumerate() {
            if let DeValue::Table(check) = check.get_mut() {
                let path = format!("checks[{}]", at + 1);
                drop_unused(document, check, &path, variables)?;
            }
        }
    }
    table(document, &mut root.values, "", variables)
}

/// Removes the values with variables from a check that is switched off, so that it needs none of
/// its secrets. Its kind stays, and so do the other values, which have to be valid.
fn drop_unused(
    document: &Document<'_>,
    check: &mut DeTable<'_>,
    path: &str,
    variables: Variables<'_>,
) -> Result<(), ConfigError> {
    let Some(enabled) = check.get_mut("enabled") else {
        return Ok(());
    };
    let start = enabled.span().start;
    let path = format!("{path}.enabled");
    value(document, enabled.get_mut(), start, &path, variables)?;
    let is_off = match enabled.get_ref() {
        DeValue::Boolean(on) => !on,
        DeValue::String(text) => {
            ["false", "0"].contains(&text.trim().to_ascii_lowercase().as_str())
        }
        _ => false,
    };
    if is_off {
        *check = std::mem::take(check)
            .into_iter()
            .filter(|(key, value)| key.get_ref() == "kind" || !has_variable(value.get_ref()))
            .collect();
    }
    Ok(())
}

fn has_variable(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains("${"),
        DeValue::Array(items) => items.iter().any(|item| has_variable(item.get_ref())),
        DeValue::Table(inner) => inner.iter().any(|(_, value)| has_variable(value.get_ref())),
        _ => false,
    }
}

fn table(
    document: &Document<'_>,
    values: &mut DeTable<'_>,
    path: &str,
    variables: Variables<'_>,
) -> Result<(), ConfigError> {
    for (key, entry) in values.iter_mut() {
        let path = if path.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{path}.{}", key.get_ref())
        };
        let start = entry.span().start;
        value(document, entry.get_mut(), start, &path, variables)?;
    }
    Ok(())
}

fn value(
    document: &Document<'_>,
    spanned: &mut DeValue<'_>,
    start: usize,
    path: &str,
    variables: Variables<'_>,
) -> Result<(), ConfigError> {
    match spanned {
        DeValue::String(string) if string.contains("${") => {
            let expanded = text(string, variables)
                .map_err(|message| document.error(start, path.to_owned(), message))?;
            *string = expanded.into();
        }
        DeValue::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                let start = item.span().start;
                value(
                    document,
                    item.get_mut(),
                    start,
                    &format!("{path}[{}]", at + 1),
                    variables,
                )?;
            }
        }
        DeValue::Table(inner) => table(document, inner, path, variables)?,
        _ => {}
    }
    Ok(())
}

/// Expands variables and files in a text, as in the strings of a configuration file.
///
/// ```text
/// text    = { "$${" | "${" value "}" | any other character }
/// value   = name [ "|url" ] [ ":-" default ] | "file:" path [ "|url" ]
/// name    = a letter, a digit or _, at least one
/// path    = any characters but { } | and white space at its ends
/// default = { "$${" default "}" | "${" value "}" | any other character but { and } }
/// ```
///
/// `$${` stands for `${`. A default applies if the variable is not set or empty. `|url`
/// percent-encodes the value, whatever its source. White space at both ends of a variable or a file
/// is removed, because secrets often end with a line break. An inserted value is never expanded
/// again. A variable that fills a key, such as `DATABASE_URL`, may also be in the file that the
/// variable `DATABASE_URL_FILE` names.
///
/// # Errors
/// Returns an error if a `${` does not begin a value, if a variable without a default is not set,
/// if a variable is not UTF-8, or if a file cannot be read, is empty or is longer than 1 MiB. The
/// message contains no value.
pub fn text(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let mut reader = Reader {
        rest: text,
        variables,
    };
    reader.text(false)
}

/// The part of a text that is not read yet.
struct Reader<'t, 'v> {
    rest: &'t str,
    variables: Variables<'v>,
}

impl<'t> Reader<'t, '_> {
    fn accept(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Expands up to the end, or a default up to its `}`.
    fn text(&mut self, is_default: bool) -> Result<String, String> {
        let mut text = String::new();
        while let Some(next) = self.rest.chars().next() {
            if self.accept("$${") {
                text.push_str("${");
                if is_default {
                    text.push_str(&self.text(true)?);
                    text.push('}');
                }
            } else if self.accept("${") {
                text.push_str(&self.value()?);
            } else if is_default && self.accept("}") {
                return Ok(text);
            } else if is_default && next == '{' {
                return Err(
                    "a default can't hold a { of its own: put the text into a variable".into(),
                );
            } else {
                text.push(next);
                self.rest = &self.rest[next.len_utf8()..];
            }
        }
        if is_default {
            Err(UNCLOSED.into())
        } else {
            Ok(text)
        }
    }

    /// Reads a value: the text behind `${`, with its `}`.
    fn value(&mut self) -> Result<String, String> {
        if self.accept("file:") {
            let (path, rest) = self.rest.split_once('}').ok_or(UNCLOSED)?;
            self.rest = rest;
            let (path, encode) = match path.split_once('|') {
                Some((path, "url")) => (path, true),
                Some(_) => return Err(FILTER.into()),
                None => (path, false),
            };
            let content = file(path)?;
            return Ok(if encode {
                url::encode(&content)
            } else {
                content
            });
        }
        let name = self.name();
        if name.is_empty() {
            return Err(NAME.into());
        }
        let encode = self.accept("|url");
        if encode && !self.rest.starts_with(['}', ':']) {
            return Err(FILTER.into());
        }
        let value = variable(name, self.variables)?;
        let value = if self.accept(":-") {
            let default = self.text(true)?;
            if default.ends_with("|url") {
                return Err(format!("write |url behind the name: ${{{name}|url:-...}}"));
            }
            value.filter(|value| !value.is_empty()).unwrap_or(default)
        } else if self.accept("}") {
            value.ok_or_else(|| {
                format!(
                    "the variable {name} is not set: set it, or give a default: ${{{name}:-...}}"
                )
            })?
        } else if self.rest.starts_with('|') {
            return Err(FILTER.into());
        } else if self.rest.contains('}') {
            return Err(NAME.into());
        } else {
            return Err(UNCLOSED.into());
        };
        Ok(if encode { url::encode(&value) } else { value })
    }

    fn name(&mut self) -> &'t str {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, rest) = self
            .rest
            .split_at(self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        name
    }
}

const UNCLOSED: &str = "${ without its }; write $${ for a literal one";
const NAME: &str = "${ } needs the name of a variable (letters, digits and _): ${NAME}, ${NAME:-default}, ${NAME|url} \
                    or ${file:/path}";
const FILTER: &str = "what stands behind | is not url, the only thing that may stand there";

/// Returns the text of a variable. A variable that fills a key may be in a file.
fn variable(name: &str, variables: Variables<'_>) -> Result<Option<String>, String> {
    let found = if is_known(name) {
        variable::or_file(name, variables)
    } else {
        variable::text(name, variables).map(|text| (name.to_owned(), text))
    };
    found
        .map(|(name, text)| text.map_err(|wrong| format!("the variable {name}: {wrong}")))
        .transpose()
}

fn file(path: &str) -> Result<String, String> {
    if path.trim() != path || path.is_empty() || path.contains('{') {
        return Err(
            "${file: } needs the path of a file, without { and without space at its ends".into(),
        );
    }
    let content = file::text(Path::new(path))
        .map_err(|error| format!("the file {path} can't be read: {}", file::reason(&error)))?;
    match content.trim() {
        "" => Err(format!("the file {path} is empty")),
        content => Ok(content.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(input: &str) -> Result<String, String> {
        text(input, &|name| match name {
            "HOST" => Some("db1".into()),
            "EMPTY" => Some(" ".into()),
            "SECRET" => Some("p@ss/w\n".into()),
            "TRAP" => Some("${HOST}".into()),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_files_and_literals() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " hunter@2\n").unwrap();
        for (input, output) in [
            ("plain $HOST $ {", "plain $HOST $ {"),
            ("a ${HOST} b ${HOST}", "a db1 b db1"),
            ("${NONE:-x}${HOST:-y}", "xdb1"),
            ("${EMPTY}${EMPTY:-filled}", "filled"),
            ("${NONE:-}", ""),
            ("$${HOST} costs $$", "${HOST} costs $$"),
            ("${NONE:-${HOST}}", "db1"),
            ("${NONE:-a${EMPTY:-b${NONE:-c}}d}e", "abcde"),
            ("${NONE:-$${HOST}}}", "${HOST}}"),
            (
                "${SECRET}:${SECRET|url}:${NONE|url:-a b}",
                "p@ss/w:p%40ss%2Fw:a%20b",
            ),
            ("${TRAP}${NONE:-${TRAP}}", "${HOST}${HOST}"),
            ("{\"json\": {}}", "{\"json\": {}}"),
            (&format!("${{file:{}}}", file.path().display()), "hunter@2"),
            (
                &format!("${{file:{}|url}}", file.path().display()),
                "hunter%402",
            ),
        ] {
            assert_eq!(expanded(input).as_deref(), Ok(output), "{input}");
        }
    }

    #[test]
    fn what_can_not_be_expanded_says_what_to_do() {
        for (input, message) in [
            ("${NONE}", "NONE is not set"),
            ("${NONE:-${OTHER}}", "OTHER is not set"),
            ("${HOST", "without its }"),
            ("${HOST:-a", "without its }"),
            ("${HOST:-${EMPTY}", "without its }"),
            ("${a b}", "letters, digits"),
            ("${}", "letters, digits"),
            ("${HOST-x}", "letters, digits"),
            ("${HOST:x}", "letters, digits"),
            ("${HOST|uri}", "is not url"),
            ("${HOST|urlencode}", "is not url"),
            (
                "${HOST:-x|url}",
                "write |url behind the name: ${HOST|url:-...}",
            ),
            ("${HOST:-{\"a\": 1}}", "can't hold a {"),
            ("${file:/no/such/file}", "/no/such/file can't be read"),
            ("${file: /etc/hostname}", "without space at its ends"),
            ("${file:}", "needs the path"),
            ("${file:/no/such/file", "without its }"),
        ] {
            let error = expanded(input).unwrap_err();
            assert!(error.contains(message), "{input}: {error}");
        }
    }

    /// Tests the grammar in the other direction: builds a text from parts, together with the value
    /// that it stands for.
    mod grammar {
        use proptest::prelude::*;

        use super::*;

        /// A text, and the value that it stands for.
        type Part = (String, String);

        fn plain() -> impl Strategy<Value = Part> {
            // Contains neither the beginning of a value nor its end.
            "[a-z0-9 :/@%-]{0,6}".prop_map(|text| (text.clone(), text))
        }

        fn set() -> impl Strategy<Value = Part> {
            prop_oneof![
                Just(("${HOST}", "db1")),
                Just(("${HOST:-unused}", "db1")),
                Just(("${SECRET|url}", "p%40ss%2Fw")),
                Just(("${TRAP}", "${HOST}")),
            ]
            .prop_map(|(text, value)| (text.to_owned(), value.to_owned()))
        }

        /// `$${`, plain text and `}` stand for `${`, that text and `}`, in a default as well.
        fn literal() -> impl Strategy<Value = Part> {
            plain().prop_map(|(text, _)| (format!("$${{{text}}}"), format!("${{{text}}}")))
        }

        fn with_default(inner: impl Strategy<Value = Part>) -> impl Strategy<Value = Part> {
            (inner, any::<bool>()).prop_map(|((text, value), encode)| {
                if encode {
                    (format!("${{NONE|url:-{text}}}"), url::encode(&value))
                } else {
                    (format!("${{NONE:-{text}}}"), value)
                }
            })
        }

        fn any_part() -> impl Strategy<Value = Part> {
            let leaf = prop_oneof![plain(), set(), literal()];
            leaf.prop_recursive(3, 24, 4, |inner| {
                with_default(prop::collection::vec(inner, 0..4).prop_map(joined))
            })
        }

        fn joined(parts: Vec<Part>) -> Part {
            parts.into_iter().fold(Part::default(), |all, part| {
                (all.0 + &part.0, all.1 + &part.1)
            })
        }

        proptest! {
            #[test]
            fn a_text_of_the_grammar_stands_for_what_it_says(parts in prop::collection::vec(any_part(), 0..6)) {
                let (text, value) = joined(parts);
                prop_assert_eq!(expanded(&text), Ok(value), "{}", text);
            }

            /// Any text is expanded or refused. A text that is refused contains `${`. A text
            /// without `${` stays as it is.
            #[test]
            fn any_text_is_expanded_or_refused(text in r"[$}{|:a-zA-Z_ -]{0,24}") {
                match super::expanded(&text) {
                    Ok(value) if !text.contains("${") => prop_assert_eq!(value, text),
                    Ok(_) => {}
                    Err(_) => prop_assert!(text.contains("${"), "{}", text),
                }
            }
        }
    }
}
