use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::kind::Misconfigured;

/// A limit that can be switched off. In a configuration file, it is a number above zero, or `false`
/// (or 0) for off.
///
/// ```
/// use health_checks::Limit;
/// assert_eq!(Limit::from(90), Limit::At(90.0));
/// assert_eq!(Limit::from(0), Limit::Off);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Limit {
    /// The limit is off.
    #[default]
    Off,
    /// The value at which the limit is crossed, which is above zero.
    At(f64),
}

impl Limit {
    /// Returns the value, or `None` if the limit is off.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Off => None,
            Self::At(value) => Some(value),
        }
    }

    /// Refuses a value of this key that is not a percentage.
    pub(crate) fn percentage(self, key: &'static str) -> Result<(), Misconfigured> {
        if self.value().is_some_and(|value| value > 100.0) {
            return Err(Misconfigured::new(
                key,
                "expected a percentage: above 0, at most 100, or false",
            ));
        }
        Ok(())
    }
}

impl<N: Into<f64>> From<N> for Limit {
    fn from(value: N) -> Self {
        let value = value.into();
        if value > 0.0 {
            Self::At(value)
        } else {
            Self::Off
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

struct LimitVisitor;

impl de::Visitor<'_> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number above 0, or false to switch the limit off")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Limit, E> {
        if on {
            Err(E::invalid_value(de::Unexpected::Bool(on), &self))
        } else {
            Ok(Limit::Off)
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Limit, E> {
        if value.is_finite() && value >= 0.0 {
            Ok(Limit::from(value))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    /// Reads the text of a variable.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
        match (
            text.trim().to_ascii_lowercase().as_str(),
            text.trim().parse(),
        ) {
            ("false" | "none" | "off", _) => Ok(Limit::Off),
            (_, Ok(value)) => self.visit_f64(value),
            // The text is not quoted, because it may be a secret in the wrong place.
            _ => Err(E::invalid_type(de::Unexpected::Other("string"), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Limit, E> {
        let value = u32::try_from(value)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))?;
        Ok(Limit::from(value))
    }
}

#[cfg(feature = "config")]
impl serde::Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::At(value) => serializer.serialize_f64(*value),
        }
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "const": false }] })
    }
}

/// Returns the name of this machine, with which the original's messages begin.
pub(crate) fn host() -> String {
    sysinfo::System::host_name().unwrap_or_else(|_| "localhost".into())
}
