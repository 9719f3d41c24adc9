//! Shuffled rounds: every case once a round, in another order each time, so that no case owns the quiet minute.
//! A case is measured by what its server and its PostgreSQL used between two marks, and by what the clients saw.
//!
//! Invariant: all cases of a run see the same shape of load, and the ratio of two is taken round by round.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use crate::failure::{Failure, Result};
use crate::figures::Rounds;
use crate::load::{Driven, Flow, Load};
use crate::postgres::Postgres;
use crate::process;
use crate::quiet::{Still, settle};
use crate::run::Run;
use crate::world::Traffic;

/// What is measured.
pub struct Case<'a> {
    /// In tables.
    pub name: String,
    /// Where the load goes.
    pub address: SocketAddr,
    /// What is asked for.
    pub traffic: Traffic,
    /// Over how many connections, and how fast.
    pub flow: Flow,
    /// Whose CPU is counted.
    pub server: u32,
    /// Whose CPU is counted apart.
    pub postgres: Option<&'a Postgres>,
    /// What else goes on meanwhile, at another server.
    pub beside: Option<(SocketAddr, Traffic)>,
}

/// What was seen of a case, over the rounds.
#[derive(Default)]
pub struct Seen {
    /// Requests a second.
    pub rate: Rounds,
    /// Server's CPU, µs a request.
    pub cpu: Rounds,
    /// PostgreSQL's CPU, µs a request.
    pub postgres: Rounds,
    /// Milliseconds.
    pub p50: Rounds,
    /// Milliseconds.
    pub p99: Rounds,
    /// Milliseconds.
    pub longest: Rounds,
    /// Share of one core that the load generator used.
    pub load: Rounds,
    /// Requests a second of what went on beside it.
    pub beside: Rounds,
    /// Requests answered as they should be, in all, within and outside the windows.
    pub answers: u64,
    /// The same of what went on beside it.
    pub answers_beside: u64,
}

impl Seen {
    /// CPU of server and PostgreSQL together, µs a request.
    pub fn cpu_in_all(&self) -> Rounds {
        self.cpu.plus(&self.postgres)
    }
}

/// Measures all cases in all rounds; what was seen, in the order of the cases.
pub async fn measure(run: &Run, cases: &[Case<'_>]) -> Result<Vec<Seen>> {
    let mut seen: BTreeMap<usize, Seen> =
        (0..cases.len()).map(|at| (at, Seen::default())).collect();
    let mut order: Vec<usize> = (0..cases.len()).collect();
    let servers: BTreeSet<u32> = cases.iter().map(|case| case.server).collect();
    for round in 1..=run.options.rounds {
        if round > 1 && cases.len() > 1 {
            settle(&servers).await?;
        }
        order.shuffle(&mut rand::rng());
        for at in &order {
            let case = &cases[*at];
            let seen = seen.entry(*at).or_default();
            let others = servers.iter().copied().filter(|id| *id != case.server);
            let still = Still::hold(others)?;
            measure_once(run, case, seen).await?;
            drop(still);
            run.progress(&format!(
                "round {round}/{}: {}: {:.0}/s, {:.1} + {:.1} µs",
                run.options.rounds,
                case.name,
                seen.rate.last(),
                seen.cpu.last(),
                seen.postgres.last(),
            ));
        }
    }
    Ok(seen.into_values().collect())
}

async fn measure_once(run: &Run, case: &Case<'_>, seen: &mut Seen) -> Result<()> {
    let shape = run.shape()?;
    let begin = |address, traffic| Load::begin(&run.client, address, traffic, case.flow);
    let beside = case
        .beside
        .as_ref()
        .map(|(address, traffic)| begin(*address, traffic));
    let load = begin(case.address, &case.traffic);
    tokio::time::sleep(shape.warm_up).await;

    let before = Used::now(case)?;
    load.measure();
    if let Some(beside) = &beside {
        beside.measure();
    }
    let begun = Instant::now();
    tokio::time::sleep(shape.measured).await;
    let after = Used::now(case)?;
    let seconds = begun.elapsed().as_secs_f64();

    let driven = load.end().await?;
    check(case, &driven)?;
    let count = driven.latencies.len() as f64;
    let a_request = |used: Duration| used.as_secs_f64() * 1e6 / count;
    let milliseconds = |share| driven.milliseconds(share);
    seen.rate.push(count / seconds);
    seen.cpu.push(a_request(after.server - before.server));
    seen.postgres
        .push(a_request(after.postgres - before.postgres));
    seen.p50.push(milliseconds(0.5));
    seen.p99.push(milliseconds(0.99));
    seen.longest.push(milliseconds(1.0));
    seen.load
        .push((after.load - before.load).as_secs_f64() / seconds);
    seen.answers += driven.answers;
    if let Some(beside) = beside {
        let driven = beside.end().await?;
        check(case, &driven)?;
        seen.beside.push(driven.latencies.len() as f64 / seconds);
        seen.answers_beside += driven.answers;
    }
    Ok(())
}

/// A figure of requests that failed would be a figure of nothing.
fn check(case: &Case<'_>, driven: &Driven) -> Result<()> {
    if let Some(status) = driven.refusal {
        let (name, refused) = (&case.name, driven.refused);
        return Err(Failure(format!(
            "{name}: {refused} requests were refused, one with {status}"
        )));
    }
    if driven.latencies.is_empty() {
        let name = &case.name;
        return Err(Failure(format!("{name}: nothing was answered")));
    }
    Ok(())
}

/// CPU time so far.
struct Used {
    server: Duration,
    postgres: Duration,
    load: Duration,
}

impl Used {
    fn now(case: &Case<'_>) -> Result<Self> {
        Ok(Self {
            server: process::cpu(case.server)?,
            postgres: case.postgres.map_or(Ok(Duration::ZERO), Postgres::cpu)?,
            load: process::cpu(std::process::id())?,
        })
    }
}
