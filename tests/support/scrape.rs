//! What a server counts of itself, read as Prometheus reads it: over plain HTTP, line by line.
//!
//! Invariant: a line that is no sample of the format fails the test that meets it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::left;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What was told at one instant.
#[derive(Debug)]
pub struct Scrape {
    /// All of it.
    pub text: String,
    samples: BTreeMap<String, f64>,
}

/// A family's name, its type and its help.
pub type Family = (String, String, String);

impl Scrape {
    /// Asks a server.
    pub async fn of(address: SocketAddr) -> Self {
        let answer = get(address, "text/plain;version=0.0.4").await;
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let kind = "content-type: text/plain; version=0.0.4; charset=utf-8\r\n";
        assert!(head.contains(kind), "{head}");
        left::said(text.as_bytes());
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        };
        let samples: BTreeMap<_, _> = { samples }.map(sample).collect();
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, samples.len(), "a series is told twice");
        Self {
            text: text.to_owned(),
            samples,
        }
    }

    /// The number of a series, as it is written; one that is not told is nothing.
    pub fn value(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or(0.0)
    }

    /// Each series whose number is another than before, with how much more it is.
    pub fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        let changed = self.samples.iter().map(|(series, value)| {
            let more = value - before.value(series);
            (series.clone(), more)
        });
        changed.filter(|(_, more)| *more != 0.0).collect()
    }

    /// Every family, as its first lines say.
    pub fn families(&self) -> Vec<Family> {
        let lines: Vec<&str> = self.text.lines().collect();
        let heads = lines.windows(2).filter_map(|pair| {
            let (name, help) = pair[0].strip_prefix("# HELP ")?.split_once(' ')?;
            let kind = pair[1].strip_prefix("# TYPE ")?.strip_prefix(name)?;
            Some((name.to_owned(), kind.trim().to_owned(), help.to_owned()))
        });
        heads.collect()
    }

    /// The names of the labels that a family's samples have, without a bucket's bound.
    pub fn labels(&self, family: &str) -> BTreeSet<String> {
        let own = self.samples.keys().filter_map(|series| {
            let behind = series.strip_prefix(family)?;
            let parts = ["_bucket{", "_sum{", "_count{", "{"];
            parts.iter().find_map(|part| behind.strip_prefix(part))
        });
        let labels = own.flat_map(|labels| labels.split("\",").collect::<Vec<_>>());
        let names = labels.filter_map(|label| label.split_once('=').map(|(name, _)| name));
        names
            .filter(|name| *name != "le")
            .map(str::to_owned)
            .collect()
    }
}

/// One request for what is counted, and the whole answer.
pub async fn get(address: SocketAddr, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: story\r\naccept: {accept}\r\n\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it listens");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer).await;
    read.expect("an answer in UTF-8");
    answer
}

/// What Prometheus' own parser of this format finds in a text.
pub fn read_by_prometheus(format: &str, text: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = root.join("target/python/bin/python");
    let python = std::env::var_os("COFFER_TEST_PYTHON").map_or(made, PathBuf::from);
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/vectors/metrics.py"))
        .arg(format);
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut reading = pipes
        .spawn()
        .expect("a Python with prometheus-client: run scripts/test");
    let mut stdin = reading.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let said = reading.wait_with_output().expect("it ends");
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout).expect("text")
}
