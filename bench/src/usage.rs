//! What a server and its PostgreSQL used between two marks, where no load of a known count lies between them.
//!
//! Invariant: a share is one of a single core.

use std::time::{Duration, Instant};

use crate::failure::Result;
use crate::postgres::Postgres;
use crate::process;

/// CPU time of both so far, and when that was.
pub struct Used {
    at: Instant,
    server: Duration,
    postgres: Duration,
}

/// CPU time used between two marks.
pub struct Usage {
    /// How long that was.
    pub seconds: f64,
    /// The server's.
    pub server: Duration,
    postgres: Duration,
}

impl Used {
    /// A mark.
    pub fn now(server: u32, postgres: Option<&Postgres>) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: process::cpu(server)?,
            postgres: postgres.map_or(Ok(Duration::ZERO), Postgres::cpu)?,
        })
    }

    /// From an earlier mark to this one.
    pub fn since(&self, before: &Self) -> Usage {
        Usage {
            seconds: (self.at - before.at).as_secs_f64(),
            server: self.server.saturating_sub(before.server),
            postgres: self.postgres.saturating_sub(before.postgres),
        }
    }
}

impl Usage {
    /// The server's share, in per cent.
    pub fn server_percent(&self) -> f64 {
        self.percent(self.server)
    }

    /// PostgreSQL's share, in per cent.
    pub fn postgres_percent(&self) -> f64 {
        self.percent(self.postgres)
    }

    /// The server's, in microseconds for each of `count`.
    pub fn server_us(&self, count: f64) -> f64 {
        self.server.as_secs_f64() * 1e6 / count
    }

    /// PostgreSQL's, in microseconds for each of `count`.
    pub fn postgres_us(&self, count: f64) -> f64 {
        self.postgres.as_secs_f64() * 1e6 / count
    }

    fn percent(&self, used: Duration) -> f64 {
        100.0 * used.as_secs_f64() / self.seconds
    }
}
