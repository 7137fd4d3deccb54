//! Environment variables that fill the keys that a file leaves out, under the original's names and
//! under our own.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::table::Table;
use super::{ConfigError, Variables};
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
        reads: Reads::Text,
    },
];

/// The variables that are set, by their names without the prefix.
pub(super) struct Environment(BTreeMap<&'static str, Found>);

struct Found {
    /// The name of the variable, with the prefix if it was found with it.
    name: String,
    /// An error in the value matters only if the variable is used.
    value: Result<Value, &'static str>,
}

enum Value {
    Text(String),
    Bool(bool),
    /// A number in the syntax of TOML, which TOML's parser reads.
    Number(String),
}

impl Environment {
    pub(super) fn read<'k>(
        kinds: impl Iterator<Item = &'k Kind>,
        variables: Variables<'_>,
    ) -> Self {
        let mut all = BTreeMap::new();
        for variable in SETTINGS.iter().chain(kinds.flat_map(|kind| kind.variables)) {
            let names = [
                format!("HEALTH_CHECK_{}", variable.name),
                variable.name.to_owned(),
            ];
            let found = names
                .into_iter()
                .find_map(|name| Some((variables(&name)?, name)));
            let Some((text, name)) = found else { continue };
            if let Some(value) = Value::read(variable.reads, &text).transpose() {
                all.insert(variable.name, Found { name, value });
            }
        }
        Self(all)
    }

    /// Fills the missing keys of a table, and returns them with the variables that were used.
    pub(super) fn fill<'a>(
        &'a self,
        table: &mut Table<'a>,
        known: &'static [Variable],
    ) -> Result<Vec<(&'static str, &'a str)>, ConfigError> {
        let mut used = Vec::new();
        for variable in known {
            if let Some(found) = self
                .0
                .get(variable.name)
                .filter(|_| !table.contains(variable.key))
            {
                let value = found
                    .value
                    .as_ref()
                    .map_err(|expected| ConfigError::variable(&found.name, *expected))?;
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
            (Reads::Text | Reads::Seconds, _) => Ok(Some(Self::Text(text.trim().to_owned()))),
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
