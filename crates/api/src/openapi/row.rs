//! One route as it is described: what it is for, what it takes, what it answers.
//! What all routes have in common is put in here, so that a row says only what is its own.
//!
//! Invariant: a status stands in a row once, with a body or without.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::parameters::{REPLAYED, place};
use super::{problem, status_of};
use crate::API_ROOT;

type Shape = fn(&mut SchemaGenerator) -> Schema;

/// See the module.
pub struct Row {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, as the server's own table has it: `{name}` is one part, `{*name}` the rest.
    pub pattern: &'static str,
    /// What scopes are asked for, on which resource; open routes have neither.
    pub action: Option<(&'static str, &'static str)>,
    name: &'static str,
    summary: &'static str,
    parameters: Vec<&'static str>,
    body: Option<(Shape, Value, bool)>,
    answers: Vec<Answer>,
    codes: Vec<&'static str>,
}

struct Answer {
    status: u16,
    says: &'static str,
    content: Content,
    etag: bool,
}

enum Content {
    Nothing,
    Json(Shape),
    Text(&'static str),
}

/// What any route through the door may be refused with.
const DOOR: [&str; 11] = [
    "bad-request",
    "token-missing",
    "token-invalid",
    "token-expired",
    "token-revoked",
    "too-many-requests",
    "integrity",
    "internal",
    "sealed",
    "unavailable",
    "busy",
];
/// Where a scope is asked for on one resource.
const SCOPED: [&str; 2] = ["forbidden", "not-found"];
/// Where there is a body.
const BODY: [&str; 3] = ["timeout", "too-large", "unsupported-media-type"];

/// What most routes have in common.
pub(super) const SHARED: [&str; 16] = {
    let [a, b, c, d, e, f, g, h, i, j, k] = DOOR;
    let ([l, m], [n, o, p]) = (SCOPED, BODY);
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
};

impl Row {
    /// A route through the door that asks for a scope on one resource.
    pub(super) fn of(
        method: &'static str,
        pattern: &'static str,
        name: &'static str,
        summary: &'static str,
        action: (&'static str, &'static str),
    ) -> Self {
        let changes = method != "GET";
        let mut parameters = vec!["Coffer-Metadata"];
        let mut codes = [&DOOR[..], &SCOPED].concat();
        if changes {
            parameters.push("Idempotency-Key");
            codes.push("idempotency-key-reused");
        }
        Self {
            method,
            pattern,
            action: Some(action),
            name,
            summary,
            parameters,
            body: None,
            answers: Vec::new(),
            codes,
        }
    }

    /// A route outside the door, whose pattern is its whole path.
    pub(super) fn open(pattern: &'static str, name: &'static str, summary: &'static str) -> Self {
        Self {
            action: None,
            parameters: Vec::new(),
            codes: vec!["bad-request"],
            ..Self::of("GET", pattern, name, summary, ("", ""))
        }
    }

    /// Any living token will do, or the operation asks for itself.
    pub(super) fn for_any_token(mut self) -> Self {
        self.codes.retain(|code| !SCOPED.contains(code));
        self
    }

    pub(super) fn takes(mut self, parameters: &[&'static str]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A body, with an example of it; no body at all is as good as an empty object where it is optional.
    pub(super) fn body<T: JsonSchema>(mut self, example: Value, required: bool) -> Self {
        self.body = Some((|shapes| shapes.subschema_for::<T>(), example, required));
        self.codes.extend(BODY);
        self
    }

    pub(super) fn gives<T: JsonSchema>(self, status: u16, says: &'static str) -> Self {
        self.answer(
            status,
            says,
            Content::Json(|shapes| shapes.subschema_for::<T>()),
        )
    }

    pub(super) fn gives_nothing(self, status: u16, says: &'static str) -> Self {
        self.answer(status, says, Content::Nothing)
    }

    pub(super) fn gives_text(self, kind: &'static str, says: &'static str) -> Self {
        self.answer(200, says, Content::Text(kind))
    }

    fn answer(mut self, status: u16, says: &'static str, content: Content) -> Self {
        self.answers.push(Answer {
            status,
            says,
            content,
            etag: false,
        });
        self
    }

    /// What it has given so far carries an `ETag`.
    pub(super) fn with_etag(mut self) -> Self {
        self.answers
            .iter_mut()
            .for_each(|answer| answer.etag = true);
        self
    }

    /// Further refusals.
    pub(super) fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// The path as OpenAPI writes it.
    pub(super) fn template(&self) -> String {
        let pattern = self.pattern.replace("{*", "{");
        match self.action {
            Some(_) => format!("{API_ROOT}{pattern}"),
            None => pattern,
        }
    }

    pub(super) fn operation(
        &self,
        given: &mut SchemaGenerator,
        taken: &mut SchemaGenerator,
    ) -> Value {
        let mut operation = json!({
            "operationId": self.name,
            "summary": self.summary,
            "parameters": self.all_parameters(),
            "responses": self.responses(given),
        });
        match self.action {
            Some((action, resource)) => {
                operation["tags"] = json!([first_part(self.pattern)]);
                operation["description"] = json!(format!("`{action}` on `{resource}`."));
            }
            None => {
                operation["tags"] = json!(["open"]);
                operation["security"] = json!([]);
            }
        }
        if self.name == "readStatus" {
            operation["security"] = json!([{}, { "bearer": [] }]);
        }
        if let Some((shape, example, required)) = &self.body {
            operation["requestBody"] = json!({
                "required": required,
                "content": { "application/json": { "schema": shape(taken), "example": example } },
            });
        }
        operation
    }

    fn all_parameters(&self) -> Vec<Value> {
        let parts = self
            .pattern
            .split('/')
            .filter_map(|part| part.strip_prefix('{'));
        let parts = parts.map(|part| place(part.trim_matches(['*', '}'])));
        let others = self.parameters.iter();
        let others =
            others.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
        parts.chain(others).collect()
    }

    fn responses(&self, given: &mut SchemaGenerator) -> BTreeMap<String, Value> {
        let mut responses = BTreeMap::new();
        for answer in &self.answers {
            let mut response = answer.response(given);
            if self.method != "GET" {
                response["headers"][REPLAYED] =
                    json!({ "$ref": format!("#/components/headers/{REPLAYED}") });
            }
            let known = responses.insert(answer.status.to_string(), response);
            assert!(known.is_none(), "{}: {} twice", self.name, answer.status);
        }
        let mut refusals: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in &self.codes {
            refusals.entry(status_of(code)).or_default().push(code);
        }
        for (status, codes) in refusals {
            let shared = SHARED.iter().filter(|code| status_of(code) == status);
            let response = if shared.eq(&codes) {
                json!({ "$ref": format!("#/components/responses/Problem{status}") })
            } else {
                problem(status, &codes)
            };
            responses.insert(status.to_string(), response);
        }
        responses
    }
}

impl Answer {
    fn response(&self, given: &mut SchemaGenerator) -> Value {
        let mut response = json!({
            "description": self.says,
            "headers": { "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } },
        });
        if self.etag {
            response["headers"]["ETag"] = json!({ "$ref": "#/components/headers/ETag" });
        }
        match self.content {
            Content::Nothing => {}
            Content::Json(shape) => {
                response["content"] = json!({ "application/json": { "schema": shape(given) } });
            }
            Content::Text(kind) => {
                let shape = if kind == "application/json" {
                    "object"
                } else {
                    "string"
                };
                response["content"] = json!({ kind: { "schema": { "type": shape } } });
            }
        }
        response
    }
}

fn first_part(pattern: &str) -> &str {
    pattern
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}
