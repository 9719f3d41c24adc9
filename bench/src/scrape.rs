//! What a server counts of itself, read as Prometheus reads it.
//!
//! Invariant: a series that is not told is an error and never a zero.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::{Context, Failure, Result};

/// Batches that a server's ledger stored since its start, and the records in them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batches {
    /// Each a commit.
    pub count: f64,
    /// In all of them.
    pub records: f64,
}

impl Batches {
    /// Asks a server.
    pub async fn of(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("the metrics")?;
        let asked = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(asked).await.context("the metrics")?;
        let mut text = String::new();
        let read = stream.read_to_string(&mut text).await;
        read.context("the metrics")?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let both = |part: &str| -> Result<f64> {
            let [changes, reads] = ["changes", "reads"].map(|kind| {
                let name = format!("coffer_ledger_batch_records_{part}{{kind=\"{kind}\"}} ");
                let line = text.lines().find_map(|line| line.strip_prefix(&name));
                let value = line.and_then(|value| value.trim().parse::<f64>().ok());
                value.ok_or_else(|| Failure(format!("the metrics do not tell {name}")))
            });
            Ok(changes? + reads?)
        };
        Ok(Self {
            count: both("count")?,
            records: both("sum")?,
        })
    }

    /// Since an earlier look.
    pub fn since(self, before: Self) -> Self {
        Self {
            count: self.count - before.count,
            records: self.records - before.records,
        }
    }

    /// Records of a batch, on average.
    pub fn records_per_batch(self) -> f64 {
        self.records / self.count.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_batches_are_counted() {
        let text = "HTTP/1.1 200 OK\r\n\r\n# TYPE coffer_ledger_batch_records histogram\n\
            coffer_ledger_batch_records_sum{kind=\"reads\"} 90\n\
            coffer_ledger_batch_records_count{kind=\"reads\"} 8\n\
            coffer_ledger_batch_records_sum{kind=\"changes\"} 10\n\
            coffer_ledger_batch_records_count{kind=\"changes\"} 2\n";
        let batches = Batches::parse(text).expect("all four series");
        assert_eq!((batches.count, batches.records), (10.0, 100.0));
        assert_eq!(batches.since(batches).count, 0.0);
        assert_eq!(batches.records_per_batch(), 10.0);
        assert!(Batches::parse("HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
