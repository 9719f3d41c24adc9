//! Shapes that are not derived: values that are text or bytes, and texts that are secret.
//!
//! Invariant: no schema holds an example of a real secret.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{FieldPatches, FieldValue, Fields, SecretText};

/// Fields of one version; the server's limit.
const FIELDS_MAX: u32 = 256;

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A secret." })
    }
}

impl JsonSchema for FieldValue {
    fn schema_name() -> Cow<'static, str> {
        "FieldValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The value of one field: text, or bytes; 64 KiB at most.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "base64": { "type": "string", "contentEncoding": "base64" } },
                    "required": ["base64"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Fields {
    fn schema_name() -> Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(shapes: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "maxProperties": FIELDS_MAX,
            "additionalProperties": shapes.subschema_for::<FieldValue>(),
        })
    }
}

impl JsonSchema for FieldPatches {
    fn schema_name() -> Cow<'static, str> {
        "FieldPatches".into()
    }

    fn json_schema(shapes: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`null` removes a field.",
            "type": "object",
            "maxProperties": FIELDS_MAX,
            "additionalProperties": { "anyOf": [shapes.subschema_for::<FieldValue>(), { "type": "null" }] },
        })
    }
}

/// What is a time is told by its name.
pub(super) fn date_times(shape: &mut Value) {
    let properties = shape.get_mut("properties");
    let Some(properties) = properties.and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if name.ends_with("_at") || name == "valid_until" {
            property["format"] = json!("date-time");
        }
    }
}

/// Of what is given, a key that does not apply is absent: never null, and with no default.
pub(super) fn as_given(shape: &mut Value) {
    match shape {
        Value::Object(members) => {
            members.remove("default");
            if let Some(Value::Array(kinds)) = members.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = &kinds[..] {
                    let kind = kind.clone();
                    members.insert("type".to_owned(), kind);
                }
            }
            members.values_mut().for_each(as_given);
        }
        Value::Array(items) => items.iter_mut().for_each(as_given),
        _ => {}
    }
}
