//! A sealed server: the built one, whose passphrase nobody has brought yet. It answers 503 whatever is asked and whoever
//! asks, and when it is unsealed the log knows nothing of it.

use coffer::store::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use super::column::{Shown, damaged, stranger};
use super::rows::ROWS;
use super::tally::Tally;
use super::{Fill, ask};
use crate::support::built::{Opened, Place};
use crate::support::scrape::Scrape;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    story(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    story(Engine::Postgres).await;
}

async fn story(engine: Engine) {
    let place = Place::found(engine).await;
    let server = place.serve("one", Opened::ByHand).await;
    let fill = Fill::nothing();
    let callers = [
        Shown::Token(place.root.clone()),
        Shown::Token(stranger()),
        Shown::Malformed(damaged(&place.root.text)),
        Shown::Nothing,
    ];
    for row in ROWS {
        for shown in &callers {
            let answer = ask(&server, row, &fill, shown).await;
            let answer = answer.is_problem(503, "sealed");
            assert!(answer.header("retry-after").is_some(), "{}", row.route);
        }
    }
    server.open(Method::GET, "/health/live").await.is(204);
    let ready = server.open(Method::GET, "/health/ready").await;
    ready.is_problem(503, "sealed");
    let status = server.get("/status", &place.root).await.is(200);
    assert_eq!(status.json(), json!({ "sealed": true }));
    let counted = server.metrics().await;
    let is =
        |counted: &Scrape| ["sealed", "ready"].map(|name| counted.value(&format!("coffer_{name}")));
    assert_eq!(is(&counted), [1.0, 0.0]);
    let refused = counted.value("coffer_http_refusals_total{code=\"sealed\"}");
    assert_eq!(refused, (callers.len() * ROWS.len() + 1) as f64);

    place.unseal("one");
    // Told as unsealed, and open from then on.
    crate::support::eventually("the server is ready", || async {
        let ready = server.open(Method::GET, "/health/ready").await;
        (ready.status() == 204).then_some(())
    })
    .await;
    assert_eq!(is(&server.metrics().await), [0.0, 1.0]);
    let export = server.get("/audit/export", &place.root).await.is(200);
    let records = Tally::of_lines(export.text().lines());
    assert_eq!(
        records.len(),
        2,
        "the first token, and the export: {}",
        export.text()
    );
    for row in ROWS {
        let answer = ask(&server, row, &fill, &Shown::Nothing).await;
        answer.is_problem(401, "token-missing");
    }
    server.stop().await;

    // What was turned away is summed up when there is a log to do so in.
    let server = place.serve("one", Opened::ByFile).await;
    let export = server.get("/audit/export", &place.root).await.is(200);
    let export = export.text();
    let records = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let summaries: Vec<Value> = records
        .filter(|record| record["principal"] == "system/door")
        .collect();
    assert_eq!(summaries.len(), 1, "{summaries:?}");
    let counted = json!({
        "127.0.0.1 sealed": (callers.len() * ROWS.len()).to_string(),
        "127.0.0.1 token-missing": ROWS.len().to_string(),
    });
    assert_eq!(summaries[0]["metadata"], counted);
    server.stop().await;
}
