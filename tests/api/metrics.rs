//! What a server counts of itself: the exact numbers after known requests, and the page that lists them.

use std::collections::{BTreeMap, BTreeSet};

use coffer::metrics::{Format, Now};
use coffer::model::Ttl;
use reqwest::Method;

use crate::support::scrape::{self, read_by_prometheus};
use crate::support::vault::both_engines;

const STRIPE: &str = "/secrets/payments/prod/stripe";
const SECRET: &str = "/secrets/{project}/{environment}/{*path}";

/// What `docs/metrics.md` says of each family: its type, its labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .strip_prefix("| `")?
            .split('|')
            .map(str::trim)
            .collect();
        let [name, kind, labels, ..] = cells[..] else {
            return None;
        };
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned);
        Some((
            name.trim_end_matches('`').to_owned(),
            (kind.to_owned(), labels.collect()),
        ))
    });
    rows.collect()
}

both_engines! {
    async fn what_is_asked_is_counted(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_live_1").await;
        let reader = v.token("read:payments/prod/stripe", Ttl::seconds(300)).await;
        let etag = v.get(STRIPE, &reader).await.is(200).etag();
        let before = v.metrics().await;
        let records = v.audit().await.all().len() + 1;
        for _ in 0..3 {
            v.get(STRIPE, &reader).await.is(200);
        }
        v.get(STRIPE, &reader).header("if-none-match", &etag).await.is(304);
        v.get("/secrets/payments/prod/other", &reader).await.is_problem(404, "not-found");
        v.call(Method::GET, STRIPE).await.is_problem(401, "token-missing");
        v.get("/nothing", &reader).await.is_problem(404, "no-such-route");
        v.open(Method::GET, "/health/ready").await.is(204);
        v.set("payments/prod/stripe", "api_key", "sk_live_2").await;
        let after = v.metrics().await;

        let mut more = after.since(&before);
        assert_eq!(more.remove("coffer_cache_misses_total"), None, "all of it was in memory");
        let hits = more.remove("coffer_cache_hits_total");
        assert_eq!(hits, Some(5.0 * 2.0), "the places and the secret, of four reads and a write");
        // How long it took, what lies in memory and what the process is are no counts.
        let counts = |series: &str| !["_bucket{", "_seconds_sum{", "coffer_cache_", "coffer_memory_", "process_"].iter().any(|part| series.contains(part));
        more.retain(|series, _| counts(series) && !series.contains("connections"));
        let route = |method: &str, route: &str| format!("method=\"{method}\",route=\"{route}\"");
        let (get, put, ready, none) = (route("GET", SECRET), route("PUT", SECRET), route("GET", "/health/ready"), route("", ""));
        let export = route("GET", "/audit/export");
        let mut expected = BTreeMap::new();
        for (labels, statuses) in [
            (&get, &[("200", 3.0), ("304", 1.0), ("401", 1.0), ("404", 1.0)][..]),
            (&put, &[("200", 1.0)]),
            (&ready, &[("204", 1.0)]),
            (&none, &[("404", 1.0)]),
            (&export, &[("200", 1.0)]),
        ] {
            for (status, count) in statuses {
                expected.insert(format!("coffer_http_requests_total{{{labels},status=\"{status}\"}}"), *count);
            }
            let all = statuses.iter().map(|(_, count)| count).sum();
            expected.insert(format!("coffer_http_request_duration_seconds_count{{{labels}}}"), all);
        }
        for code in ["not-found", "token-missing", "no-such-route"] {
            expected.insert(format!("coffer_http_refusals_total{{code=\"{code}\"}}"), 1.0);
        }
        // Each was asked when the one before was answered: every record but those never recorded has a batch of its own.
        for (kind, batches) in [("reads", 6.0), ("changes", 1.0)] {
            for what in ["batch_records_count", "batch_records_sum", "commit_duration_seconds_count", "wait_seconds_count"] {
                expected.insert(format!("coffer_ledger_{what}{{kind=\"{kind}\"}}"), batches);
            }
        }
        expected.insert("coffer_log_head_records".to_owned(), 7.0);
        assert_eq!(more, expected);
        assert_eq!(after.value("coffer_log_head_records"), records as f64 + 6.0);
        for (series, value) in [("coffer_sealed", 0.0), ("coffer_ready", 1.0), ("coffer_http_requests_in_flight", 0.0)] {
            assert_eq!(after.value(series), value, "{series}");
        }
        assert!(after.value("coffer_http_open_connections") >= 1.0);
        assert!(after.value("coffer_cache_entries") > 0.0);
        for of in ["facts", "bearers", "changes", "batches"] {
            let kept = after.value(&format!("coffer_memory_bytes{{of=\"{of}\"}}"));
            assert!(kept > 0.0, "{of}");
        }
        assert_eq!(v.audit().await.all().len(), records + 6, "being scraped is not recorded");

        let told = after.families().into_iter().map(|(name, kind, help)| {
            assert!(help.ends_with('.'), "{name}: {help}");
            let labels = after.labels(&name);
            (name, (kind, labels))
        });
        assert_eq!(told.collect::<BTreeMap<_, _>>(), documented());
    }

    async fn who_can_read_openmetrics_is_given_it(v: TestVault) {
        let open = scrape::get(v.metrics_address(), "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3").await;
        let (head, text) = open.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{head}");
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
        assert!(text.contains("# TYPE coffer_ledger_second_statements counter\ncoffer_ledger_second_statements_total 0\n"));
        assert!(text.ends_with("\n# EOF\n"));
    }
}

/// Prometheus' own parsers take both texts, and find the same families and samples in them.
#[test]
fn prometheus_reads_both_texts() {
    let metrics = coffer::http::scrape::metrics();
    for (route, status, ms) in [(0, 200, 1), (0, 404, 20_000), (usize::MAX, 404, 0)] {
        let took = std::time::Duration::from_millis(ms);
        metrics.http.answered(route, status, took);
        metrics.ledger.reads.committed.observe(took);
    }
    metrics.http.refused("not-found");
    metrics.ledger.changes.records.count(3);
    let read = |name: &str, format: Format| {
        let said = read_by_prometheus(name, &metrics.write(&Now::default(), format));
        let families: BTreeSet<String> = said.lines().map(str::to_owned).collect();
        families
    };
    let own = read("prometheus", Format::Prometheus);
    assert_eq!(own, read("openmetrics", Format::OpenMetrics));
    assert_eq!(own.len(), documented().len());
    for family in [
        "coffer_http_requests counter 3",
        "coffer_ledger_commit_duration_seconds histogram 36",
        "coffer_ready gauge 1",
    ] {
        assert!(own.contains(family), "{family}: {own:#?}");
    }
}
