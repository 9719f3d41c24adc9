//! `bench audit`: what a record takes as written and once merged, and how fast the log is exported, verified and asked.
//! Records are made by reads under load; the server is left to merge them by itself before anything is asked.
//!
//! Invariant: a bundle is verified whole before its speed is said, and a query's answer is counted.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Connection, bearer, request};
use crate::failure::{Context, Failure, Result};
use crate::figures::{Figure, Goal, Rounds};
use crate::load::{Flow, Load};
use crate::log::Segments;
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::Stage;
use crate::usage::Used;
use crate::world::{Traffic, uri};

/// Bytes of a read's record in the database, as written under load and once merged, at most.
const BYTES_WRITTEN_MAX: f64 = 90.0;
const BYTES_MERGED_MAX: f64 = 50.0;
/// Records a second, at least.
const EXPORT_MIN: f64 = 200_000.0;
const VERIFY_MIN: f64 = 400_000.0;
/// Milliseconds for a principal of one record, at most.
const QUERY_RARE_MAX: f64 = 50.0;
/// Records a second that a query looks at which must look at every one, at least: ten million in two seconds.
const QUERY_ALL_MIN: f64 = 5e6;
/// How often the heads are looked at while the load goes on, and the segments while they are merged.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long merging may take without any progress.
const STILL_MAX: Duration = Duration::from_secs(30);
/// Records that may be left unmerged: fewer than make a segment.
const LEFT_MAX: u64 = 4_096;

/// Measures the log of each engine.
pub async fn run(run: &Run) -> Result<()> {
    let mut figures = Vec::new();
    for engine in run.engines()? {
        let stage = Stage::prepare(run, Setting::of(engine)).await?;
        let log = Log { run, stage };
        let word = engine.word();
        let name = |mut figure: Figure| {
            figure.name = format!("audit.{}.{word}", figure.name);
            figure
        };
        figures.extend(log.measure().await?.into_iter().map(name));
        log.stage.stop()?;
    }
    run.say_figures(&figures);
    Ok(())
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

#[derive(Deserialize)]
struct CreatedToken {
    token: String,
}

/// A server with a log.
struct Log<'a> {
    run: &'a Run,
    stage: Stage,
}

/// A body that came whole.
struct Came {
    lines: u64,
    first: Duration,
    whole: Duration,
}

impl Log<'_> {
    async fn measure(&self) -> Result<Vec<Figure>> {
        let written = self.fill().await?;
        self.run.progress("filled: waiting until it is merged");
        let (merged, merging_us) = self.merged().await?;
        let records = self.records().await?;
        let mut figures = vec![
            Figure::new("records", records as f64, "", Goal::None),
            Figure::new(
                "bytes_written",
                written,
                "B",
                Goal::AtMost(BYTES_WRITTEN_MAX),
            ),
            Figure::new("bytes_merged", merged, "B", Goal::AtMost(BYTES_MERGED_MAX)),
            Figure::new("merging_cpu", merging_us, "µs a record", Goal::None),
        ];
        self.run.progress(&format!("{records} records: export"));
        figures.push(self.export().await?);
        self.run.progress("verification");
        figures.push(self.verify().await?);
        self.run.progress("queries");
        figures.extend(self.queries(records).await?);
        Ok(figures)
    }

    /// Reads until there are as many records as wanted, with one of a rare principal among them; bytes a record then.
    async fn fill(&self) -> Result<f64> {
        let wanted = self.run.options.records;
        let (client, address) = (&self.run.client, self.stage.node.address);
        let traffic = Traffic::Reads(self.stage.world.clone());
        let flow = Flow::flat_out(self.run.options.connections());
        for part in [wanted / 2, wanted] {
            let load = Load::begin(client, address, &traffic, flow);
            while self.records().await? < part {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let driven = load.end().await?;
            if let Some(status) = driven.refusal {
                return Err(Failure(format!("a read was answered {status}")));
            }
            if part < wanted {
                self.read_rarely().await?;
            }
        }
        let segments = self.segments().await?;
        Ok(segments.small.bytes_per_record())
    }

    /// One read of an application that does nothing else.
    async fn read_rarely(&self) -> Result<()> {
        let node = &self.stage.node;
        let mut connection = Connection::open(&self.run.client, node.address).await?;
        let wanted = json!({ "scopes": ["read:**"], "ttl": 3600, "app": "rare" });
        let body = Bytes::from(wanted.to_string());
        let made = request(Method::POST, &uri("/api/v1/tokens")?, &node.root, body);
        let made = connection.ask(made).await?;
        let made: CreatedToken = serde_json::from_slice(&made).context("a token's answer")?;
        let (path, _) = &self.stage.example;
        let asked = request(
            Method::GET,
            &uri(path)?,
            &bearer(&made.token)?,
            Bytes::new(),
        );
        connection.ask(asked).await.map(drop)
    }

    /// Waits until the server has merged what there is; bytes a record then, and its CPU for each.
    async fn merged(&self) -> Result<(f64, f64)> {
        let (before, began) = (self.segments().await?, self.used()?);
        let (mut last, mut moved) = (before.small.records, Instant::now());
        loop {
            let now = self.segments().await?;
            if now.small.records <= LEFT_MAX {
                let merged = before.small.records - now.small.records;
                let used = self.used()?.since(&began);
                return Ok((now.large.bytes_per_record(), used.server_us(merged as f64)));
            }
            if now.small.records < last {
                (last, moved) = (now.small.records, Instant::now());
            }
            if moved.elapsed() > STILL_MAX {
                return Err(Failure::new("the server does not merge its segments"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn export(&self) -> Result<Figure> {
        let mut rates = Rounds::default();
        for _ in 0..self.run.options.rounds {
            let came = self
                .get("/api/v1/audit/export?format=jsonl", |_| Ok(()))
                .await?;
            rates.push(came.lines as f64 / came.whole.as_secs_f64());
        }
        let rate = rates.median();
        Ok(Figure::new(
            "export",
            rate,
            "records/s",
            Goal::AtLeast(EXPORT_MIN),
        ))
    }

    /// Verifies a bundle on this core.
    async fn verify(&self) -> Result<Figure> {
        let file = self.run.directory().join("audit.bundle");
        let mut out = BufWriter::new(File::create(&file).context("a file for the bundle")?);
        let write = |bytes: &[u8]| out.write_all(bytes).context("the bundle");
        self.get("/api/v1/audit/bundle", write).await?;
        out.into_inner()
            .map_err(|_| Failure::new("the bundle was not written"))?;
        let node = &self.stage.node;
        let mut connection = Connection::open(&self.run.client, node.address).await?;
        let asked = request(
            Method::GET,
            &uri("/api/v1/audit/key")?,
            &node.root,
            Bytes::new(),
        );
        let key: Key = serde_json::from_slice(&connection.ask(asked).await?).context("the key")?;
        let key = key
            .key
            .parse()
            .map_err(|_| Failure::new("the key is none"))?;
        let mut rates = Rounds::default();
        for _ in 0..self.run.options.rounds {
            let begun = Instant::now();
            let report = coffer_audit_log::verify(open(&file)?, &key)
                .map_err(|damage| Failure(format!("the bundle does not verify: {damage}")))?;
            let records: u64 = report.streams.iter().map(|stream| stream.size).sum();
            rates.push(records as f64 / begun.elapsed().as_secs_f64());
        }
        std::fs::remove_file(&file).context("the bundle")?;
        let rate = rates.median();
        Ok(Figure::new(
            "verify",
            rate,
            "records/s",
            Goal::AtLeast(VERIFY_MIN),
        ))
    }

    async fn queries(&self, records: u64) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (name, query, lines, most) in [
            (
                "query_rare",
                "principal=app/rare",
                Some(1),
                Some(QUERY_RARE_MAX),
            ),
            // No summary says from where.
            ("query_all", "source=203.0.113.1", Some(0), None),
            // Every record is of this place, and none below this path.
            ("query_pattern", "resource=bench/e0/none/**", Some(0), None),
            ("query_newest", "action=read&limit=100", Some(100), None),
        ] {
            let path = format!("/api/v1/audit/records?order=newest&{query}");
            let (mut whole, mut first) = (Rounds::default(), Rounds::default());
            for _ in 0..self.run.options.rounds {
                let came = self.get(&path, |_| Ok(())).await?;
                if lines.is_some_and(|lines| lines != came.lines) {
                    return Err(Failure(format!("{query} found {} records", came.lines)));
                }
                whole.push(came.whole.as_secs_f64() * 1e3);
                first.push(came.first.as_secs_f64() * 1e3);
            }
            let goal = most.map_or(Goal::None, Goal::AtMost);
            figures.push(Figure::new(name, whole.median(), "ms", goal));
            if name == "query_newest" {
                figures.push(Figure::new("query_first", first.median(), "ms", Goal::None));
            }
            if let "query_all" | "query_pattern" = name {
                let rate = records as f64 / whole.median() * 1e3;
                let name = format!("{name}_rate");
                let goal = Goal::AtLeast(QUERY_ALL_MIN);
                figures.push(Figure::new(name, rate, "records/s", goal));
            }
        }
        Ok(figures)
    }

    /// Asks for a body that comes in pieces, and counts its lines.
    async fn get(&self, path: &str, mut pass: impl FnMut(&[u8]) -> Result<()>) -> Result<Came> {
        let node = &self.stage.node;
        let root: &HeaderValue = &node.root;
        let mut connection = Connection::open(&self.run.client, node.address).await?;
        let begun = Instant::now();
        let mut answer = connection
            .answer(request(Method::GET, &uri(path)?, root, Bytes::new()))
            .await?;
        if !answer.status().is_success() {
            return Err(Failure(format!("{path} was answered {}", answer.status())));
        }
        let (mut lines, mut first) = (0, None);
        while let Some(frame) = answer.frame().await {
            let frame = frame.context("an answer broke off")?;
            let Some(bytes) = frame.data_ref() else {
                continue;
            };
            first.get_or_insert_with(|| begun.elapsed());
            lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            pass(bytes)?;
        }
        let whole = begun.elapsed();
        Ok(Came {
            lines,
            first: first.unwrap_or(whole),
            whole,
        })
    }

    async fn records(&self) -> Result<u64> {
        let heads = self.stage.node.heads(&self.run.client).await?;
        Ok(heads.iter().map(|head| head.size).sum())
    }

    fn used(&self) -> Result<Used> {
        Used::now(self.stage.node.id(), self.stage.postgres.as_ref())
    }

    async fn segments(&self) -> Result<Sizes> {
        let of = async |large: bool| match &self.stage.postgres {
            Some(postgres) => Segments::of_size_postgres(&postgres.url(), large).await,
            None => Segments::of_size_sqlite(&self.stage.node.sqlite_file(), large).await,
        };
        Ok(Sizes {
            small: of(false).await?,
            large: of(true).await?,
        })
    }
}

/// Batches' segments, and merged ones.
struct Sizes {
    small: Segments,
    large: Segments,
}

fn open(file: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::with_capacity(
        1 << 20,
        File::open(file).context("the bundle")?,
    ))
}
