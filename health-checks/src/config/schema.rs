//! The JSON Schema of a configuration file, for editors. It accepts what the reader accepts, and a
//! little more where only the reader can decide.

use serde_json::{Map, Value, json};

use super::{COMMON, Options};
use crate::catalogue::CATALOGUE;
use crate::kind::{Kind, Login, TlsSettings};

/// Returns the JSON Schema (draft 2020-12) of a configuration file, with the kinds that this build
/// has and those of `options`.
///
/// ```
/// use health_checks::config::{Options, schema};
/// let schema = schema(&Options::default());
/// assert_eq!(schema["properties"]["checks"]["type"], "array");
/// ```
pub fn schema(options: &Options) -> Value {
    let kinds: Vec<_> = CATALOGUE
        .iter()
        .chain(&options.kinds)
        .map(of_kind)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Health checks of a service",
        "description": "In every string ${VAR} is a variable of the environment, ${VAR:-default} has a default, ${VAR|url} is \
                        percent-encoded, and ${file:/path} is the content of a file.",
        "type": "object",
        "properties": {
            "settings": settings(),
            "groups": {
                "description": "Groups of your own, and settings of live, ready and startup.",
                "type": "object",
                "additionalProperties": group(),
            },
            "endpoints": {
                "description": "The endpoints. A file without any has one, as the settings describe it.",
                "type": "array",
                "items": endpoint(),
            },
            "fleet": fleet(),
            "checks": {
                "description": "The checks.",
                "type": "array",
                "items": { "type": "object", "required": ["kind"], "oneOf": kinds },
            },
        },
        "additionalProperties": false,
        "$defs": {
            "duration": {
                "anyOf": [
                    { "type": "string", "examples": ["500ms", "5s", "1m 30s"] },
                    { "type": "number", "minimum": 0 },
                ],
            },
            "hold": {
                "anyOf": [
                    { "type": "string", "examples": ["120s", "forever"] },
                    { "type": "number", "minimum": 0 },
                ],
            },
            "names": { "type": "array", "items": { "type": "string" } },
            "anonymous": words(&["nothing", "status"]),
            "common": common(),
        },
    })
}

fn settings() -> Value {
    let mut properties = json!({
        "warnings_as_errors": flag("Makes a warning count as an error.", Some(true)),
        "timeout": duration("The longest that one run of a check may take.", Some("5s")),
        "ttl": duration("The time for which a verdict is fresh. Zero: until the next read.", Some("1s")),
        "reconnect": duration("The longest that a check keeps a connection of its own. Zero: a new one in each run.", Some("30s")),
        "budget": duration("The longest that a reader waits. Then it gets a report of what is known.", Some("4s")),
        "probe_budget": duration("The budget of live, ready and startup.", Some("800ms")),
        "max_stale": duration("The age up to which a verdict is shown in place of a run that is not over.", Some("30s")),
        "max_concurrency": as_text(json!({
            "description": "The number of checks that run at the same time.", "type": "integer", "minimum": 1, "default": 256,
        })),
        "drain_delay": duration("The time for which a service serves after SIGTERM, while ready already fails.", Some("5s")),
        "drain_ready_after": duration("The time in a drain after which ready fails; less than drain_delay.", Some("0s")),
        "content_security_policy": text("The Content-Security-Policy of pages."),
        "instance": text("The name of this process among those of the service, such as the name of its pod."),
        "version": text("The release that the process runs."),
    });
    if let (Some(all), Value::Object(endpoint)) = (properties.as_object_mut(), endpoint_keys()) {
        all.extend(endpoint);
        all.insert("token".into(), token());
    }
    object(
        "The settings of the checks, and the defaults of the endpoints.",
        properties,
    )
}

fn token() -> Value {
    let token = "The token that a request must present, or false for none. Write it as ${VAR} or ${file:/path}.";
    json!({ "description": token, "anyOf": [{ "type": "string", "minLength": 1 }, { "const": false }] })
}

fn endpoint() -> Value {
    let mut properties = endpoint_keys();
    properties["token"] = token();
    object(
        "An endpoint. A key that is absent is as in the settings.",
        properties,
    )
}

/// Returns the keys of an endpoint but the token.
fn endpoint_keys() -> Value {
    json!({
        "path": with_default(text("The path of the endpoint."), Some("/ht/".into())),
        "group": text("The only group that the endpoint shows. Without it: all checks, and each group below the path."),
        "anonymous": described("anonymous", "The answer to a request without the token."),
        "unhealthy_status": as_text(json!({
            "description": "The status code of an unhealthy answer.",
            "type": "integer", "minimum": 400, "maximum": 599, "not": { "const": 429 }, "default": 500,
        })),
        "degraded_status": as_text(json!({
            "description": "The status code of a healthy answer in which some row warns or fails.",
            "type": "integer", "minimum": 200, "maximum": 299, "default": 200,
        })),
        "formats": described("names", "The formats that the endpoint offers, the default first."),
    })
}

fn fleet() -> Value {
    let mut properties = json!({
        "url": text("The URL of the Redis server through which the replicas share their verdicts. Write a password as ${VAR} or ${file:/path}."),
        "name": text("The name of the fleet. Replicas with the same name share their verdicts."),
        "own": duration("The interval at which each replica probes for itself.", Some("60s")),
        "secret": text("The key of the hashes that name the shared checks: with it, checks that differ in the value of a secret header are different checks. It is the same in all replicas."),
    });
    for (key, meaning) in Login::KEYS.iter().chain(TlsSettings::KEYS) {
        properties[*key] = if *key == "verify" {
            flag(meaning, Some(true))
        } else {
            text(meaning)
        };
    }
    let mut fleet = object(
        "The fleet, whose replicas share their verdicts.",
        properties,
    );
    fleet["required"] = json!(["url", "name"]);
    fleet
}

fn group() -> Value {
    let properties = json!({
        "budget": duration("The longest that a reader of this group waits.", None),
        "warnings_as_errors": flag("Makes a warning fail this group.", None),
        "anonymous": described("anonymous", "The answer to a request for this group without the token."),
        "hold": described("hold", "The time for which a failing external check that has worked before does not fail this group."),
        "drains": flag("Makes a group of your own fail while the service drains.", Some(true)),
        "allow_in_live": described("names", "Checks that are allowed in live although a restart does not repair what they look at."),
        "waive": { "description": "An older name of allow_in_live.", "deprecated": true, "$ref": "#/$defs/names" },
    });
    object("A group.", properties)
}

/// Returns the schemas of the keys that any check takes, by name.
fn common() -> Value {
    let run = as_text(json!({ "type": "integer", "minimum": 1, "default": 1 }));
    json!({
        "name": text("The identifier of the check, in place of the kind's own."),
        "enabled": flag("Leaves the check out if it is false.", Some(true)),
        "critical": flag("Makes the service unhealthy when the check has an error.", Some(true)),
        "groups": described("names", "The groups that the check belongs to."),
        "timeout": duration("The longest that one run may take.", None),
        "ttl": duration("The time for which a verdict is fresh.", None),
        "reconnect": duration("The longest that the check keeps a connection of its own.", None),
        "hold": described("hold", "The length of this check's hold, in groups that have one."),
        "every": duration("The interval of runs in the background, in place of runs when the check is read.", None),
        "thresholds": object("The number of runs in a row that change the verdict.", json!({ "rise": run, "fall": run })),
        "depends_on": described("names", "The checks that this one needs to work."),
        "shared": flag("True if the replicas of the fleet share the check. By default, checks of a server over the network are shared.", None),
        "labels": {
            "description": "Names and values for metrics.",
            "type": "object",
            "additionalProperties": { "type": "string" },
        },
    })
}

/// Returns the schema of a table of this kind: its own keys, those of all checks, and no others. A
/// check that is switched off may leave out any of them.
fn of_kind(kind: &Kind) -> Value {
    let mut schema = kind.schema();
    let mut properties = Map::from_iter([("kind".to_owned(), json!({ "const": kind.name }))]);
    if let Some(Value::Object(own)) = schema.get_mut("properties").map(Value::take) {
        properties.extend(own.into_iter().map(|(key, own)| (key, or_variable(own))));
    }
    for (key, meaning) in kind.login_keys().chain(kind.tls_keys()) {
        let property = if key == "verify" {
            flag(meaning, Some(true))
        } else {
            text(meaning)
        };
        properties.insert(key.to_owned(), property);
    }
    for &key in COMMON {
        properties.insert(
            key.to_owned(),
            json!({ "$ref": format!("#/$defs/common/{key}") }),
        );
    }
    let is_filled = |key: &Value| kind.variables.iter().any(|variable| key == variable.key);
    let own = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let required: Vec<_> = own.filter(|key| !is_filled(key)).collect();
    let mut schema = json!({
        "title": kind.name,
        "description": kind.summary,
        "properties": properties,
        "required": ["kind"],
        "additionalProperties": false,
        "not": { "required": ["ttl", "every"] },
    });
    if !required.is_empty() {
        schema["if"] =
            json!({ "properties": { "enabled": { "const": false } }, "required": ["enabled"] });
        schema["else"] = json!({ "required": required });
    }
    schema
}

/// Accepts text as well, because a variable yields text for a key that wants a word, a number or a
/// switch.
fn or_variable(mut property: Value) -> Value {
    let is_typed = |property: &Value| {
        let kind = property.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| ["boolean", "integer", "number"].contains(&kind))
    };
    let any = property.get("anyOf").and_then(Value::as_array);
    let takes_text = any.is_some_and(|any| {
        any.iter()
            .any(|one| one.get("type") == Some(&json!("string")))
    });
    if (is_typed(&property) || any.is_some_and(|any| any.iter().any(is_typed))) && !takes_text {
        return as_text(property);
    }
    let words = property.get("oneOf").and_then(Value::as_array);
    if words.is_some_and(|words| {
        words
            .iter()
            .all(|word| word.get("const").is_some_and(Value::is_string))
    }) && let Some(words) = property.get_mut("oneOf").map(Value::take)
        && let Some(property) = property.as_object_mut()
    {
        property.remove("oneOf");
        property.insert("anyOf".into(), json!([{ "oneOf": words }, variable()]));
    }
    property
}

/// Returns a schema that also accepts text that stands for the value.
fn as_text(mut property: Value) -> Value {
    let kept = ["description", "default"].map(|key| (key, property.get(key).cloned()));
    if let Some(property) = property.as_object_mut() {
        for (key, _) in &kept {
            property.remove(*key);
        }
    }
    let is_switch = property.get("type") == Some(&json!("boolean"));
    let text = if is_switch {
        "\\$\\{|^(true|false|1|0)$"
    } else {
        "\\$\\{|^(false|none|off|[0-9.]+)$"
    };
    let text = json!({ "type": "string", "pattern": text });
    let mut both = json!({ "anyOf": [property, text] });
    for (key, value) in kept {
        if let Some(value) = value {
            both[key] = value;
        }
    }
    both
}

fn words(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, variable()] })
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{" })
}

#[expect(clippy::needless_pass_by_value, reason = "it is moved into the schema")]
fn object(description: &str, properties: Value) -> Value {
    json!({ "description": description, "type": "object", "properties": properties, "additionalProperties": false })
}

fn described(definition: &str, description: &str) -> Value {
    json!({ "description": description, "$ref": format!("#/$defs/{definition}") })
}

fn duration(description: &str, default: Option<&str>) -> Value {
    with_default(described("duration", description), default.map(Value::from))
}

fn flag(description: &str, default: Option<bool>) -> Value {
    as_text(with_default(
        json!({ "description": description, "type": "boolean" }),
        default.map(Value::from),
    ))
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

fn with_default(mut schema: Value, default: Option<Value>) -> Value {
    if let (Some(schema), Some(default)) = (schema.as_object_mut(), default) {
        schema.insert("default".into(), default);
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    /// Returns the keys that the reader knows, from its error about an unknown key.
    fn known(text: &str) -> BTreeSet<String> {
        let error = Config::from_text("x", text, &|_| None, &Options::default()).unwrap_err();
        let (_, keys) = error.message().split_once("the keys are ").unwrap();
        keys.split(", ").map(str::to_owned).collect()
    }

    fn keys(schema: &Value) -> BTreeSet<String> {
        schema.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_the_reader_has() {
        let schema = schema(&Options::default());
        assert_eq!(
            keys(&schema["properties"]["settings"]["properties"]),
            known("[settings]\nqqqqqqqqqqqqqqqq = 1\n")
        );
        let group = &schema["properties"]["groups"]["additionalProperties"]["properties"];
        assert_eq!(keys(group), known("[groups.a]\nqqqqqqqqqqqqqqqq = 1\n"));
        #[cfg(feature = "fleet")]
        assert_eq!(
            keys(&schema["properties"]["fleet"]["properties"]),
            known("[fleet]\nqqqqqqqqqqqqqqqq = 1\n")
        );
        let endpoint = &schema["properties"]["endpoints"]["items"]["properties"];
        assert_eq!(
            keys(endpoint),
            known("[[endpoints]]\nqqqqqqqqqqqqqqqq = 1\n")
        );
        let common = &schema["$defs"]["common"];
        assert_eq!(
            keys(common),
            COMMON.iter().map(ToString::to_string).collect()
        );
        for kind in schema["properties"]["checks"]["items"]["oneOf"]
            .as_array()
            .unwrap()
        {
            let name = kind["title"].as_str().unwrap();
            let mut known = known(&format!(
                "[[checks]]\nkind = \"{name}\"\nqqqqqqqqqqqqqqqq = 1\n"
            ));
            known.insert("kind".into());
            assert_eq!(keys(&kind["properties"]), known, "{name}");
            let thresholds = self::known(&format!(
                "[[checks]]\nkind = \"{name}\"\nthresholds = {{ qqqqqqqqqqqqqqqq = 1 }}\n"
            ));
            assert_eq!(keys(&common["thresholds"]["properties"]), thresholds);
        }
    }
}
