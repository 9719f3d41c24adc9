//! What a database writer did to the log is not made past mending by retention: it prunes nothing of such a log.

use coffer::jobs::prune_records;
use coffer::model::{Refusal, Ttl};

use super::rows::Knife;
use crate::support::vault::both_engines;

/// A segment in the middle is gone.
const DELETE: &str =
    "DELETE FROM segment WHERE first = (SELECT MAX(first) FROM segment WHERE first < 12)";

/// A segment in the middle holds its records under another one's summary.
const SWAP: &str = "UPDATE segment SET sealed = (SELECT sealed FROM segment WHERE first = 0) \
    WHERE first = (SELECT MAX(first) FROM segment WHERE first < 12)";

both_engines! {
    async fn a_log_that_does_not_lead_to_its_heads_is_not_pruned(v: TestVault) {
        let mut v = v;
        for damage in [SWAP, DELETE] {
            for number in 0..8 {
                v.set(&format!("payments/prod/s{number}"), "a", "1").await;
                v.get(&format!("/secrets/payments/prod/s{number}"), &v.root).await.is(200);
            }
            v.advance(Ttl::days(92));
            v.set("payments/prod/new", "a", "1").await;
            v = v.restart_after(async |url| {
                let mut knife = Knife::at(url).await;
                knife.run(damage).await.expect("the damage can be done");
                knife.close().await;
            }).await;
            let pruned = {
                let mut pruner = v.door().pruner(Ttl::days(90));
                prune_records(v.door(), &mut pruner, true, || false).await
            };
            assert!(matches!(pruned, Err(Refusal::Tampered)), "{pruned:?}");
            let (again, said) = v.check().await;
            v = again;
            assert!(!said.is_empty() && said.iter().all(|line| line.contains("segment")), "{said:?}");
        }
    }
}
