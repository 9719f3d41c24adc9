//! What a measured server is: its store, its name, and what its configuration says beyond the least.
//!
//! Invariant: two settings of one run have two names.

use crate::failure::Result;
use crate::options::Engine;
use crate::provider::Provider;
use crate::run::Run;

/// See the module.
#[derive(Clone, Debug)]
pub struct Setting {
    /// On which store.
    pub engine: Engine,
    /// Its node's name, and its own in tables and figures.
    pub name: &'static str,
    /// Further lines of its configuration.
    pub config: String,
}

impl Setting {
    /// As `init` makes it.
    pub fn of(engine: Engine) -> Self {
        Self::named(engine, engine.word())
    }

    /// The same, of which there are two on one engine.
    pub const fn named(engine: Engine, name: &'static str) -> Self {
        Self {
            engine,
            name,
            config: String::new(),
        }
    }

    /// It may call this provider, in plain HTTP.
    pub fn calling(mut self, provider: &Provider) -> Self {
        let origin = provider.origin();
        self.config = format!("[outbound]\nallow = [\"{origin}\"]\n");
        self
    }

    /// SQLite, whose answers wait for the process alone and not for the disk.
    fn process() -> Self {
        Self {
            config: "[audit]\ndurability = \"process\"\n".to_owned(),
            ..Self::named(Engine::Sqlite, "sqlite-process")
        }
    }

    /// Whether what it answered is on the disk.
    pub fn is_durable(&self) -> bool {
        !self.config.contains("durability")
    }

    /// Those of a run that compares reads: the durable ones first.
    pub fn all(run: &Run) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = run.engines()?.into_iter().map(Self::of).collect();
        if run.options.process {
            all.push(Self::process());
        }
        Ok(all)
    }
}
