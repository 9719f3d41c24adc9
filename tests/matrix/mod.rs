//! Every route of the program's own table against every kind of caller: the status, and the records that it must leave,
//! counted in a bundle that verifies, after the server has stopped and another has started on the same store.
//!
//! Invariant: no route is left out but the open ones, which are named here.

pub mod column;
mod counted;
pub mod rows;
mod sealed;
mod tally;

use std::collections::BTreeSet;

use coffer::door::Access;
use coffer::http::{OPEN_ROUTES, ROUTES};
use coffer::model::Ttl;
use coffer_audit_log::VerifierKey;
use reqwest::Method;
use serde_json::json;

use crate::support::client::{Answer, Client, Token};
use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};
use column::{COLUMNS, Column, Shared, Shown};
use rows::{Kind, ROWS, Row};
use tally::{Line, Tally};

/// The routes outside the door.
const OPEN: [&str; 4] = [
    "GET /health/live",
    "GET /health/ready",
    "GET /api/v1/status",
    "GET /openapi.json",
];

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let table = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.pattern));
    let rows = ROWS.iter().map(|row| row.route.to_owned());
    assert_eq!(ROWS.len(), ROUTES.len());
    assert_eq!(
        table.collect::<BTreeSet<_>>(),
        rows.collect::<BTreeSet<_>>()
    );
    let open = OPEN_ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.pattern));
    assert_eq!(open.collect::<Vec<_>>(), OPEN);
}

#[test]
fn rows_say_what_the_table_says() {
    for route in ROUTES {
        let name = format!("{} {}", route.method, route.pattern);
        let row = ROWS
            .iter()
            .find(|row| row.route == name)
            .expect("it has a row");
        assert_eq!(route.action.as_str(), row.action, "{name}");
        let fits = match route.access {
            Access::Exact => row.kind == Kind::Exact,
            Access::Reach => matches!(row.kind, Kind::Reach | Kind::Anyone),
            // The operation asks the grant itself.
            Access::Caller => row.kind != Kind::Reach,
            Access::System => false,
        };
        assert!(fits, "{name}: {:?} {:?}", route.access, row.kind);
    }
}

/// What stands for the names in braces of a row.
#[derive(Clone)]
struct Fill {
    /// A token that may be revoked.
    revoked: Token,
    /// The body that imports a grant.
    import: String,
    /// The log's stream.
    stream: String,
}

impl Fill {
    /// What no server looks at, because it asks who asks before.
    fn nothing() -> Self {
        let id = "00000000-0000-0000-0000-000000000000".to_owned();
        let (text, stream) = (String::new(), id.clone());
        Self {
            revoked: Token { text, id },
            stream,
            import: "{}".to_owned(),
        }
    }
}

/// What the rows need, all of it the root's doing.
async fn prepare(v: &TestVault, provider: &Provider) {
    for connection in ["grant", "dropped-grant"] {
        let path = format!("/connections/payments/prod/{connection}");
        let import = provider.grant().import();
        v.post(&path, import, &v.root).await.is(201);
    }
    for place in ["payments/aged", "payments/spare", "shop/dev"] {
        v.place(place).await;
    }
    v.post("/projects", json!({ "name": "empty" }), &v.root)
        .await
        .is(201);
    for secret in ["read", "patch", "delete", "undelete", "destroy"] {
        v.set(&format!("payments/prod/{secret}"), "value", "0")
            .await;
    }
    v.delete("/secrets/payments/prod/undelete", &v.root)
        .await
        .is(204);
    for secret in ["policy", "dropped"] {
        let path = format!("/rotations/payments/prod/{secret}");
        v.put(&path, json!({ "every": 3600 }), &v.root)
            .await
            .is(201);
    }
}

/// Sends a row's request, showing this.
async fn ask(client: &Client, row: &Row, fill: &Fill, shown: &Shown) -> Answer {
    let path = row
        .path
        .replace("{token}", &fill.revoked.id)
        .replace("{stream}", &fill.stream);
    let call = client.call(row.method(), &path);
    let call = match shown {
        Shown::Nothing => call,
        Shown::Malformed(text) => call.header("authorization", &format!("Bearer {text}")),
        Shown::Token(token) => call.by(token),
    };
    if row.body.is_empty() {
        call.await
    } else {
        call.text(&row.body.replace("{import}", &fill.import)).await
    }
}

fn check(answer: Answer, row: &Row, column: Column) {
    let expected = column.expected(row);
    let place = format!("{}: {column:?}: {}", row.route, answer.text());
    assert_eq!(answer.status(), expected.status, "{place}");
    if expected.status >= 400 {
        assert_eq!(answer.json()["code"], expected.code, "{place}");
    }
}

both_engines! {
    async fn every_route_times_every_caller(v: TestVault) {
        let provider = Provider::start().await;
        prepare(&v, &provider).await;
        let key: VerifierKey = v.get("/audit/key", &v.root).await.is(200).json()["key"].as_str().and_then(|key| key.parse().ok()).expect("a key");
        let shared = Shared::make(&v).await;
        let mut cells = Vec::new();
        for row in ROWS {
            let fill = Fill {
                revoked: v.token("read:payments/prod/read", Ttl::seconds(3600)).await,
                import: provider.grant().import().to_string(),
                stream: v.door().holder().stream.to_string(),
            };
            for column in COLUMNS {
                cells.push((row, column, fill.clone(), column.shown(row, &shared, &v).await));
            }
        }
        shared.let_die(&v).await;
        let before = v.get("/audit/export", &v.root).await.is(200).text();
        let mut expected = Tally::of_lines(before.lines());

        for (at, (row, column, fill, shown)) in cells.iter().enumerate() {
            // One source may show so many dead tokens a minute.
            if at % (10 * COLUMNS.len()) == 0 {
                v.advance(Ttl::seconds(60));
            }
            check(ask(&v, row, fill, shown).await, row, *column);
            for line in Line::expected(row, *column, shown) {
                expected.add(line);
            }
        }

        let v = v.restart().await;
        expected.add(Line::closed());
        let bundle = v.get("/audit/bundle", &v.root).await.is(200);
        let report = coffer_audit_log::verify(bundle.bytes(), &key).expect("the bundle verifies");
        let text = bundle.text();
        let records: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
        assert_eq!(records.len() as u64, report.records);
        let (own, records) = records.split_last().expect("the bundle's own record");
        assert!(own.contains(r#""resource":"sys/audit""#), "{own}");
        let found = Tally::of_lines(records.iter().copied());
        assert_eq!(found.differences(&expected), Vec::<String>::new());
    }
}

/// A request is told apart from no route at all before anybody asks who sends it.
#[tokio::test]
async fn every_route_answers_other_methods_with_its_own() {
    let v = TestVault::new(coffer::store::Engine::Sqlite).await;
    for row in ROWS {
        let path = row.path_with("x");
        let answer = v.call(Method::OPTIONS, &path).await;
        let answer = answer.is_problem(405, "method-not-allowed");
        let allowed = answer.header("allow").expect("a list of methods");
        assert!(
            allowed.split(", ").any(|method| *method == row.method()),
            "{path}: {allowed}"
        );
    }
}
