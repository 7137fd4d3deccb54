//! `${VAR}`, `${VAR:-default}`, `${file:/path}` and `$${` in strings, after the file was parsed.

use toml::de::{DeTable, DeValue};

use super::table::{Document, Table};
use super::{ConfigError, Variables};

pub(super) fn expand(
    document: &Document<'_>,
    root: &mut Table<'_>,
    variables: Variables<'_>,
) -> Result<(), ConfigError> {
    table(document, &mut root.values, "", variables)
}

fn table(
    document: &Document<'_>,
    values: &mut DeTable<'_>,
    path: &str,
    variables: Variables<'_>,
) -> Result<(), ConfigError> {
    for (key, entry) in values.iter_mut() {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
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
            let expanded =
                text(string, variables).map_err(|message| document.error(start, path.to_owned(), message))?;
            *string = expanded.into();
        }
        DeValue::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                let start = item.span().start;
                value(document, item.get_mut(), start, &format!("{path}[{}]", at + 1), variables)?;
            }
        }
        DeValue::Table(inner) => table(document, inner, path, variables)?,
        _ => {}
    }
    Ok(())
}

/// Expands `${VAR}`, `${VAR:-default}` and `${file:/path}` in a text, as in the strings of a file; `$${` stands for `${`.
///
/// # Errors
/// A variable without default that is not set, a file that can't be read: in words, without any value.
pub fn text(mut rest: &str, variables: Variables<'_>) -> Result<String, String> {
    let mut expanded = String::new();
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let (inside, after) = after.split_once('}').ok_or("${ without its }; write $${ for a literal one")?;
        expanded.push_str(before);
        expanded.push_str(&lookup(inside, variables)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn lookup(inside: &str, variables: Variables<'_>) -> Result<String, String> {
    if let Some(path) = inside.strip_prefix("file:") {
        let content = std::fs::read_to_string(path);
        let content = content.map_err(|error| format!("the file {path} can't be read: {}", error.kind()))?;
        return Ok(content.trim_end_matches(['\r', '\n']).to_owned());
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name(name) {
        return Err("${ } needs the name of a variable: letters, digits and _".into());
    }
    let value = variables(name).filter(|value| !(value.is_empty() && default.is_some()));
    value
        .or_else(|| default.map(str::to_owned))
        .ok_or_else(|| format!("the variable {name} is not set: set it, or give a default: ${{{name}:-...}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(input: &str) -> Result<String, String> {
        text(input, &|name| match name {
            "HOST" => Some("db1".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_files_and_literals() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        for (input, output) in [
            ("plain $HOST $ {", "plain $HOST $ {"),
            ("a ${HOST} b ${HOST}", "a db1 b db1"),
            ("${NONE:-x}${HOST:-y}", "xdb1"),
            ("${EMPTY}${EMPTY:-filled}", "filled"),
            ("${NONE:-}", ""),
            ("$${HOST} costs $$", "${HOST} costs $$"),
            (&format!("${{file:{}}}", file.path().display()), "hunter2"),
        ] {
            assert_eq!(expanded(input).as_deref(), Ok(output), "{input}");
        }
    }

    #[test]
    fn what_can_not_be_expanded_says_what_to_do() {
        assert!(expanded("${NONE}").unwrap_err().contains("NONE is not set"));
        assert!(expanded("${HOST").unwrap_err().contains("without its }"));
        assert!(expanded("${a b}").unwrap_err().contains("letters, digits"));
        assert!(expanded("${file:/no/such/file}").unwrap_err().contains("/no/such/file can't be read"));
    }
}
