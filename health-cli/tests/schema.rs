//! `health schema` against the results of `health validate` for the same files.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use jsonschema::Validator;
use serde_json::Value;
use support::{folder, run, told};

const EVERYTHING: &str = r#"
[settings]
warnings_as_errors = false
timeout = "1m 30s"
ttl = 0.5
budget = 4
probe_budget = "${PROBE_BUDGET:-800ms}"
max_stale = "30s"
max_concurrency = 8
drain_delay = 0
unhealthy_status = 503
token = "${TOKEN}"
anonymous = "${ANONYMOUS:-status}"
content_security_policy = "default-src 'none'"
instance = "${HOSTNAME:-web-1}"
version = "1.2.3"

[groups.batch]
budget = "2s"
warnings_as_errors = true
anonymous = "nothing"

[groups.live]
waive = ["root disk"]

[[checks]]
kind = "disk"
path = "${DATA:-/}"
usage_max = 85.5
free_min = false
name = "root disk"
enabled = true
critical = false
groups = ["live", "batch"]
timeout = 2
every = "10s"
thresholds = { rise = 2, fall = 3 }
depends_on = ["cache"]
labels = { team = "shop" }

[[checks]]
kind = "cache"
name = "cache"
url = "memory://"
key_prefix = "x"
ttl = 0

[[checks]]
kind = "memory"
min = 50
usage_max = 0
limits = "host"

[[checks]]
kind = "memory"
name = "other memory"
limits = "${LIMITS:-auto}"
thresholds = { fall = 2 }

[[checks]]
kind = "database"
write = true

[[checks]]
kind = "storage"
path = "/tmp"
"#;

fn schema() -> Validator {
    let (code, schema, error) = told(&["schema"], &[]);
    assert!(code == 0 && error.is_empty(), "{error}");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::validator_for(&schema).unwrap()
}

/// Returns whether the schema and the command accept a file.
fn accepted(schema: &Validator, config: &str) -> (bool, bool) {
    let parsed: toml::Table = toml::from_str(config).unwrap();
    let folder = folder(config);
    let variables = [("TOKEN", "t0ken"), ("DATABASE_URL", "sqlite://x.db")];
    let output = run(
        folder.path(),
        &["validate", "--config", "health.toml"],
        &variables,
    );
    (
        schema.is_valid(&serde_json::to_value(parsed).unwrap()),
        output.status.success(),
    )
}

#[test]
fn what_the_command_accepts_the_schema_accepts() {
    let schema = schema();
    for config in [
        "",
        EVERYTHING,
        "checks = []",
        "[settings]",
        "[groups]",
        "[[checks]]\nkind = \"disk\"\nusage_max = 0",
        "[[checks]]\nkind = \"disk\"\nusage_max = \"90\"\nenabled = \"true\"",
        "[settings]\nmax_concurrency = \"${N:-7}\"\nwarnings_as_errors = \"${W:-false}\"",
        "[[checks]]\nkind = \"redis\"\npassword = \"x\"",
        "[[checks]]\nkind = \"database\"\nurl = \"sqlite://a.db\"",
        "[[checks]]\nkind = \"migrations\"",
        "[[checks]]\nkind = \"storage\"\nenabled = false",
        "[[checks]]\nkind = \"disk\"\nenabled = false\nusage_max = 80\ngroups = [\"ready\"]",
    ] {
        assert_eq!(accepted(&schema, config), (true, true), "{config}");
    }
}

#[test]
fn what_is_unknown_or_of_another_type_both_refuse() {
    let schema = schema();
    for config in [
        "setings = {}",
        "settings = 1",
        "[settings]\nttls = 1",
        "[settings]\nttl = true",
        "[settings]\nttl = -1",
        "[settings]\nmax_concurrency = 0",
        "[settings]\nunhealthy_status = 200",
        "[settings]\nanonymous = \"maybe\"",
        "[groups.live]\nwave = []",
        "[groups]\nlive = 1",
        "[[check]]\nkind = \"disk\"",
        "[[checks]]\npath = \"/\"",
        "[[checks]]\nkind = \"dsk\"",
        "[[checks]]\nkind = \"disk\"\npaths = \"/\"",
        "[[checks]]\nkind = \"disk\"\nurl = \"/\"",
        "[[checks]]\nkind = \"disk\"\nusage_max = \"lots\"",
        "[[checks]]\nkind = \"disk\"\nusage_max = true",
        "[[checks]]\nkind = \"memory\"\nlimits = \"hosts\"",
        "[[checks]]\nkind = \"storage\"",
        "[[checks]]\nkind = \"storage\"\nenabled = true",
        "[[checks]]\nkind = \"storage\"\nenabled = false\npaht = \"/tmp\"",
        "[[checks]]\nkind = \"disk\"\nenabled = false\nusage_max = \"lots\"",
        "[[checks]]\nkind = \"dsk\"\nenabled = false",
        "[[checks]]\nkind = \"cache\"\nttl = 1\nevery = 1",
        "[[checks]]\nkind = \"cache\"\ngroups = \"ready\"",
        "[[checks]]\nkind = \"cache\"\nlabels = { a = 1 }",
        "[[checks]]\nkind = \"cache\"\nthresholds = { up = 1 }",
        "[[checks]]\nkind = \"cache\"\nthresholds = { rise = 0 }",
        "[[checks]]\nkind = \"cache\"\ncritical = \"no\"",
    ] {
        assert_eq!(accepted(&schema, config), (false, false), "{config}");
    }
}

#[test]
fn every_kind_may_be_switched_off_without_its_keys() {
    let validator = schema();
    let schema: Value = serde_json::from_str(&told(&["schema"], &[]).1).unwrap();
    for kind in schema["properties"]["checks"]["items"]["oneOf"]
        .as_array()
        .unwrap()
    {
        let config = format!("[[checks]]\nkind = {}\nenabled = false\n", kind["title"]);
        assert_eq!(accepted(&validator, &config), (true, true), "{config}");
        assert_eq!(
            accepted(&validator, &format!("{config}qqqq = 1\n")),
            (false, false),
            "{config}"
        );
    }
}

#[test]
fn every_kind_is_in_it_with_what_editors_show() {
    let schema: Value = serde_json::from_str(&told(&["schema"], &[]).1).unwrap();
    let kinds = schema["properties"]["checks"]["items"]["oneOf"]
        .as_array()
        .unwrap();
    let list = told(&["list"], &[]).1;
    for kind in kinds {
        let title = kind["title"].as_str().unwrap();
        let description = kind["description"].as_str().unwrap();
        assert!(
            list.contains(&format!("{title}: {description}\n")),
            "{title}"
        );
        assert_eq!(kind["properties"]["kind"]["const"], title);
        for (key, property) in kind["properties"].as_object().unwrap() {
            let is_described = key == "kind"
                || property
                    .get("$ref")
                    .or(property.get("description"))
                    .is_some();
            assert!(is_described, "{title}.{key}");
        }
    }
    assert_eq!(
        kinds.len(),
        list.split("\n\n")
            .filter(|part| part.contains("key "))
            .count()
    );
}
