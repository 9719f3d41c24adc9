//! What never reaches the door leaves no record of its own: it is counted by source and reason, and the system sums it up,
//! at the latest when the server stops.

use serde_json::json;

use super::column::{Shown, damaged};
use super::rows::ROWS;
use super::tally::Tally;
use super::{Fill, ask};
use crate::support::vault::both_engines;

both_engines! {
    async fn who_shows_no_token_is_counted(v: TestVault) {
        let mut v = v;
        v.start_jobs();
        let export = v.get("/audit/export", &v.root).await.is(200).text();
        let before = Tally::of_lines(export.lines());
        let fill = Fill::nothing();
        let malformed = Shown::Malformed(damaged(&v.root.text));
        for row in ROWS {
            ask(&v, row, &fill, &Shown::Nothing).await.is_problem(401, "token-missing");
            for _ in 0..2 {
                ask(&v, row, &fill, &malformed).await.is_problem(401, "token-invalid");
            }
        }
        v.get("/projects?x=1", &v.root).await.is_problem(400, "bad-request");
        let v = v.restart().await;
        let records = v.audit().await;
        let all: Vec<_> = records.all().iter().filter(|record| record.text("principal") != Some("system/streams")).collect();
        assert_eq!(all.len() as i64, before.len() + 2, "the summary, and that the server stopped");
        let summary = records.all().iter().find(|record| record.text("principal") == Some("system/door")).expect("a summary");
        let said = ["action", "resource", "verdict"].map(|key| summary.text(key).expect("text"));
        assert_eq!(said, ["audit", "sys/door", "allowed"]);
        let counts = json!({
            "127.0.0.1 token-missing": ROWS.len().to_string(),
            "127.0.0.1 token-malformed": (2 * ROWS.len()).to_string(),
            "127.0.0.1 bad-request": "1",
        });
        assert_eq!(summary.member("metadata"), &counts);
    }
}
