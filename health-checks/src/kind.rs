//! What a kind of check is: settings that become checks, and the variables that fill them.

use std::borrow::Cow;
use std::fmt;

use health_core::BoxCheck;

/// The settings of a kind of check: the keys of its table in a configuration file, beside those that all checks have.
pub trait CheckSettings: Sized {
    /// The name of the kind.
    const KIND: &'static str;

    /// What it looks at, in a line.
    const SUMMARY: &'static str;

    /// Keys that a variable of the environment fills where the file does not.
    const VARIABLES: &'static [Variable] = &[];

    /// What a check of this kind is called when the file gives it a name. *Default*: that name.
    fn renamed(identifier: &str, name: &str) -> String {
        let _ = identifier;
        name.to_owned()
    }

    /// The checks that these settings ask for; none where they switch it off.
    ///
    /// # Errors
    /// Where a value can't be.
    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured>;
}

/// A variable of the environment that fills a key.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The key that it fills.
    pub key: &'static str,
    /// Its name. `HEALTH_CHECK_` and the name is the same variable.
    pub name: &'static str,
    /// How its text is read.
    pub reads: Reads,
}

/// How the text of a variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reads {
    /// As it is.
    Text,
    /// A number; `None`, `false`, `0` and nothing switch the limit off, in any case.
    Limit,
    /// `true`, `false`, `1` or `0`, in any case.
    Bool,
    /// A number of seconds, or a duration with a unit.
    Seconds,
}

/// A value that can't be: which key, and what was expected. Never holds the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    pub(crate) key: &'static str,
    pub(crate) message: Cow<'static, str>,
}

impl Misconfigured {
    /// What was expected of this key.
    pub fn new(key: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { key, message: message.into() }
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Misconfigured {}

#[cfg(feature = "config")]
pub use erased::{Key, Kind};

#[cfg(feature = "config")]
mod erased {
    use std::fmt;

    use health_core::BoxCheck;
    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde::de::DeserializeOwned;
    use toml::de::ValueDeserializer;

    use super::{CheckSettings, Misconfigured, Variable};

    /// A kind of check, with its type erased.
    #[derive(Clone, Copy)]
    pub struct Kind {
        /// Its name in configuration.
        pub name: &'static str,
        /// What it looks at, in a line.
        pub summary: &'static str,
        /// The variables of the environment that fill its keys.
        pub variables: &'static [Variable],
        schema: fn() -> schemars::Schema,
        pub(crate) renamed: fn(&str, &str) -> String,
        /// Reads a table and makes nothing of it.
        pub(crate) read: fn(ValueDeserializer<'_>) -> Result<(), toml::de::Error>,
        pub(crate) build: fn(ValueDeserializer<'_>) -> Result<Vec<BoxCheck>, Failure>,
    }

    /// Why a table did not become a check.
    pub(crate) enum Failure {
        Syntax(toml::de::Error),
        Value(Misconfigured),
    }

    impl Kind {
        /// The kind of these settings.
        pub const fn of<S: CheckSettings + DeserializeOwned + JsonSchema>() -> Self {
            Self {
                name: S::KIND,
                summary: S::SUMMARY,
                variables: S::VARIABLES,
                schema: schema_of::<S>,
                renamed: S::renamed,
                read: |table| S::deserialize(table).map(drop),
                build: |table| S::deserialize(table).map_err(Failure::Syntax)?.checks().map_err(Failure::Value),
            }
        }

        /// The JSON Schema of its own keys.
        pub fn schema(&self) -> serde_json::Value {
            (self.schema)().to_value()
        }

        /// Its own keys, with their defaults and what they mean.
        pub fn keys(&self) -> Vec<Key> {
            let schema = self.schema();
            let properties = schema.get("properties").and_then(|properties| properties.as_object());
            let key = |(name, property): (&String, &serde_json::Value)| Key {
                name: name.clone(),
                default: property.get("default").filter(|default| !default.is_null()).map(ToString::to_string),
                summary: property
                    .get("description")
                    .and_then(|text| text.as_str())
                    .unwrap_or_default()
                    .replace('\n', " "),
            };
            properties.into_iter().flatten().map(key).collect()
        }
    }

    impl fmt::Debug for Kind {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Kind").field(&self.name).finish()
        }
    }

    /// A key of a kind.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Key {
        /// Its name.
        pub name: String,
        /// Its default in JSON, where it has one.
        pub default: Option<String>,
        /// What it means.
        pub summary: String,
    }

    fn schema_of<S: JsonSchema>() -> schemars::Schema {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        settings.into_generator().into_root_schema_for::<S>()
    }
}
#[cfg(feature = "config")]
pub(crate) use erased::Failure;
