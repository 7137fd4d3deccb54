//! Looks up environment variables, and the files that hold their texts.

use std::ffi::OsString;
use std::path::Path;

use super::Variables;
use crate::support::file;

/// The text of a variable, or the reason why it has none that can be used.
pub(super) type Text = Result<String, String>;

/// Returns the text of a variable without white space at its ends, because secrets often end with a
/// line break. `None` if it is not set.
pub(super) fn text(name: &str, variables: Variables<'_>) -> Option<Text> {
    variables(name).map(utf8)
}

/// Returns the text of a variable, or of the file that the variable `NAME_FILE` names, as the
/// images of databases read the secrets of Docker. Also returns the name of the variable that is
/// set.
pub(super) fn or_file(name: &str, variables: Variables<'_>) -> Option<(String, Text)> {
    let is_empty = |text: &OsString| text.to_str().is_some_and(|text| text.trim().is_empty());
    let of_file = format!("{name}_FILE");
    let direct = |text| (name.to_owned(), utf8(text));
    match (variables(name), variables(&of_file)) {
        (text, None) => text.map(direct),
        (Some(text), Some(path)) if is_empty(&path) => Some(direct(text)),
        (Some(text), Some(_)) if !is_empty(&text) => {
            let both = format!("{name} is set as well: leave one out");
            Some((of_file, Err(both)))
        }
        (_, Some(path)) if is_empty(&path) => {
            Some((of_file, Err("empty: name a file, or leave it out".into())))
        }
        (_, Some(path)) => Some((of_file, content(Path::new(&path)))),
    }
}

fn utf8(text: OsString) -> Text {
    let text = text.into_string().map_err(|_| "is not UTF-8")?;
    Ok(text.trim().to_owned())
}

fn content(path: &Path) -> Text {
    let content = file::text(path)
        .map_err(|error| format!("the file can't be read: {}", file::reason(&error)))?;
    match content.trim() {
        "" => Err("the file is empty".into()),
        content => Ok(content.to_owned()),
    }
}
