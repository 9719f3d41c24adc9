//! The API as an OpenAPI 3.1 document, made of the shapes of this crate and of one table of routes.
//! It is committed as `docs/openapi.json`, which the server gives to everybody. Write it anew after a change:
//! `cargo run --locked -p coffer-api --features openapi --example openapi -- docs/openapi.json`.
//!
//! Invariant: tests hold the table to the server's own, and every answer of every story to the document.

mod parameters;
mod row;
mod rows;
mod schemas;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

pub use row::Row;
pub use rows::rows;

use crate::{PROBLEM_JSON, PROBLEMS, Problem};

/// The whole document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    // What is sent is described as it is sent; what is taken, as it is taken.
    let mut given = settings.clone().for_serialize().into_generator();
    let mut taken = settings.for_deserialize().into_generator();
    given.subschema_for::<Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for row in rows() {
        let operation = row.operation(&mut given, &mut taken);
        let path = paths.entry(row.template()).or_insert_with(|| json!({}));
        path[row.method.to_lowercase()] = operation;
    }
    let mut shapes = taken.take_definitions(true);
    for (name, mut shape) in given.take_definitions(true) {
        schemas::as_given(&mut shape);
        let other = shapes.insert(name.clone(), shape.clone());
        assert!(
            other.is_none_or(|other| other == shape),
            "{name} is taken in another shape than it is given"
        );
    }
    shapes.values_mut().for_each(schemas::date_times);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Coffer",
            "version": "1",
            "summary": "Secrets and access tokens, handed out over HTTPS; every use is recorded.",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "https://127.0.0.1:8200", "description": "What `coffer-server dev` listens on" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": shapes,
            "parameters": parameters::all(),
            "headers": parameters::answered(),
            "responses": responses(),
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "cof_<kind>_<43 base62>_<6 base62>",
                "description": "A token; it is never in a URL.",
            } },
        },
    })
}

const DESCRIPTION: &str = "Conventions, limits and what is recorded: docs/api.md. Times are RFC 3339, UTC, with \
    microseconds; durations are whole seconds. The slashes of a secret's path are sent as they are: `%2F` is refused. A \
    method that a path does not have is 405.";

/// For each status the problems that most routes have in common.
fn responses() -> Map<String, Value> {
    let statuses = [400, 401, 403, 404, 408, 413, 415, 429, 500, 503];
    let shared = statuses.map(|status| {
        let codes: Vec<&str> = row::SHARED
            .iter()
            .copied()
            .filter(|code| status_of(code) == status)
            .collect();
        (format!("Problem{status}"), problem(status, &codes))
    });
    shared.into_iter().collect()
}

/// A refusal of this status, with one of these codes.
fn problem(status: u16, codes: &[&str]) -> Value {
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } });
    let mut required = vec!["code", "detail", "request_id"];
    if matches!(status, 429 | 503) {
        headers["Retry-After"] = json!({ "$ref": "#/components/headers/Retry-After" });
        required.push("retry_after");
    }
    if status == 401 {
        headers["WWW-Authenticate"] = json!({ "$ref": "#/components/headers/WWW-Authenticate" });
    }
    json!({
        "description": codes.join(", "),
        "headers": headers,
        "content": { PROBLEM_JSON: { "schema": {
            "allOf": [{ "$ref": "#/components/schemas/Problem" }],
            "properties": { "status": { "const": status }, "code": { "enum": codes } },
            "required": required,
        } } },
    })
}

fn status_of(code: &str) -> u16 {
    let known = PROBLEMS.iter().find(|(_, known)| *known == code);
    known.map_or_else(|| panic!("{code} is in no list"), |(status, _)| *status)
}
