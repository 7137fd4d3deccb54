//! TOML tables with the places of their values, and errors that point at them.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::ConfigError;
use crate::kind::EMPTY;
use crate::support::nearest::hint;

/// The file that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

/// A table: its place in the file, its name in messages, and its values.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    pub(super) path: String,
    pub(super) span: Range<usize>,
    pub(super) values: DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.values
            .iter()
            .map(|(key, _)| (&**key.get_ref(), key.span()))
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'a>>> {
        self.values.remove(key)
    }

    /// Removes a key whose value is `false`.
    pub(super) fn take_off(&mut self, key: &str) {
        if let Some(DeValue::Boolean(false)) = self.values.get(key).map(Spanned::get_ref) {
            self.take(key);
        }
    }

    /// Moves these keys into a new table at the same place.
    pub(super) fn split_off(&mut self, keys: &[&str]) -> Self {
        let mut off = Self {
            path: self.path.clone(),
            span: self.span.clone(),
            ..Self::default()
        };
        for key in keys {
            if let Some((name, value)) = self.values.remove_entry(*key) {
                off.values.insert(name, value);
            }
        }
        off
    }

    /// Inserts a value that the file does not contain. Its place is that of the table.
    pub(super) fn fill(&mut self, key: &'static str, value: DeValue<'a>) {
        self.values.insert(
            Spanned::new(self.span.clone(), key.into()),
            Spanned::new(self.span.clone(), value),
        );
    }

    /// Returns the name of the key for messages, such as `checks[2].path`.
    pub(super) fn key(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }
}

impl<'a> Document<'a> {
    pub(super) fn parse(&self) -> Result<Table<'a>, ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            let is_list = |line: &str| line.trim_start().starts_with("- ");
            let looks = match self.text.trim_start().chars().next() {
                Some('{' | '<') => "; the file has to be TOML, and looks like something else",
                _ if self.text.lines().any(is_list) => {
                    "; the file has to be TOML, and looks like YAML"
                }
                _ => "",
            };
            ConfigError::new(
                self.file,
                line,
                None,
                format!("not valid TOML: {}{looks}", error.message()),
            )
        })?;
        Ok(Table {
            path: String::new(),
            span: root.span(),
            values: root.into_inner(),
        })
    }

    /// Returns the line of a position, counted from 1.
    pub(super) fn line(&self, position: usize) -> usize {
        self.text
            .as_bytes()
            .iter()
            .take(position)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    pub(super) fn error(
        &self,
        position: usize,
        key: String,
        message: impl Into<String>,
    ) -> ConfigError {
        ConfigError::new(self.file, Some(self.line(position)), Some(key), message)
    }

    /// Removes and returns the table of this name.
    pub(super) fn table(
        &self,
        parent: &mut Table<'a>,
        name: &str,
    ) -> Result<Option<Table<'a>>, ConfigError> {
        let Some(value) = parent.take(name) else {
            return Ok(None);
        };
        self.as_table(value, parent.key(name)).map(Some)
    }

    /// Removes and returns the tables below this name, such as `[groups.batch]`.
    pub(super) fn tables(
        &self,
        parent: &mut Table<'a>,
        name: &str,
    ) -> Result<Vec<(String, usize, Table<'a>)>, ConfigError> {
        let Some(tables) = self.table(parent, name)? else {
            return Ok(Vec::new());
        };
        let read = |(key, value): (Spanned<_>, _)| {
            let line = self.line(key.span().start);
            let key: toml::de::DeString<'_> = key.into_inner();
            let table = self.as_table(value, format!("{name}.{key}"))?;
            Ok((key.into_owned(), line, table))
        };
        tables.values.into_iter().map(read).collect()
    }

    /// Removes and returns the list of tables of this name, such as `[[checks]]`.
    pub(super) fn list(
        &self,
        parent: &mut Table<'a>,
        name: &str,
    ) -> Result<Vec<Table<'a>>, ConfigError> {
        let Some(value) = parent.take(name) else {
            return Ok(Vec::new());
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            return Err(self.error(
                span.start,
                name.to_owned(),
                format!("expected a list of tables: [[{name}]]"),
            ));
        };
        let read = |(at, value)| self.as_table(value, format!("{name}[{}]", at + 1));
        items.into_iter().enumerate().map(read).collect()
    }

    fn as_table(
        &self,
        value: Spanned<DeValue<'a>>,
        path: String,
    ) -> Result<Table<'a>, ConfigError> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(values) => Ok(Table { path, span, values }),
            other => {
                let header = if path.contains('[') {
                    String::new()
                } else {
                    format!(": [{path}]")
                };
                let message = format!(
                    "expected a table{header}, found {}",
                    article(other.type_str())
                );
                Err(self.error(span.start, path, message))
            }
        }
    }

    /// Refuses a table that still has keys after all known keys were removed.
    pub(super) fn refuse_rest(&self, table: &Table<'_>, known: &[&str]) -> Result<(), ConfigError> {
        let Some((key, span)) = table.entries().next() else {
            return Ok(());
        };
        let near = hint(key, known.iter().copied());
        let tables = "; expected [settings], [groups.NAME], [[endpoints]], [fleet], or [[checks]] with a kind";
        let message = format!(
            "unknown key{}",
            if near.is_empty() { tables } else { &near }
        );
        Err(self.error(span.start, table.key(key), message))
    }

    /// Reads a table into a struct.
    pub(super) fn read<T: DeserializeOwned>(&self, table: Table<'a>) -> Result<T, ConfigError> {
        self.read_beside(table, &[])
    }

    /// Reads a table into a struct. `others` are the keys that are allowed there as well, and were
    /// removed before.
    pub(super) fn read_beside<T: DeserializeOwned>(
        &self,
        table: Table<'a>,
        others: &[&str],
    ) -> Result<T, ConfigError> {
        let places = Places::of(&table);
        let table = table.typed(|table| T::deserialize(table).map(drop));
        T::deserialize(table.into_deserializer())
            .map_err(|error| self.translate(&error, &places, others))
    }

    /// Converts a deserializer's error, and leaves out the values that it quotes. `others` are keys
    /// that are allowed in addition to those of the struct.
    pub(super) fn translate(
        &self,
        error: &toml::de::Error,
        places: &Places,
        others: &[&str],
    ) -> ConfigError {
        let span = error.span().unwrap_or_else(|| places.table.clone());
        let key = places.key_at(&span);
        let line = self.line(span.start);
        let at = |key: String, message: String| {
            ConfigError::new(self.file, Some(line), Some(key), message)
        };
        let message = error.message();
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let (name, known) = rest.split_once("`, ").unwrap_or((rest, ""));
            let is_top = key == places.path || key.rsplit('.').next() == Some(name);
            let own = known.split('`').skip(1).step_by(2);
            let known: Vec<_> = own
                .chain(others.iter().copied().filter(|_| is_top))
                .collect();
            let near = hint(name, known.iter().copied());
            let listed = if near.is_empty() {
                format!("; the keys are {}", known.join(", "))
            } else {
                near
            };
            return at(child(&key, name), format!("unknown key{listed}"));
        }
        if let Some(name) = message.strip_prefix(MISSING) {
            // A key that a variable filled has the place of the whole table, and is not the key
            // with the missing field.
            let table = if span == places.table {
                &places.path
            } else {
                &key
            };
            return at(
                child(table, name.trim_end_matches('`')),
                "missing, and it has no default".into(),
            );
        }
        if message == EMPTY {
            let is_token = key.rsplit('.').next() == Some("token");
            return at(key, if is_token { NO_TOKEN } else { EMPTY }.into());
        }
        // Only the text after the last "expected" is ours. The text before it, or a text without
        // it, may quote the value.
        let Some((_, expected)) = message.rsplit_once("expected ") else {
            return at(key, "not a valid value".into());
        };
        let found = message
            .strip_prefix("invalid type: ")
            .and_then(|rest| rest.split([' ', ',']).next());
        let found = found
            .map(|found| format!(", found {}", article(found)))
            .unwrap_or_default();
        let name = key.rsplit('.').next().unwrap_or_default();
        let expected = match expected {
            "a sequence" => format!("a list: {name} = [\"...\"]"),
            "a map" => format!("a table: {name} = {{ ... }}"),
            expected if expected.starts_with("struct ") => format!("a table: {name} = {{ ... }}"),
            "usize" | "u16" | "u32" | "u64" => "a whole number".to_owned(),
            "a boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        };
        let quotes = if places.quoted.contains(&key) {
            "; it has quotation marks of its own, as env files of Docker keep them: leave them out"
        } else {
            ""
        };
        at(key, format!("expected {expected}{found}{quotes}"))
    }
}

const NO_TOKEN: &str = "empty: give it a value; for no token, write token = false";

/// The beginning of serde's message about a missing key.
const MISSING: &str = "missing field `";

/// Returns `true` if a missing key is the only thing wrong with a table.
pub(super) fn is_missing(error: &toml::de::Error) -> bool {
    error.message().starts_with(MISSING)
}

impl<'a> Table<'a> {
    /// Converts text to a number or a switch if the reader expects one, because a variable always
    /// yields text.
    pub(super) fn typed(
        mut self,
        read: impl Fn(ValueDeserializer<'a>) -> Result<(), toml::de::Error>,
    ) -> Self {
        loop {
            let again = Self {
                path: self.path.clone(),
                span: self.span.clone(),
                values: self.values.clone(),
            };
            let Err(error) = read(again.into_deserializer()) else {
                return self;
            };
            let message = error.message();
            let wanted = ["boolean", "usize", "u16", "u32", "u64", "i64", "f64"];
            let is_text = message.starts_with("invalid type: string")
                && wanted.iter().any(|kind| message.ends_with(kind));
            let Some(span) = error.span().filter(|_| is_text) else {
                return self;
            };
            let wants_switch = message.ends_with("expected a boolean");
            let value = text_at(&mut self.values, &span)
                .and_then(|text| Some((typed_value(text, wants_switch)?, text)));
            let Some((value, text)) = value else {
                return self;
            };
            *text = value;
        }
    }

    pub(super) fn into_deserializer(self) -> ValueDeserializer<'a> {
        Spanned::new(self.span, DeValue::Table(self.values)).into()
    }
}

/// Returns the text at this place.
fn text_at<'t, 'a>(
    values: &'t mut DeTable<'a>,
    span: &Range<usize>,
) -> Option<&'t mut DeValue<'a>> {
    for (_, value) in values.iter_mut() {
        let is_it = value.span() == *span;
        match value.get_mut() {
            text @ DeValue::String(_) if is_it => return Some(text),
            DeValue::Table(inner) => {
                if let Some(found) = text_at(inner, span) {
                    return Some(found);
                }
            }
            _ => {}
        }
    }
    None
}

/// Converts text to the switch or the decimal number that the reader wants in its place.
fn typed_value<'a>(text: &DeValue<'_>, wants_switch: bool) -> Option<DeValue<'a>> {
    let text = text.as_str()?.trim().to_ascii_lowercase();
    match text.as_str() {
        "true" | "1" if wants_switch => Some(DeValue::Boolean(true)),
        "false" | "0" if wants_switch => Some(DeValue::Boolean(false)),
        number
            if !wants_switch
                && number
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".-".contains(&byte)) =>
        {
            // The parser's values borrow from their text, so these few bytes stay allocated until
            // the process ends.
            let parsed = Box::leak(text.into_boxed_str());
            DeValue::parse(parsed).ok().map(Spanned::into_inner)
        }
        _ => None,
    }
}

/// The places of the keys of a table, kept while the table itself is read.
#[derive(Debug)]
pub(super) struct Places {
    path: String,
    table: Range<usize>,
    keys: Vec<(Range<usize>, String)>,
    /// The keys whose values begin and end with a quotation mark.
    quoted: Vec<String>,
}

impl Places {
    pub(super) fn of(table: &Table<'_>) -> Self {
        let mut places = Self {
            path: table.path.clone(),
            table: table.span.clone(),
            keys: Vec::new(),
            quoted: Vec::new(),
        };
        places.collect(&table.values, &table.path);
        places
    }

    fn collect(&mut self, values: &DeTable<'_>, path: &str) {
        for (key, value) in values {
            let name = if path.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{path}.{}", key.get_ref())
            };
            self.keys.push((key.span(), name.clone()));
            self.add(value, name);
        }
    }

    fn add(&mut self, value: &Spanned<DeValue<'_>>, name: String) {
        match value.get_ref() {
            DeValue::Table(values) => self.collect(values, &name),
            DeValue::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.add(item, format!("{name}[{}]", at + 1));
                }
            }
            DeValue::String(text) => {
                let is_quoted =
                    |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
                if is_quoted('"') || is_quoted('\'') {
                    self.quoted.push(name.clone());
                }
            }
            _ => {}
        }
        self.keys.push((value.span(), name));
    }

    /// Returns the innermost key whose name or value covers this place.
    fn key_at(&self, span: &Range<usize>) -> String {
        let covering = self
            .keys
            .iter()
            .filter(|(place, _)| place.start <= span.start && span.end <= place.end);
        let innermost = covering.min_by_key(|(place, _)| place.len());
        innermost.map_or_else(|| self.path.clone(), |(_, key)| key.clone())
    }

    /// Returns the place of a key of this table, or that of the table if it does not have the key.
    pub(super) fn find(&self, key: &str) -> (usize, String) {
        let name = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        let place = self
            .keys
            .iter()
            .find(|(_, known)| *known == name)
            .map_or(&self.table, |(place, _)| place);
        (place.start, name)
    }
}

/// Appends a name to a key, unless the key already ends with that name.
fn child(key: &str, name: &str) -> String {
    if key.rsplit('.').next() == Some(name) {
        return key.to_owned();
    }
    if key.is_empty() {
        name.to_owned()
    } else {
        format!("{key}.{name}")
    }
}

fn article(kind: &str) -> String {
    let kind = match kind {
        "floating" | "float" => "number with a point",
        "map" => "table",
        "sequence" | "array" => "list",
        other => other,
    };
    format!(
        "{} {kind}",
        if kind.starts_with(['a', 'e', 'i', 'o']) {
            "an"
        } else {
            "a"
        }
    )
}
