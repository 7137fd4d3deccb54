//! `[[endpoints]]`: endpoints with policies of their own.

use std::collections::HashMap;
use std::fmt;

use health_core::{Anonymous, BuildFault, Endpoint, Health, Renderers, Secret, Settings};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, de};

use super::ConfigError;
use super::table::{Document, Places, Table};

/// The keys of one of `[[endpoints]]`. A key that is absent is as in `[settings]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    path: Option<String>,
    group: Option<String>,
    token: Option<Token>,
    anonymous: Option<Anonymous>,
    unhealthy_status: Option<u16>,
    degraded_status: Option<u16>,
    formats: Option<Vec<String>>,
}

/// An endpoint of a file, and its place there.
#[derive(Debug)]
pub(super) struct EndpointTable {
    keys: Keys,
    file: String,
    /// The line and the name in messages of each key, of which the empty one is the table.
    places: HashMap<&'static str, (usize, String)>,
}

const KEYS: [&str; 8] = [
    "",
    "path",
    "group",
    "token",
    "anonymous",
    "unhealthy_status",
    "degraded_status",
    "formats",
];

impl EndpointTable {
    pub(super) fn read<'a>(document: &Document<'a>, table: Table<'a>) -> Result<Self, ConfigError> {
        let places = Places::of(&table);
        let place = |key: &'static str| {
            let (position, name) = places.find(key);
            (
                key,
                (
                    document.line(position),
                    name.trim_end_matches('.').to_owned(),
                ),
            )
        };
        let places = KEYS.into_iter().map(place).collect();
        Ok(Self {
            keys: document.read(table)?,
            file: document.file.to_owned(),
            places,
        })
    }

    /// Builds the endpoint, or returns all errors of its table.
    fn build(&self, health: &Health) -> Result<Endpoint, Vec<ConfigError>> {
        let Keys {
            path,
            group,
            token,
            anonymous,
            unhealthy_status,
            degraded_status,
            formats,
        } = self.keys.clone();
        let mut builder = Endpoint::builder(health.clone());
        if let Some(path) = path {
            builder = builder.path(path);
        }
        if let Some(group) = group {
            builder = builder.group(group);
        }
        builder = match token {
            Some(Token::Required(token)) => builder.token(token.expose()),
            Some(Token::Off) => builder.without_token(),
            None => builder,
        };
        if let Some(anonymous) = anonymous {
            builder = builder.anonymous(anonymous);
        }
        if let Some(code) = unhealthy_status {
            builder = builder.unhealthy_status(code);
        }
        if let Some(code) = degraded_status {
            builder = builder.degraded_status(code);
        }
        if let Some(formats) = formats {
            builder = builder.formats(formats);
        }
        builder.build().map_err(|error| {
            error
                .faults()
                .iter()
                .map(|fault| self.error(fault))
                .collect()
        })
    }

    fn error(&self, fault: &BuildFault) -> ConfigError {
        let (key, message) = match fault {
            BuildFault::Setting { setting, message } => (*setting, message.clone()),
            BuildFault::Group { group, message } => ("group", format!("\"{group}\": {message}")),
            other => ("", other.to_string()),
        };
        self.error_at(key, message)
    }

    fn error_at(&self, key: &str, message: String) -> ConfigError {
        let (line, name) = self
            .places
            .get(key)
            .or(self.places.get(""))
            .cloned()
            .unwrap_or_default();
        ConfigError::new(&self.file, Some(line), Some(name), message)
    }
}

/// Warns of the endpoints of which no answer has the verdict as its status code.
pub(super) fn warnings(file: &str, settings: &Settings, tables: &[EndpointTable]) -> Vec<String> {
    const WHY: &str = "offers only metrics and feeds, which are always answered with 200: \
                       no probe of this endpoint can fail";
    let renderers = Renderers::default();
    let is_always_ok = |name: &String| {
        renderers
            .get(name)
            .is_some_and(health_core::Renderer::always_ok)
    };
    let hides_verdict = |formats: &Option<Vec<String>>| {
        formats
            .as_ref()
            .is_some_and(|names| !names.is_empty() && names.iter().all(is_always_ok))
    };
    let in_settings = hides_verdict(&settings.formats).then(|| format!("{file}: formats {WHY}"));
    let in_tables = tables
        .iter()
        .filter(|table| hides_verdict(&table.keys.formats))
        .map(|table| {
            let line = table.places.get("formats").map_or(0, |(line, _)| *line);
            format!("{file}:{line}: formats {WHY}")
        });
    in_settings.into_iter().chain(in_tables).collect()
}

/// Builds the endpoints of a file; without any, one as the settings describe it.
pub(super) fn build(
    tables: &[EndpointTable],
    health: &Health,
) -> Result<Vec<Endpoint>, ConfigError> {
    if tables.is_empty() {
        return Ok(Vec::from_iter(Endpoint::builder(health.clone()).build()));
    }
    let mut endpoints = Vec::<Endpoint>::new();
    let mut errors = Vec::new();
    for (position, table) in tables.iter().enumerate() {
        match table.build(health) {
            Ok(endpoint) => {
                if let Some(first) = endpoints
                    .iter()
                    .position(|known| known.base() == endpoint.base())
                {
                    let message = format!(
                        "endpoints {} and {} have the same path",
                        first + 1,
                        position + 1
                    );
                    errors.push(table.error_at("path", message));
                }
                endpoints.push(endpoint);
            }
            Err(faults) => errors.extend(faults),
        }
    }
    if errors.is_empty() {
        Ok(endpoints)
    } else {
        Err(ConfigError::all(errors))
    }
}

/// A token, or `false` for none.
#[derive(Debug, Clone)]
enum Token {
    Required(Secret),
    Off,
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

struct TokenVisitor;

impl de::Visitor<'_> for TokenVisitor {
    type Value = Token;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or false for no token")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<Token, E> {
        if on {
            Err(E::invalid_value(de::Unexpected::Bool(on), &self))
        } else {
            Ok(Token::Off)
        }
    }

    fn visit_str<E: de::Error>(self, token: &str) -> Result<Token, E> {
        Secret::deserialize(token.into_deserializer()).map(Token::Required)
    }
}
