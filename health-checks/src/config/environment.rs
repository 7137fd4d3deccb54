//! Environment variables that fill the keys that a file leaves out, under the original's names and
//! under our own.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::table::Table;
use super::{ConfigError, Variables, variable};
use crate::catalogue::CATALOGUE;
use crate::kind::{Kind, Reads, Variable};

/// The variables that fill `[settings]`.
pub(super) const SETTINGS: &[Variable] = &[
    Variable {
        key: "warnings_as_errors",
        name: "WARNINGS_AS_ERRORS",
        reads: Reads::Bool,
    },
    Variable {
        key: "token",
        name: "HEALTH_TOKEN",
        reads: Reads::Secret,
    },
];

/// The variables that are set, by their names without the prefix.
pub(super) struct Environment(BTreeMap<&'static str, Found>);

struct Found {
    /// The name of the variable, with the prefix and the suffix with which it was found.
    name: String,
    /// An error in the value matters only if the variable is used.
    value: Result<Value, String>,
}

const PREFIX: &str = "HEALTH_CHECK_";

impl Found {
    fn has_prefix(&self) -> bool {
        self.name.starts_with(PREFIX)
    }
}

enum Value {
    Text(String),
    Bool(bool),
    /// A number in the syntax of TOML, which TOML's parser reads.
    Number(String),
}

/// Returns `true` for the name of a variable that fills a key, with or without the prefix.
pub(super) fn is_known(name: &str) -> bool {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let kinds = CATALOGUE.iter().flat_map(|kind| kind.variables);
    SETTINGS.iter().chain(kinds).any(|known| known.name == name)
}

impl Environment {
    pub(super) fn read<'k>(
        kinds: impl Iterator<Item = &'k Kind>,
        variables: Variables<'_>,
    ) -> Self {
        let mut all = BTreeMap::new();
        for known in SETTINGS.iter().chain(kinds.flat_map(|kind| kind.variables)) {
            let found = variable::or_file(&format!("{PREFIX}{}", known.name), variables)
                .or_else(|| variable::or_file(known.name, variables));
            let Some((name, text)) = found else { continue };
            let value = text.and_then(|text| Ok(Value::read(known.reads, &text)?));
            if let Some(value) = value.transpose() {
                all.insert(known.name, Found { name, value });
            }
        }
        Self(all)
    }

    /// Fills the missing keys of a table, and returns them with the variables that were used. The
    /// keys in `credentials` belong together: `are_written` is true if the file has one of them.
    pub(super) fn fill<'a>(
        &'a self,
        table: &mut Table<'a>,
        known: &'static [Variable],
        credentials: &[&str],
        are_written: bool,
    ) -> Result<Vec<(&'static str, &'a str)>, ConfigError> {
        let belongs = |variable: &&Variable| credentials.contains(&variable.key);
        let found = |variable: &Variable| self.0.get(variable.name);
        let needs_prefix = known
            .iter()
            .filter(belongs)
            .filter_map(found)
            .any(Found::has_prefix);
        let mut used = Vec::new();
        for variable in known {
            let is_other = |found: &&Found| {
                belongs(&variable) && (are_written || needs_prefix && !found.has_prefix())
            };
            if let Some(found) = found(variable)
                .filter(|_| !table.contains(variable.key))
                .filter(|found| !is_other(found))
            {
                let value = found
                    .value
                    .as_ref()
                    .map_err(|wrong| ConfigError::variable(&found.name, wrong.clone()))?;
                table.fill(variable.key, value.to_toml());
                used.push((variable.key, found.name.as_str()));
            }
        }
        Ok(used)
    }
}

impl Value {
    /// Converts the text of a variable. An empty text stands for no value, but switches a limit
    /// off.
    fn read(reads: Reads, text: &str) -> Result<Option<Self>, &'static str> {
        let word = text.trim().to_ascii_lowercase();
        match (reads, word.as_str()) {
            (Reads::Text | Reads::Bool | Reads::Seconds, "") => Ok(None),
            (Reads::Seconds, number) if number.parse::<f64>().is_ok_and(f64::is_finite) => {
                Ok(Some(Self::Number(number.to_owned())))
            }
            (Reads::Secret, "") => {
                Err("empty: give it a value; for no token, unset it, or write token = false")
            }
            (Reads::Text | Reads::Secret | Reads::Seconds, _) => {
                Ok(Some(Self::Text(text.trim().to_owned())))
            }
            (Reads::Bool, "true" | "1") => Ok(Some(Self::Bool(true))),
            (Reads::Bool, "false" | "0") | (Reads::Limit, "" | "none" | "false" | "0") => {
                Ok(Some(Self::Bool(false)))
            }
            (Reads::Bool, _) => Err("expected true, false, 1 or 0"),
            (Reads::Limit, number) => match number.parse::<f64>() {
                Ok(value) if value.is_finite() && value >= 0.0 => {
                    Ok(Some(Self::Number(format!("{value:?}"))))
                }
                _ => Err("expected a number above 0, or None, false or 0 to switch the limit off"),
            },
        }
    }

    fn to_toml(&self) -> DeValue<'_> {
        match self {
            Self::Text(text) => DeValue::String(text.as_str().into()),
            Self::Bool(on) => DeValue::Boolean(*on),
            Self::Number(number) => {
                DeValue::parse(number).map_or(DeValue::Boolean(false), toml::Spanned::into_inner)
            }
        }
    }
}
