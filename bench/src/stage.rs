//! One engine ready to be measured, and taken down again: its node, its world, and what its log and database say after.
//! The same for reads and writes, so that both are accounted for by the same rules.
//!
//! Invariant: whatever is measured by rounds is said of a node only once its log was read back.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;

use crate::failure::Result;
use crate::load::Flow;
use crate::log::{self, Count};
use crate::node::Node;
use crate::postgres::Postgres;
use crate::process;
use crate::provider::Provider;
use crate::rounds::Case;
use crate::run::Run;
use crate::scrape::Batches;
use crate::setting::Setting;
use crate::world::{Size, Traffic, World};

/// A session of PostgreSQL that falls idle tells what it did after this time at the latest (`PGSTAT_IDLE_INTERVAL`).
const STATISTICS_DELAY: Duration = Duration::from_millis(10_500);

/// See the module.
pub struct Stage {
    /// What the server is.
    pub setting: Setting,
    /// The server.
    pub node: Node,
    /// What is asked of it.
    pub world: Arc<World>,
    /// The store's own server.
    pub postgres: Option<Postgres>,
    /// Where one secret is, and the answer to reading it.
    pub example: (String, Bytes),
    before: Mark,
}

/// Records and commits so far.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    batches: Batches,
    commits: u64,
}

/// What lies between the end of the set-up and the end of the rounds.
pub struct Between {
    /// The most memory that the server has had, in MiB.
    pub memory_mib: f64,
    /// Transactions that PostgreSQL committed.
    pub commits: u64,
    /// What the server's ledger stored.
    pub batches: Batches,
}

/// What is known once everything is over.
pub struct Ended {
    /// Answers that have no record, or records without an answer.
    pub unaccounted: u64,
    /// Records against answers, and what the database says of its durability.
    pub lines: Vec<String>,
}

impl Stage {
    /// Starts a store and a server, and makes a world of the run's size there.
    pub async fn prepare(run: &Run, setting: Setting) -> Result<Self> {
        Self::make(run, setting, run.size(), None).await
    }

    /// The same with a grant beside each secret, which the setting must let this provider be called for.
    pub async fn with_grants(run: &Run, setting: Setting, provider: &Provider) -> Result<Self> {
        Self::make(run, setting, run.size(), Some(provider)).await
    }

    /// The same with a world of another size.
    pub async fn of_size(run: &Run, setting: Setting, size: Size) -> Result<Self> {
        Self::make(run, setting, size, None).await
    }

    async fn make(
        run: &Run,
        setting: Setting,
        size: Size,
        provider: Option<&Provider>,
    ) -> Result<Self> {
        let (postgres, node) = run.node(&setting).await?;
        let begun = std::time::Instant::now();
        let mut world = World::make(&run.client, node.address, &node.root, size).await?;
        run.progress(&format!(
            "{}: {} secrets and {} tokens written in {:.1} s",
            setting.name,
            size.secrets,
            size.tokens,
            begun.elapsed().as_secs_f64()
        ));
        if let Some(provider) = provider {
            let begun = std::time::Instant::now();
            let (client, address) = (&run.client, node.address);
            world
                .add_grants(client, address, &node.root, provider)
                .await?;
            let (count, took) = (world.grants(), begun.elapsed().as_secs_f64());
            run.progress(&format!(
                "{}: {count} grants imported in {took:.1} s",
                setting.name
            ));
        }
        let example = world.example(&run.client, node.address).await?;
        let before = mark(run, &node, postgres.as_ref()).await?;
        Ok(Self {
            setting,
            node,
            world: Arc::new(world),
            postgres,
            example,
            before,
        })
    }

    /// Stops the server and starts it again; how long it took from there until it was ready.
    pub async fn restart(self, run: &Run) -> Result<(Self, Duration)> {
        let (node, took) = self.node.restart(&run.client).await?;
        let before = Mark {
            // It counts from zero again.
            batches: Batches::default(),
            ..self.before
        };
        let restarted = Self {
            node,
            before,
            ..self
        };
        Ok((restarted, took))
    }

    /// Its own name, in tables and figures.
    pub const fn name(&self) -> &'static str {
        self.setting.name
    }

    /// This server as a case.
    pub fn case(&self, traffic: impl Fn(Arc<World>) -> Traffic, flow: Flow) -> Case<'_> {
        Case {
            name: format!("coffer, {}", self.name()),
            flow,
            address: self.node.address,
            traffic: traffic(Arc::clone(&self.world)),
            server: self.node.id(),
            postgres: self.postgres.as_ref(),
            beside: None,
        }
    }

    /// What the rounds have made of it, taken when they are over.
    pub async fn between(&self, run: &Run) -> Result<Between> {
        let memory = process::memory(self.node.id())?;
        let now = mark(run, &self.node, self.postgres.as_ref()).await?;
        Ok(Between {
            memory_mib: memory.peak_mib,
            commits: now.commits - self.before.commits,
            batches: now.batches.since(self.before.batches),
        })
    }

    /// Stops everything, without a look at the log.
    pub fn stop(self) -> Result<()> {
        self.node.stop()?;
        self.postgres.map_or(Ok(()), Postgres::stop)
    }

    /// Reads the log back, stops everything, and asks the database.
    pub async fn end(self, run: &Run, driven: Count) -> Result<Ended> {
        let made = self.world.made;
        let answers = Count {
            reads: made.reads + driven.reads,
            writes: made.writes + driven.writes,
            tokens: made.tokens + driven.tokens,
            ..made
        };
        let records = Count::of_log(&self.node, &run.client).await?;
        let compared = format!("{}: {}", self.name(), log::compare(answers, records));
        let said = self.node.durability();
        let settings = match self.postgres {
            Some(postgres) => {
                let settings = postgres.settings().await?;
                self.node.stop()?;
                postgres.stop()?;
                settings
            }
            None => {
                let file = self.node.sqlite_file();
                self.node.stop()?;
                log::settings_of_sqlite(&file).await?
            }
        };
        Ok(Ended {
            unaccounted: answers.differences(records),
            lines: [compared, settings].into_iter().chain(said).collect(),
        })
    }
}

/// Records and commits so far, once PostgreSQL has been told of all of them.
async fn mark(run: &Run, node: &Node, postgres: Option<&Postgres>) -> Result<Mark> {
    let commits = match postgres {
        Some(postgres) => {
            run.progress("waiting for PostgreSQL's statistics");
            tokio::time::sleep(STATISTICS_DELAY).await;
            postgres.commits().await?
        }
        None => 0,
    };
    Ok(Mark {
        batches: Batches::of(node.metrics).await?,
        commits,
    })
}
