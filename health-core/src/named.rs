//! Enums whose values have names, by which they are displayed, parsed and serialised.

use std::fmt;

/// The error of parsing a name that no value has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownValue {
    what: &'static str,
    names: &'static [&'static str],
}

impl UnknownValue {
    pub(crate) fn new(what: &'static str, names: &'static [&'static str]) -> Self {
        Self { what, names }
    }
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a {}: expected one of {}",
            self.what,
            self.names.join(", ")
        )
    }
}

impl std::error::Error for UnknownValue {}

/// Implements `as_str`, `Display`, `FromStr`, `Serialize` and `Deserialize` for an enum. With
/// `else`, an unknown name is deserialised as that value.
macro_rules! named {
    ($what:literal, $enum:ident { $($value:ident => $name:literal),+ $(,)? } $(else $other:ident)?) => {
        impl $enum {
            /// All values, in the order of their declaration.
            #[allow(dead_code, reason = "not each enum needs it")]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$value),+];
            const NAMES: &'static [&'static str] = &[$($name),+];

            #[doc = concat!("Returns the name: ", $("`", $name, "` "),+)]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $name),+ }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $enum {
            type Err = $crate::UnknownValue;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($name => Ok(Self::$value),)+
                    _ => Err($crate::UnknownValue::new($what, Self::NAMES)),
                }
            }
        }

        impl serde::Serialize for $enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $enum {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let value: Result<Self, $crate::UnknownValue> = name.parse();
                $(let value = value.or(Ok::<Self, $crate::UnknownValue>(Self::$other));)?
                value.map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use named;
