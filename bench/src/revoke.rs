//! `bench revoke`: how long it takes to revoke a token while two nodes on one PostgreSQL write as fast as they can,
//! and whether the other node serves it once that was answered.
//!
//! Invariant: each token was used at the other node before it is revoked, so that it is remembered there.

use std::sync::Arc;
use std::time::Instant;

use hyper::Method;
use hyper::StatusCode;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Connection, bearer, request};
use crate::failure::{Context, Failure, Result};
use crate::figures::{Figure, Goal, percentile};
use crate::load::{Flow, Load};
use crate::log::Count;
use crate::node::Node;
use crate::options::Engine;
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::Stage;
use crate::world::{PROJECT, Traffic, ask_all, uri};

/// Milliseconds within which 99 of 100 revocations are answered.
const P99_MAX: f64 = 100.0;
/// Whole seconds: longer than any run.
const TOKEN_TTL: u64 = 86_400;

/// What is wanted of the answer to `POST /tokens`.
#[derive(Deserialize)]
struct Made {
    token: String,
    id: String,
}

/// What was seen of all revocations.
#[derive(Default)]
struct Seen {
    /// In nanoseconds.
    took: Vec<u32>,
    /// Tokens that the other node served after the answer.
    served_after: u64,
    /// Reads after the answer that got 429.
    turned_away: u64,
    /// Reads by these tokens that have a record.
    reads: u64,
}

/// Measures revocations on PostgreSQL; two nodes need one.
pub async fn run(run: &Run) -> Result<()> {
    if !run.engines()?.contains(&Engine::Postgresql) {
        run.progress("revocations beside two nodes need PostgreSQL, which was not asked for");
        return Ok(());
    }
    let stage = Stage::prepare(run, Setting::of(Engine::Postgresql)).await?;
    let postgres = stage.postgres.as_ref().context("no PostgreSQL")?;
    let second = run.second_node(postgres, &stage.node).await?;
    run.say_conditions(stage.example.1.len());
    let tokens = make(run, &stage).await?;

    let flow = Flow::flat_out(run.options.connections());
    let traffic = Traffic::Writes(Arc::clone(&stage.world));
    let nodes = [&stage.node, &second];
    let begin = |node: &Node| Load::begin(&run.client, node.address, &traffic, flow);
    let loads = nodes.map(begin);
    tokio::time::sleep(run.shape()?.warm_up).await;
    loads.iter().for_each(Load::measure);
    let begun = Instant::now();
    let mut seen = revoke(run, &stage, &second, &tokens).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (mut writes, mut rates) = (0, Vec::new());
    for load in loads {
        let driven = load.end().await?;
        if let Some(status) = driven.refusal {
            return Err(Failure(format!("a write was answered {status}")));
        }
        writes += driven.answers;
        rates.push(driven.latencies.len() as f64 / seconds);
    }
    second.stop()?;

    let revoked = tokens.len() as u64;
    let driven = Count {
        writes,
        reads: seen.reads,
        tokens: 2 * revoked,
        ..Count::default()
    };
    let ended = stage.end(run, driven).await?;
    seen.took.sort_unstable();
    let ms = |share| f64::from(percentile(&seen.took, share)) / 1e6;
    let figure = |what: &str, value, unit, goal| {
        Figure::new(format!("revoke.{what}.postgresql"), value, unit, goal)
    };
    let (none, zero) = (Goal::None, Goal::Exactly(0.0));
    let (served, unaccounted) = (seen.served_after as f64, ended.unaccounted as f64);
    run.say_figures(&[
        figure("p99", ms(0.99), "ms", Goal::AtMost(P99_MAX)),
        figure("p50", ms(0.5), "ms", none),
        figure("longest", ms(1.0), "ms", none),
        figure("served_after", served, "", zero),
        figure("turned_away_after", seen.turned_away as f64, "", none),
        figure("revocations", revoked as f64, "", none),
        figure("versions_beside", rates[0], "1/s", none),
        figure("versions_beside_second", rates[1], "1/s", none),
        figure("unaccounted", unaccounted, "", zero),
    ]);
    run.say("");
    ended.lines.iter().for_each(|line| run.say(line));
    Ok(())
}

/// Tokens that may read.
async fn make(run: &Run, stage: &Stage) -> Result<Vec<Made>> {
    let wanted = json!({ "scopes": [format!("read:{PROJECT}/**")], "ttl": TOKEN_TTL });
    let (path, wanted) = (uri("/api/v1/tokens")?, Bytes::from(wanted.to_string()));
    let root = &stage.node.root;
    let all = (0..run.options.revocations)
        .map(|_| request(Method::POST, &path, root, wanted.clone()))
        .collect();
    let answers = ask_all(&run.client, stage.node.address, all).await?;
    answers
        .iter()
        .map(|body| serde_json::from_slice(body).context("a token's answer"))
        .collect()
}

/// Revokes one behind the other at the first node, each used before and after at the second.
async fn revoke(run: &Run, stage: &Stage, second: &Node, tokens: &[Made]) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut first = Connection::open(&run.client, stage.node.address).await?;
    let mut other = Connection::open(&run.client, second.address).await?;
    let read = uri(&stage.example.0)?;
    for made in tokens {
        let token = bearer(&made.token)?;
        let get = || request(Method::GET, &read, &token, Bytes::new());
        other.ask(get()).await?;
        let path = uri(&format!("/api/v1/tokens/{}", made.id))?;
        let delete = request(Method::DELETE, &path, &stage.node.root, Bytes::new());
        let begun = Instant::now();
        first.ask(delete).await?;
        let took = begun.elapsed().as_nanos();
        seen.took.push(u32::try_from(took).unwrap_or(u32::MAX));
        let answered = other.status(get()).await?;
        seen.served_after += u64::from(answered == StatusCode::OK);
        // Past a hundred revoked tokens in a minute a source gets 429 for them, without a record of each.
        let recorded = answered == StatusCode::OK || answered == StatusCode::UNAUTHORIZED;
        seen.turned_away += u64::from(!recorded);
        seen.reads += 1 + u64::from(recorded);
    }
    Ok(seen)
}
