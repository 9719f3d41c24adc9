//! Every metric there is, each with its name, its help and where its numbers come from.
//! `docs/metrics.md` is the same list for people, and a test holds each to the other.
//!
//! Invariant: what is not written here is not shown.

use super::process::Process;
use super::text::{Family, Text};
use super::{Cache, Claims, Format, Http, Ledger, Metrics, Now, OTHER, Refreshes, STATUSES};

/// This server's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Metrics {
    /// All of it as text.
    pub fn write(&self, now: &Now, format: Format) -> String {
        let mut text = Text::new(format);
        server(now, &mut text);
        self.http.write(now, &mut text);
        self.ledger.write(now, &mut text);
        self.cache.write(now, &mut text);
        self.claims.write(&mut text);
        sqlite_log(now, &mut text);
        self.refreshes.write(now, &mut text);
        text.counter("coffer_rotations", "Rotations that were due, by outcome.")
            .by(
                "outcome",
                [
                    ("rotated", &self.rotations.rotated),
                    ("failed", &self.rotations.failed),
                ],
            );
        text.counter(
            "coffer_log_merges",
            "Merges of this node's small segments, by outcome.",
        )
        .by(
            "outcome",
            [
                ("merged", &self.merges.merged),
                ("refused", &self.merges.refused),
                ("failed", &self.merges.failed),
            ],
        );
        self.process(&mut text);
        text.finish()
    }

    /// The names that every Prometheus client gives.
    fn process(&self, text: &mut Text) {
        let process = Process::look();
        if let Some(seconds) = process.cpu_seconds {
            text.counter("process_cpu_seconds", "User and system processor time.")
                .is(seconds);
        }
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Memory that is resident.",
                process.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Memory that is mapped.",
                process.virtual_bytes,
            ),
            (
                "process_open_fds",
                "Files that are open.",
                process.open_files,
            ),
            (
                "process_max_fds",
                "Files that may be open.",
                process.open_files_max,
            ),
            ("process_threads", "Threads.", process.threads),
        ] {
            if let Some(value) = value {
                text.gauge(name, help).is(value);
            }
        }
        let started = self.started_us as f64 / 1e6;
        text.gauge(
            "process_start_time_seconds",
            "When the process began, since 1970.",
        )
        .is(started);
    }
}

fn server(now: &Now, text: &mut Text) {
    text.gauge("coffer_build_info", "1, for this version.")
        .value(&[("version", VERSION)], 1);
    text.gauge(
        "coffer_sealed",
        "1 while the root key is not in memory, otherwise 0.",
    )
    .is(u8::from(now.sealed));
    text.gauge(
        "coffer_ready",
        "1 while requests can be recorded, otherwise 0.",
    )
    .is(u8::from(now.ready));
}

/// SQLite's write-ahead log.
fn sqlite_log(now: &Now, text: &mut Text) {
    text.gauge(
        "coffer_sqlite_log_pages",
        "Pages of SQLite's write-ahead log that were not copied back at the last look.",
    )
    .is(now.log_pages);
    let mut copies = text.counter(
        "coffer_sqlite_log_copies",
        "How often some of SQLite's write-ahead log was copied back, by outcome.",
    );
    copies.value(&[("outcome", "copied")], now.log_copied);
    copies.value(&[("outcome", "failed")], now.log_copies_failed);
}

impl Http {
    fn write(&self, now: &Now, text: &mut Text) {
        let mut requests = text.counter(
            "coffer_http_requests",
            "Requests that were answered, by route and status.",
        );
        self.answers(&mut requests);
        let mut took = text.histogram(
            "coffer_http_request_duration_seconds",
            "From a request's head to its answer's, by route.",
        );
        for route in &self.routes {
            let (method, path) = route.labels;
            if route.took.buckets().iter().any(|(_, below)| *below > 0) {
                took.buckets(&[("method", method), ("route", path)], &route.took);
            }
        }
        text.counter(
            "coffer_http_refusals",
            "Requests that were refused, by the problem's code.",
        )
        .by(
            "code",
            self.refusals.iter().map(|row| (row.code, &row.answered)),
        );
        text.gauge(
            "coffer_http_requests_in_flight",
            "Requests that are being answered.",
        )
        .is(now.requests);
        text.counter("coffer_http_connections", "Connections, by what was done.")
            .by(
                "outcome",
                [("taken", &self.taken), ("turned-away", &self.turned_away)],
            );
        text.gauge(
            "coffer_http_open_connections",
            "Connections that are open, handshakes included.",
        )
        .is(self.open_connections.get());
    }

    /// What was never answered is left out: most of all statuses of all routes never are.
    fn answers(&self, family: &mut Family<'_>) {
        let names = STATUSES.map(|status| status.to_string());
        for route in &self.routes {
            let (method, path) = route.labels;
            let statuses = names.iter().map(String::as_str).chain([OTHER]);
            for (status, answered) in statuses.zip(&route.answered) {
                if answered.get() > 0 {
                    let labels = [("method", method), ("route", path), ("status", status)];
                    family.value(&labels, answered.get());
                }
            }
        }
    }
}

impl Ledger {
    fn write(&self, now: &Now, text: &mut Text) {
        let kinds = [("reads", &self.reads), ("changes", &self.changes)];
        let mut records = text.histogram(
            "coffer_ledger_batch_records",
            "Records of each batch that was stored, by kind.",
        );
        for (kind, batches) in kinds {
            records.buckets(&[("kind", kind)], &batches.records);
        }
        let mut committed = text.histogram(
            "coffer_ledger_commit_duration_seconds",
            "How long the store took for each batch that was stored, by kind.",
        );
        for (kind, batches) in kinds {
            committed.buckets(&[("kind", kind)], &batches.committed);
        }
        let mut waited = text.histogram(
            "coffer_ledger_wait_seconds",
            "How long the first request of each batch waited for its end, by kind of request.",
        );
        for (kind, batches) in kinds {
            waited.buckets(&[("kind", kind)], &batches.waited);
        }
        let mut waiting = text.gauge(
            "coffer_ledger_waiting",
            "Decisions that wait for the ledger, by kind.",
        );
        waiting.value(&[("kind", "reads")], now.waiting_reads);
        waiting.value(&[("kind", "changes")], now.waiting_changes);
        text.counter(
            "coffer_ledger_second_statements",
            "Batches of reads that took a second statement.",
        )
        .is(self.second_statements.get());
        text.counter(
            "coffer_ledger_second_statement_records",
            "Records that were stored by one.",
        )
        .is(self.second_statement_records.get());
        text.counter(
            "coffer_ledger_decided_again",
            "Decisions that were made again, by how.",
        )
        .by(
            "how",
            [
                ("sent-back", &self.sent_back),
                ("sent-back-again", &self.sent_back_again),
                ("deferred", &self.deferred),
            ],
        );
        text.counter(
            "coffer_log_lost_records",
            "Records of reads that a database had lost when it came back.",
        )
        .is(self.lost.get());
        text.gauge(
            "coffer_log_head_records",
            "Records of this node's stream, by its last signed head.",
        )
        .is(self.head.get());
    }
}

impl Cache {
    fn write(&self, now: &Now, text: &mut Text) {
        text.counter("coffer_cache_hits", "Facts that came from memory.")
            .is(self.hits.get());
        text.counter("coffer_cache_misses", "Facts that were loaded.")
            .is(self.misses.get());
        text.gauge("coffer_cache_entries", "Facts in memory.")
            .is(now.cache_entries);
        let kept = [
            ("facts", now.memory.facts),
            ("bearers", now.memory.bearers),
            ("changes", now.memory.changes),
            ("batches", now.memory.batches),
        ];
        let help = "What is kept in memory because it may be needed again, by what it is.";
        let mut memory = text.gauge("coffer_memory_bytes", help);
        for (of, bytes) in kept {
            memory.value(&[("of", of)], bytes);
        }
        text.counter(
            "coffer_cache_resets",
            "How often all of them were forgotten, by reason.",
        )
        .by(
            "reason",
            [
                ("history", &self.resets_by_history),
                ("reconnect", &self.resets_by_reconnect),
            ],
        );
    }
}

impl Claims {
    fn write(&self, text: &mut Text) {
        text.counter(
            "coffer_database_claims",
            "Tries to come back to the store and claim this node's stream, by outcome.",
        )
        .by(
            "outcome",
            [
                ("held", &self.held),
                ("lost", &self.lost),
                ("failed", &self.failed),
            ],
        );
    }
}

impl Refreshes {
    fn write(&self, now: &Now, text: &mut Text) {
        text.counter(
            "coffer_oauth_refreshes",
            "Refreshes of connections, by outcome.",
        )
        .by(
            "outcome",
            [
                ("refreshed", &self.refreshed),
                ("refused", &self.refused),
                ("failed", &self.failed),
                ("superseded", &self.superseded),
                ("not-sent", &self.not_sent),
            ],
        );
        text.gauge(
            "coffer_oauth_connections_due",
            "Connections that were due at this node's last look.",
        )
        .is(self.due.get());
        text.gauge(
            "coffer_oauth_refreshes_in_flight",
            "Connections that this node is refreshing.",
        )
        .is(now.refreshing);
        text.gauge(
            "coffer_oauth_waiting_requests",
            "Requests that wait for a refresh.",
        )
        .is(now.refresh_waiters);
    }
}
