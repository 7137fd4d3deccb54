//! Reads YAML as JSON values, which suffice for the recipes.

use saphyr::{LoadableYamlNode as _, YamlOwned};
use serde_json::{Map, Value};

/// Parses the only document of a file.
pub(crate) fn yaml(text: &str) -> Value {
    let documents =
        YamlOwned::load_from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(documents.len(), 1, "{text}");
    value(&documents[0])
}

fn value(node: &YamlOwned) -> Value {
    if let Some(nodes) = node.as_vec() {
        return nodes.iter().map(value).collect();
    }
    if let Some(mapping) = node.as_mapping() {
        let entry =
            |(name, of): (&YamlOwned, &YamlOwned)| (name.as_str().unwrap().to_owned(), value(of));
        return Value::Object(mapping.iter().map(entry).collect::<Map<_, _>>());
    }
    let number = || {
        node.as_integer()
            .map(Value::from)
            .or_else(|| node.as_bool().map(Value::from))
    };
    node.as_str()
        .map(Value::from)
        .or_else(number)
        .unwrap_or_else(|| panic!("neither text nor number: {node:?}"))
}
