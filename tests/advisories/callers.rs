//! Group C: what a caller can find out about what it may not see. An answer depends on scopes alone, never on what is there.

use coffer::model::Ttl;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use super::unchanged;
use crate::matrix::column::{damaged, stranger};
use crate::matrix::rows::{ROWS, Row};
use crate::support::client::{Answer, Call, Token};
use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);

/// A problem without what names the request: all that a caller can learn from it.
fn learnt(answer: &Answer) -> Value {
    let mut problem = answer.json();
    let id = problem["request_id"].take();
    let length = answer.bytes().len() - id.as_str().expect("text").len();
    let etag = answer.header("etag").map(str::to_owned);
    json!([answer.status(), problem, length, etag])
}

/// A whole import, whose provider nobody gets as far as to ask.
const NOBODYS_GRANT: &str =
    r#"{"token_url":"https://provider.example/token","client_id":"a","refresh_token":"b"}"#;

fn asked(v: &TestVault, row: &Row, path: &str, token: &Token) -> Call {
    let call = v.call(row.method(), path).by(token);
    if row.body.is_empty() {
        call
    } else {
        call.text(&row.body.replace("{import}", NOBODYS_GRANT))
    }
}

/// The row's path and resource with each of their names replaced in turn by one that nothing bears.
fn absent(row: &Row) -> Vec<(String, String)> {
    let last = row
        .resource
        .rsplit_once('/')
        .map_or(row.resource, |(_, last)| last);
    let names = [
        ("payments", "nilnilni"),
        ("prod", "nil0"),
        ("aged", "nil1"),
        (last, "nilnil"),
    ];
    let names = names
        .iter()
        .filter(|(name, _)| row.resource.split('/').any(|part| part == *name));
    let swapped = |text: &str, (from, to): &(&str, &str)| {
        let parts = text
            .split('/')
            .map(|part| if part == *from { *to } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    // The first part of a path is the route's own.
    let (route, path) = row.path[1..].split_once('/').expect("a name");
    let both = |names| {
        (
            format!("/{route}/{}", swapped(path, names)),
            swapped(row.resource, names),
        )
    };
    names.map(both).collect()
}

both_engines! {
    async fn replay_c09_a_caller_learns_nothing_of_what_is_there(v: TestVault) {
        v.place("payments/aged").await;
        v.place("payments/spare").await;
        v.post("/projects", json!({ "name": "empty" }), &v.root).await.is(201);
        for secret in ["read", "put", "patch", "delete", "destroy", "policy", "planned", "dropped"] {
            v.put(&format!("/rotations/payments/prod/{secret}"), json!({ "every": 3600 }), &v.root).await.is(201);
        }
        let provider = Provider::start().await;
        for connection in ["grant", "dropped-grant"] {
            let path = format!("/connections/payments/prod/{connection}");
            v.post(&path, provider.grant().import(), &v.root).await.is(201);
        }
        v.set("payments/prod/undelete", "value", "1").await;
        v.delete("/secrets/payments/prod/undelete", &v.root).await.is(204);
        let hidden = v.token("read,list,write,delete,destroy,rotate,connect:shop/**", HOUR).await;
        let mut cells = Vec::new();
        // A token's id is D1's, and whoever may see the log may see every stream of it.
        let named = |row: &&Row| row.route.contains('{') && !row.route.contains("{id}") && !row.route.contains("{stream}");
        let rows: Vec<&Row> = ROWS.iter().filter(named).collect();
        for row in &rows {
            // On each exact resource the same other action, whether it exists or not.
            let other = if row.action == "list" { "read" } else { "list" };
            let absent = absent(row);
            assert!(!absent.is_empty(), "{}", row.route);
            let scopes = absent.iter().map(|(_, resource)| resource.as_str()).chain([row.resource]);
            let scopes: Vec<String> = scopes.map(|resource| format!("{other}:{resource}")).collect();
            cells.push((*row, absent, v.token(&scopes.join(" "), HOUR).await));
        }
        assert_eq!(cells.len(), 26);
        unchanged!(v, {
            for (row, absent, forbidden) in &cells {
                for (token, status) in [(&hidden, 404), (forbidden, 403)] {
                    let there = asked(&v, row, row.path, token).await;
                    assert_eq!(there.status(), status, "{}: {}", row.route, there.text());
                    for (path, _) in absent {
                        let absent = asked(&v, row, path, token).await;
                        assert_eq!(learnt(&there), learnt(&absent), "{} {path}", row.route);
                    }
                }
            }
            let id = v.get("/tokens/self", &v.root).await.is(200).json()["id"].as_str().expect("an id").to_owned();
            let (one, other) = (format!("/tokens/{id}"), "/tokens/00000000-0000-0000-0000-000000000000");
            assert_eq!(learnt(&v.delete(&one, &hidden).await), learnt(&v.delete(other, &hidden).await));
        });
    }

    async fn replay_c09_conditions_tell_nothing(v: TestVault) {
        v.set("payments/prod/stripe", "value", "1").await;
        let etag = v.get("/secrets/payments/prod/stripe", &v.root).await.is(200).etag();
        let hidden = v.token("read,list,write,delete:shop/**", HOUR).await;
        let fields = || json!({ "fields": { "value": "2" } });
        unchanged!(v, {
            for name in ["stripe", "absent"] {
                let path = format!("/secrets/payments/prod/{name}");
                for (header, value) in [("if-match", etag.as_str()), ("if-match", "*"), ("if-none-match", "*"), ("if-match", "\"0123456789abcdef.1\"")] {
                    let write = v.put(&path, fields(), &hidden).header(header, value).await;
                    write.is_problem(404, "not-found");
                    let delete = v.delete(&path, &hidden).header(header, value).await;
                    delete.is_problem(404, "not-found");
                }
                let read = v.get(&path, &hidden).header("if-none-match", &etag).await;
                assert_eq!(read.is_problem(404, "not-found").header("etag"), None);
                for query in ["?version=1", "?version=99", "?previous=true", "?fields=value", "?fields=absent"] {
                    v.get(&format!("{path}{query}"), &hidden).await.is_problem(404, "not-found");
                }
                for query in ["?if_version=0", "?if_version=1", "?if_version=99"] {
                    v.put(&format!("{path}{query}"), fields(), &hidden).await.is_problem(404, "not-found");
                }
            }
        });
    }

    async fn replay_c09_dead_tokens_and_strangers_look_alike_wherever_they_ask(v: TestVault) {
        v.set("payments/prod/read", "value", "1").await;
        let dead = v.token("read:payments/**", HOUR).await;
        v.delete(&format!("/tokens/{}", dead.id), &v.root).await.is(204);
        for token in [dead, stranger()] {
            let one = v.get("/secrets/payments/prod/read", &token).await;
            for path in ["/secrets/payments/prod/absent", "/secrets/nil/nil/nil", "/projects", "/audit/key", "/tokens/self"] {
                assert_eq!(learnt(&v.get(path, &token).await), learnt(&one), "{path}");
            }
        }
    }
}

/// A token that is nearly right is as wrong as any: there is no prefix that is answered in another way.
#[tokio::test]
async fn replay_c04_a_token_is_right_or_wrong() {
    let v = TestVault::new(Engine::Sqlite).await;
    let first = v.call(Method::GET, "/tokens/self").header(
        "authorization",
        &format!("Bearer {}", damaged(&v.root.text)),
    );
    let first = first.await.is_problem(401, "token-invalid");
    for at in (0..v.root.text.len()).step_by(3) {
        let (begin, rest) = v.root.text.split_at(at);
        let other = if rest.starts_with('x') { 'y' } else { 'x' };
        let wrong = format!("{begin}{other}{}", &rest[1..]);
        let answer = v
            .call(Method::GET, "/tokens/self")
            .header("authorization", &format!("Bearer {wrong}"))
            .await;
        assert_eq!(learnt(&answer), learnt(&first), "{at}");
    }
    // What holds a MAC or a token cannot be compared with `==`: the types do not have it.
    let tokens = include_str!("../../src/crypto/token.rs");
    assert!(!tokens.contains("PartialEq)]\npub struct") && !tokens.contains("impl PartialEq"));
    let authenticate = include_str!("../../src/door/authenticate.rs");
    assert!(authenticate.contains("token.mac.ct_eq(") && !authenticate.contains("mac =="));
}
