//! Parameters and headers, each described once.
//!
//! Invariant: a name stands for one thing, wherever it is asked for.

use serde_json::{Map, Value, json};

/// `[a-z][a-z0-9-]{0,62}`: projects, environments, applications.
const NAME: &str = "^[a-z][a-z0-9-]{0,62}$";
const FIELD: &str = "^[A-Za-z_][A-Za-z0-9_.-]{0,127}$";
/// The one header that an answer may have or not.
pub(super) const REPLAYED: &str = "Idempotency-Replayed";
const PART: &str = "[A-Za-z0-9_][A-Za-z0-9_.@:=~+-]{0,127}";

const TILE: &str =
    r"^([0-9]|[1-5][0-9]|6[0-3]|entries)/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$";

/// A part of a path.
pub(super) fn place(name: &str) -> Value {
    let (says, schema) = match name {
        "project" => ("A project.", json!({ "type": "string", "pattern": NAME })),
        "environment" => (
            "An environment of it.",
            json!({ "type": "string", "pattern": NAME }),
        ),
        "path" => (
            "A secret's path: one to sixteen parts, 512 bytes at most. Its slashes are sent as they are.",
            json!({ "type": "string", "maxLength": 512, "pattern": format!("^{PART}(/{PART}){{0,15}}$") }),
        ),
        "name" => (
            "A connection's name: a path of one part.",
            json!({ "type": "string", "pattern": format!("^{PART}$") }),
        ),
        "id" => (
            "A token's id.",
            json!({ "type": "string", "format": "uuid" }),
        ),
        "stream" => (
            "A stream of the log, as `/audit/head` lists it.",
            json!({ "type": "string", "format": "uuid" }),
        ),
        "tile" => (
            "`LEVEL/INDEX` or `entries/INDEX`, with `.p/WIDTH` for a partial tile. Its slashes are sent as they are.",
            json!({ "type": "string", "pattern": TILE }),
        ),
        other => panic!("{other} is no part of a path"),
    };
    json!({ "name": name, "in": "path", "required": true, "description": says, "schema": schema })
}

/// All that a query or a head may say.
pub(super) fn all() -> Map<String, Value> {
    let number = |least: u32| json!({ "type": "integer", "format": "int64", "minimum": least });
    let flag = json!({ "type": "boolean", "default": false });
    let text = json!({ "type": "string" });
    let rows = [
        (
            "version",
            "query",
            "This version, as long as it is not destroyed.",
            number(1),
        ),
        (
            "previous",
            "query",
            "The version before the current one, until its `valid_until`. Not beside `version`.",
            flag.clone(),
        ),
        (
            "fields",
            "query",
            "These fields alone.",
            json!({ "type": "array", "minItems": 1, "maxItems": 256, "items": { "type": "string", "pattern": FIELD } }),
        ),
        (
            "if_version",
            "query",
            "Only if this is the current version; 0: if there is none. One condition at most.",
            number(0),
        ),
        ("prefix", "query", "What lies below this.", text.clone()),
        (
            "recursive",
            "query",
            "All that lies below, and no folders.",
            flag,
        ),
        (
            "cursor",
            "query",
            "The `next_cursor` of this list's last page.",
            text.clone(),
        ),
        (
            "limit",
            "query",
            "Items of a page; more than 100 are not given.",
            json!({ "type": "integer", "format": "int64", "minimum": 1, "default": 100 }),
        ),
        (
            "records",
            "query",
            "Records, the newest; more than 1,000 only with the newest first.",
            json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 100_000, "default": 20 }),
        ),
        (
            "order",
            "query",
            "`oldest`: the newest that are found, the oldest of them first. `newest`: the newest first, each as soon as it is found, and up to 100,000.",
            json!({ "type": "string", "enum": ["oldest", "newest"], "default": "oldest" }),
        ),
        ("since", "query", "From this time on.", when()),
        ("until", "query", "Before this time.", when()),
        (
            "principal",
            "query",
            "By this principal.",
            json!({ "type": "string", "minLength": 1, "maxLength": 768 }),
        ),
        (
            "token",
            "query",
            "With the token of this id.",
            json!({ "type": "string", "format": "uuid" }),
        ),
        ("source", "query", "From this address.", text.clone()),
        (
            "action",
            "query",
            "Of one of these actions, joined by commas.",
            text.clone(),
        ),
        (
            "resource",
            "query",
            "On resources that this covers, as in a scope: `payments/prod/**`.",
            json!({ "type": "string", "minLength": 1, "maxLength": 768 }),
        ),
        (
            "verdict",
            "query",
            "What was let in, or what was not.",
            json!({ "type": "string", "enum": ["allowed", "refused"] }),
        ),
        (
            "outcome",
            "query",
            "With this outcome: a status, or a code.",
            json!({ "type": "string", "pattern": "^([1-9][0-9]{2}|[a-z0-9-]*[a-z-][a-z0-9-]*)$", "maxLength": 768 }),
        ),
        (
            "request",
            "query",
            "Of the request of this id.",
            json!({ "type": "string", "pattern": "^[0-9a-f]{16}-(0|[1-9a-f][0-9a-f]{0,15})$" }),
        ),
        (
            "format",
            "query",
            "How records are written.",
            json!({ "type": "string", "enum": ["jsonl"], "default": "jsonl" }),
        ),
        (
            "min_ttl",
            "query",
            "Seconds that the token shall live at least; waits for a refresh, ten seconds at most.",
            json!({ "type": "integer", "format": "int64", "minimum": 0, "default": 0 }),
        ),
        (
            "If-None-Match",
            "header",
            "On a read: versions that are known, answered with 304. On a write: `*`, it must not exist.",
            text.clone(),
        ),
        (
            "If-Match",
            "header",
            "Only if this is the current version's `ETag`. One condition at most.",
            text,
        ),
        (
            "Idempotency-Key",
            "header",
            "Sent again with the same request by the same token within a day, it is done once and answered again.",
            json!({ "type": "string", "minLength": 1, "maxLength": 130 }),
        ),
        (
            "Coffer-Metadata",
            "header",
            "A JSON object of at most 8 strings, 512 bytes; it is recorded as sent.",
            json!({ "type": "string", "maxLength": 512 }),
        ),
    ];
    let described = rows.map(|(key, at, says, schema)| {
        let name = if key == "records" { "limit" } else { key };
        let mut parameter =
            json!({ "name": name, "in": at, "description": says, "schema": schema });
        if key == "fields" {
            parameter["style"] = json!("form");
            parameter["explode"] = json!(false);
        }
        (key.to_owned(), parameter)
    });
    described.into_iter().collect()
}

/// A time of a record.
fn when() -> Value {
    json!({ "anyOf": [
        { "type": "string", "format": "date-time", "pattern": "Z$" },
        { "type": "integer", "minimum": 0, "description": "How many seconds ago." },
    ] })
}

/// Headers of answers.
pub(super) fn answered() -> Map<String, Value> {
    let rows = [
        (
            "X-Request-Id",
            "Names the request, here and in the audit log.",
            json!({ "type": "string" }),
        ),
        (
            "ETag",
            "Names the secret and its version.",
            json!({ "type": "string" }),
        ),
        (
            "Retry-After",
            "Seconds.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        (
            "WWW-Authenticate",
            "Which kind of token is wanted.",
            json!({ "type": "string", "const": "Bearer" }),
        ),
        (
            REPLAYED,
            "On the answer of an earlier request, given again.",
            json!({ "type": "string", "const": "true" }),
        ),
    ];
    let described = rows.map(|(name, says, schema)| {
        let required = name != REPLAYED;
        let header = json!({ "description": says, "required": required, "schema": schema });
        (name.to_owned(), header)
    });
    described.into_iter().collect()
}
