//! What every measuring command takes, and the stores that it may be measured on.
//! A quick look is the same run with less of everything.
//!
//! Invariant: a quick look never takes more of anything than what was asked for.

use std::path::PathBuf;

use crate::failure::{Failure, Result};

/// A store that Coffer runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Engine {
    /// One file.
    Sqlite,
    /// A PostgreSQL of the run's own.
    Postgresql,
}

impl Engine {
    /// In figures and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgresql => "postgresql",
        }
    }
}

/// What every measuring command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds; each measures every case once, in another order.
    #[arg(long, default_value_t = 9)]
    pub rounds: usize,
    /// Seconds that a case is measured in a round.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds before that, not measured.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Connections, each with one request at a time; `read` measures all of these, everything else the first.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256])]
    pub connections: Vec<usize>,
    /// Connections that `read` looks at for errors and memory alone.
    #[arg(long, value_delimiter = ',', default_values_t = [500, 1_000])]
    pub crowds: Vec<usize>,
    /// Secrets, drawn uniformly.
    #[arg(long, default_value_t = 10_000)]
    pub secrets: usize,
    /// Tokens, drawn uniformly.
    #[arg(long, default_value_t = 1_000)]
    pub tokens: usize,
    /// Secrets of the large store of `size`, beside one of a thousand.
    #[arg(long, default_value_t = 1_000_000)]
    pub many: usize,
    /// Versions that `rewrap` moves at a time.
    #[arg(long, default_value_t = 200_000)]
    pub versions: usize,
    /// Tokens that `revoke` revokes beside writers.
    #[arg(long, default_value_t = 500)]
    pub revocations: usize,
    /// Grants whose access tokens run out at once.
    #[arg(long, default_value_t = 10_000)]
    pub grants: usize,
    /// Grants that lie idle beside them: ten times as many, unless this says otherwise.
    #[arg(long)]
    pub idle_grants: Option<usize>,
    /// Records of the log that `audit` makes.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Which stores.
    #[arg(long, value_delimiter = ',', default_values_t = [Engine::Sqlite, Engine::Postgresql], value_enum)]
    pub engines: Vec<Engine>,
    /// `read` measures a server with `audit.durability = "process"` on SQLite as well.
    #[arg(long)]
    pub process: bool,
    /// A quick look: less of everything, and figures that say little.
    #[arg(long)]
    pub quick: bool,
    /// Pin nothing to a core.
    #[arg(long)]
    pub no_pin: bool,
    /// One JSON object a figure, and nothing else.
    #[arg(long)]
    pub json: bool,
    /// This coffer-server, instead of the one that cargo builds beside the bench.
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// This coffer, instead of the one that cargo builds beside the bench.
    #[arg(long)]
    pub cli: Option<PathBuf>,
    /// Where the run's directory is made: on the disk that is to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub directory: PathBuf,
}

impl Options {
    /// As they are meant: a quick look has less of everything.
    ///
    /// # Errors
    /// Nothing could be measured with them.
    pub fn settle(mut self) -> Result<Self> {
        if self.quick {
            let idle = self.idle_grants.unwrap_or(usize::MAX);
            self = Self {
                rounds: self.rounds.min(3),
                seconds: self.seconds.min(1.0),
                warm_up: self.warm_up.min(0.5),
                secrets: self.secrets.min(2_000),
                tokens: self.tokens.min(200),
                many: self.many.min(20_000),
                versions: self.versions.min(20_000),
                revocations: self.revocations.min(100),
                grants: self.grants.min(200),
                idle_grants: Some(idle.min(400)),
                records: self.records.min(100_000),
                ..self
            };
        }
        let least = [self.rounds, self.secrets, self.tokens, self.many];
        let least = least.iter().chain(&self.connections).min();
        if least == Some(&0) || self.connections.is_empty() {
            return Err(Failure::new(
                "rounds, connections, secrets and tokens are at least one",
            ));
        }
        Ok(self)
    }

    /// Where one number of connections is enough.
    pub fn connections(&self) -> usize {
        self.connections.first().copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn settled(words: &[&str]) -> Result<Options> {
        let line = ["bench"].iter().chain(words);
        Line::try_parse_from(line)
            .expect("a line that parses")
            .options
            .settle()
    }

    #[test]
    fn a_quick_look_takes_less_and_never_more() {
        let quick = settled(&["--quick", "--rounds", "1"]).expect("options");
        assert_eq!((quick.rounds, quick.many), (1, 20_000));
        assert_eq!(quick.idle_grants, Some(400));
        let whole = settled(&[]).expect("options");
        assert_eq!((whole.rounds, whole.idle_grants), (9, None));
    }

    #[test]
    fn nothing_is_measured_without_connections() {
        assert!(settled(&["--connections", "64,0"]).is_err());
        assert!(settled(&["--rounds", "0"]).is_err());
        let given = settled(&["--connections", "8,16"]).expect("options");
        assert_eq!(given.connections(), 8);
    }
}
