//! `docs/openapi.json`: written from the code, whole, and true of every answer, to which `support/described.rs` sees.

use std::collections::{BTreeMap, BTreeSet};

use coffer::http::{OPEN_ROUTES, ROUTES};
use coffer_api::openapi::{document, rows};
use serde_json::{Value, json};

use crate::support::described::{DOCUMENT, fits};

const WRITE: &str =
    "cargo run --locked -p coffer-api --features openapi --example openapi -- docs/openapi.json";

#[test]
fn the_committed_document_is_what_the_code_writes() {
    let committed = include_str!("../../docs/openapi.json");
    let written = format!("{:#}\n", document());
    assert!(committed == written, "write it anew: {WRITE}");
}

#[test]
fn every_route_is_described_once_with_its_action() {
    let mut described: BTreeMap<String, Option<&str>> = BTreeMap::new();
    for row in rows() {
        let name = format!("{} {}", row.method, row.pattern);
        let action = row.action.map(|(action, _)| action);
        assert!(
            described.insert(name, action).is_none(),
            "{} twice",
            row.pattern
        );
    }
    let through_door = ROUTES.iter().map(|route| {
        let name = format!("{} {}", route.method, route.pattern);
        (name, Some(route.action.as_str()))
    });
    let open = OPEN_ROUTES
        .iter()
        .map(|route| (format!("{} {}", route.method, route.pattern), None));
    assert_eq!(described, through_door.chain(open).collect());
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .flat_map(|path| path.as_object().expect("an object"));
    assert_eq!(operations.count(), ROUTES.len() + OPEN_ROUTES.len());
}

#[test]
fn names_are_unique_and_examples_fit() {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .flat_map(|path| path.as_object().expect("an object"));
    let (mut names, mut examples) = (BTreeSet::new(), 0);
    for (_, operation) in operations {
        let name = operation["operationId"].as_str().expect("a name");
        assert!(names.insert(name), "{name} twice");
        let body = &operation["requestBody"]["content"]["application/json"];
        if body.is_object() {
            fits(&body["schema"], &body["example"]).expect(name);
            examples += 1;
        }
    }
    assert!(examples > 10, "{examples}");
}

/// What holds answers to the document finds what is wrong with one.
#[test]
fn what_does_not_fit_is_found() {
    let shape = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let secret = json!({
        "path": "p/e/s", "version": 1, "state": "current", "created_at": "2026-01-02T03:04:05.000006Z",
        "fields": { "a": "text", "b": { "base64": "AP8=" } },
    });
    let read = |key: &str, value: Value| {
        let mut secret = secret.clone();
        secret[key] = value;
        fits(&shape("Secret"), &secret)
    };
    assert_eq!(fits(&shape("Secret"), &secret), Ok(()));
    for (key, wrong) in [
        ("path", json!(1)),
        ("version", json!(-1)),
        ("version", json!("1")),
        ("state", json!("lost")),
        ("created_at", json!("2026-01-02T03:04:05Z")),
        ("fields", json!({ "a": null })),
        ("fields", json!({ "a": { "base64": "", "x": 1 } })),
        ("rotates_at", json!(null)),
        ("unheard_of", json!(1)),
    ] {
        let found = read(key, wrong.clone());
        assert!(found.is_err(), "{key}: {wrong}");
    }
    let mut less = secret.clone();
    less.as_object_mut().expect("an object").remove("state");
    assert!(fits(&shape("Secret"), &less).is_err());
    assert!(
        fits(
            &shape("SetRotation"),
            &json!({ "every": 60, "unheard_of": 1 })
        )
        .is_err()
    );
}
