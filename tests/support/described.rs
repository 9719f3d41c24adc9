//! Every answer to every story is held to `docs/openapi.json`: its status, its type, its headers, its body.
//! The schemas are those of this document alone: a keyword that is not known here fails the test that meets it.
//!
//! Invariant: an answer that the document does not have fails the story that got it.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Map, Value};

use super::client::Answer;

/// The committed document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../docs/openapi.json");
    serde_json::from_str(text).expect("it is JSON")
});

/// An answer is one that the document has.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let operation = template(path).map(|path| &path[method.as_str().to_lowercase()]);
    let place = format!("{method} {path}: {}", answer.text());
    let Some(operation) = operation.filter(|operation| operation.is_object()) else {
        // Another path, or another method of this one: a problem all the same.
        assert!(matches!(answer.status(), 400 | 404 | 405), "{place}");
        let problem = resolved(&DOCUMENT["components"]["schemas"]["Problem"]);
        let whole = method == Method::HEAD || answer.bytes().is_empty();
        return assert!(whole || fits(problem, &answer.json()).is_ok(), "{place}");
    };
    let response = &operation["responses"][answer.status().to_string()];
    assert!(response.is_object(), "no such answer is described: {place}");
    let response = resolved(response);
    for (name, header) in response["headers"].as_object().expect("headers") {
        let may_be_missing = resolved(header)["required"] == false;
        let is_there = answer.header(name).is_some();
        assert!(is_there || may_be_missing, "no {name}: {place}");
    }
    let etag = answer.header("etag").is_some();
    assert_eq!(etag, response["headers"]["ETag"].is_object(), "{place}");
    let Some(content) = response["content"].as_object() else {
        return assert!(answer.bytes().is_empty(), "a body: {place}");
    };
    let kind = answer.header("content-type").unwrap_or_default();
    let described = content.get(kind);
    let described = described.unwrap_or_else(|| panic!("another type, {kind}: {place}"));
    if kind.ends_with("json")
        && let Err(why) = fits(&described["schema"], &answer.json())
    {
        panic!("{why}: {place}");
    }
}

/// The path of the document that this one is; a secret's path, and a tile's, is all that is left.
fn template(path: &str) -> Option<&'static Value> {
    let asked: Vec<&str> = path.split('/').collect();
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let fitting = paths.iter().filter(|(template, _)| {
        let parts: Vec<&str> = template.split('/').collect();
        let takes_rest = matches!(parts.last(), Some(&("{path}" | "{tile}")));
        let rest = takes_rest && asked.len() > parts.len();
        (asked.len() == parts.len() || rest)
            && parts
                .iter()
                .zip(&asked)
                .all(|(part, asked)| part.starts_with('{') || part == asked)
    });
    // What is named goes before what may be anything.
    let best = fitting.min_by_key(|(template, _)| template.matches('{').count());
    best.map(|(_, path)| path)
}

/// What a reference leads to.
fn resolved(schema: &Value) -> &Value {
    let Some(reference) = schema["$ref"].as_str() else {
        return schema;
    };
    let found = DOCUMENT.pointer(reference.trim_start_matches('#'));
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// Whether a value is as a schema says, or the first thing that is not.
///
/// # Errors
/// What is wrong, where.
pub fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let schema = schema.as_object().expect("a schema is an object");
    for (keyword, wanted) in schema {
        let holds = match keyword.as_str() {
            "$ref" => {
                let shape = resolved(&Value::Object(schema.clone())).clone();
                only_known_keys(&shape, value)?;
                fits(&shape, value)?;
                true
            }
            "type" => {
                wanted.as_str().is_some_and(|kind| is(kind, value))
                    || wanted.as_array().is_some_and(|kinds| {
                        kinds
                            .iter()
                            .any(|kind| is(kind.as_str().unwrap_or_default(), value))
                    })
            }
            "const" => wanted == value,
            "enum" => wanted.as_array().is_some_and(|known| known.contains(value)),
            "anyOf" => each(wanted).any(|one| fits(one, value).is_ok()),
            "oneOf" => each(wanted).filter(|one| fits(one, value).is_ok()).count() == 1,
            "allOf" => each(wanted)
                .map(|one| fits(one, value))
                .collect::<Result<Vec<_>, _>>()
                .map(|_| true)?,
            "properties" => properties(wanted, value)?,
            "required" => {
                each(wanted).all(|name| value.get(name.as_str().unwrap_or_default()).is_some())
            }
            "additionalProperties" => others(schema, wanted, value)?,
            "items" => value
                .as_array()
                .is_none_or(|items| items.iter().all(|item| fits(wanted, item).is_ok())),
            "minimum" => value
                .as_f64()
                .is_none_or(|value| wanted.as_f64().is_some_and(|least| value >= least)),
            "maximum" => value
                .as_f64()
                .is_none_or(|value| wanted.as_f64().is_some_and(|most| value <= most)),
            "maxProperties" => value
                .as_object()
                .is_none_or(|members| members.len() as u64 <= wanted.as_u64().unwrap_or(0)),
            "format" => value
                .as_str()
                .is_none_or(|text| wanted != "date-time" || is_time(text)),
            "description" | "default" | "contentEncoding" => true,
            other => panic!("the keyword {other} is not known here"),
        };
        if !holds {
            return Err(format!("{value} is not as `{keyword}` wants, {wanted}"));
        }
    }
    Ok(())
}

/// A shape may grow in a later release; in this one an answer has no key that it does not name.
fn only_known_keys(shape: &Value, value: &Value) -> Result<(), String> {
    let (Some(known), Some(members)) = (shape["properties"].as_object(), value.as_object()) else {
        return Ok(());
    };
    match members.keys().find(|name| !known.contains_key(*name)) {
        Some(name) => Err(format!("the key {name} is not described")),
        None => Ok(()),
    }
}

fn properties(wanted: &Value, value: &Value) -> Result<bool, String> {
    let named = wanted.as_object().expect("properties are an object");
    for (name, schema) in named {
        if let Some(member) = value.get(name) {
            fits(schema, member).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(true)
}

fn others(schema: &Map<String, Value>, wanted: &Value, value: &Value) -> Result<bool, String> {
    let known = schema.get("properties").and_then(Value::as_object);
    let members = value.as_object().into_iter().flatten();
    let mut others =
        members.filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)));
    if wanted == &Value::Bool(false) {
        return Ok(others.next().is_none());
    }
    others.try_for_each(|(_, member)| fits(wanted, member))?;
    Ok(true)
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().expect("a list").iter()
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}

/// RFC 3339, UTC, with microseconds: `2026-01-02T03:04:05.000006Z`.
fn is_time(text: &str) -> bool {
    let pattern = b"0000-00-00T00:00:00.000000Z";
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern)
            .all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                other => byte == *other,
            })
}
