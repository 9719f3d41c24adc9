//! Everything that a client can send, with a secret in it: where it belongs, in the place of something else, and nowhere.
//!
//! Invariant: an answer that refuses a request is given back, to be looked through.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::matrix::rows::ROWS;
use crate::support::canary::Canary;
use crate::support::client::{Answer, Client, Token};

/// A canary for each place that a client can put one.
pub fn canaries() -> Vec<Canary> {
    let names = [
        "text", "bytes", "patched", "wrong", "header", "query", "path", "key",
    ];
    let numbered = (1..).zip(names);
    numbered
        .map(|(number, name)| Canary::new(name, number))
        .collect()
}

/// Sends every canary through whatever takes one; gives what was answered to those who may not see them.
pub async fn sing(
    server: &Client,
    root: &Token,
    canaries: &[Canary],
    token: &Token,
) -> Vec<(String, Vec<u8>)> {
    let text = |name: &str| {
        canaries
            .iter()
            .find(|canary| canary.name == name)
            .expect("a canary")
            .text()
            .to_owned()
    };
    for (path, name) in [
        ("/projects", "shop"),
        ("/projects/shop/environments", "dev"),
    ] {
        server
            .post(path, json!({ "name": name }), root)
            .await
            .is(201);
    }
    let stripe = "/secrets/shop/dev/stripe";
    let bytes = STANDARD.encode(text("bytes"));
    let fields = json!({ "fields": { "text": text("text"), "bytes": { "base64": bytes } } });
    server.put(stripe, fields, root).await.is(201);
    server
        .patch(
            stripe,
            json!({ "fields": { "text": text("patched") } }),
            root,
        )
        .await
        .is(200);
    let read = server.get(stripe, root).await.is(200);
    assert!(read.text().contains(&text("patched")) && read.text().contains(&bytes));
    for verb in ["rotate", "rewrap"] {
        let path = format!("/keys/shop/dev/{verb}");
        server.call(Method::POST, &path).by(root).await.is(200);
    }
    server.delete(stripe, root).await.is(204);
    server
        .call(Method::POST, "/undelete/shop/dev/stripe")
        .by(root)
        .await
        .is(200);

    let mut answers = Vec::new();
    let mut refused = |what: &str, answer: Answer| {
        assert!(answer.status() >= 400, "{what}: {}", answer.text());
        answers.push((format!("the answer to {what}"), answer.bytes().to_vec()));
    };
    // Each value in the place of another type, of a name, and outside of any place.
    let (wrong, key) = (text("wrong"), text("key"));
    for row in ROWS.iter().filter(|row| !row.body.is_empty()) {
        for body in [
            json!({ key.as_str(): 1 }),
            json!(wrong),
            json!([wrong]),
            json!({ "fields": wrong }),
            json!({ "fields": { "a": [wrong] } }),
            json!({ "fields": { "a": { "base64": wrong } } }),
            json!({ "fields": { "a": { wrong.as_str(): wrong } } }),
            json!({ "name": { "a": wrong } }),
            json!({ "name": format!("{wrong} {wrong}") }),
            json!({ "scopes": [wrong], "ttl": 60 }),
            json!({ "scopes": wrong, "ttl": wrong }),
            json!({ "every": wrong }),
            json!({ "every": 3600, "alphabet": wrong, "length": wrong }),
            json!({ "generate": { "a": { "length": wrong } } }),
            json!({ "token_url": wrong, "client_id": "a", "refresh_token": wrong }),
            json!({ "token_url": "https://a.example/", "client_id": "a\n", "refresh_token": wrong, "client_secret": [wrong] }),
            json!({ "token_url": "https://a.example/", "client_id": "a\n", "refresh_token": wrong, "client_secret": wrong }),
        ] {
            let path = row.path.replace("payments/prod", "shop/dev");
            // What names a key of the body may be repeated: the client has to find it.
            let named = body.as_object().is_some_and(|body| body.contains_key(&key));
            let answer = server
                .call(row.method(), &path)
                .by(root)
                .body(body.clone())
                .await;
            if !named {
                refused(&format!("{} {body}", row.route), answer);
            }
        }
        let broken = format!("{{\"fields\":{{\"a\":\"{wrong}\"}} {wrong}");
        refused(
            row.route,
            server
                .call(row.method(), row.path)
                .by(root)
                .text(&broken)
                .await,
        );
    }
    let header = text("header");
    for (name, value) in [
        ("authorization", format!("Bearer {header}")),
        ("authorization", header.clone()),
        ("authorization", format!("Basic {header}")),
    ] {
        refused(
            name,
            server.call(Method::GET, stripe).header(name, &value).await,
        );
    }
    for (name, value) in [
        ("coffer-metadata", header.clone()),
        ("coffer-metadata", format!("{{\"{header}\":1}}")),
        ("if-none-match", header.clone()),
    ] {
        refused(name, server.get(stripe, root).header(name, &value).await);
    }
    server
        .get(stripe, root)
        .header("cookie", &header)
        .header("x-vault-token", &header)
        .header("x-request-id", &header)
        .await
        .is(200);
    let query = text("query");
    for path in [
        format!("{stripe}?password={query}"),
        format!("{stripe}?version={query}"),
        format!("{stripe}?fields={query}!"),
        format!("/secrets/shop/dev?cursor={query}"),
        format!("{stripe}?token={}", token.text),
    ] {
        refused("a query", server.get(&path, root).await);
    }
    let path = text("path");
    for target in [
        format!("/secrets/shop/dev/{path}%20"),
        format!("/{path}"),
        format!("/tokens/{path}"),
        format!("/projects/{path}"),
    ] {
        refused("a path", server.get(&target, root).await);
    }
    answers
}
