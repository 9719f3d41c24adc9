//! What befalls a PostgreSQL and the connections of two servers to it, at random, until it is told to end.
//!
//! Invariant: once it has ended, everything is whole again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::Chance;
use crate::support::eventually;
use crate::support::postgres::Server;
use crate::support::proxy::{Mode, Proxy};

/// From one mischief to the next, at most, in milliseconds.
const CALM_MS: usize = 400;
/// How long a connection is held, or PostgreSQL is gone, at most, in milliseconds.
const HELD_MS: usize = 700;

/// How often each befell them.
#[derive(Default)]
pub struct Befell {
    crashed: usize,
    stopped: usize,
    cut: usize,
    held: usize,
}

impl fmt::Display for Befell {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            crashed,
            stopped,
            cut,
            held,
        } = self;
        write!(
            to,
            "a process of PostgreSQL killed {crashed} times, PostgreSQL stopped and started {stopped} times, \
             connections cut {cut} times and held {held} times"
        )
    }
}

/// Cuts, holds, kills and stops until it is told to end, and then leaves everything whole.
pub async fn trouble(
    proxies: Arc<[Proxy; 2]>,
    server: Arc<Server>,
    mut chance: Chance,
    stop: watch::Receiver<bool>,
) -> Befell {
    let mut befell = Befell::default();
    while !*stop.borrow() {
        tokio::time::sleep(at_most(&mut chance, CALM_MS)).await;
        let proxy = &proxies[chance.below(2)];
        match chance.below(9) {
            0 => {
                crash(&server.url).await;
                befell.crashed += 1;
            }
            1 => {
                stop_and_start(&server, at_most(&mut chance, HELD_MS)).await;
                befell.stopped += 1;
            }
            2..=5 => {
                proxy.set(Mode::Cut);
                befell.cut += 1;
            }
            _ => {
                proxy.set(Mode::Hold);
                tokio::time::sleep(at_most(&mut chance, HELD_MS)).await;
                befell.held += 1;
            }
        }
        proxy.set(Mode::Pass);
    }
    befell
}

fn at_most(chance: &mut Chance, milliseconds: usize) -> Duration {
    Duration::from_millis(chance.below(milliseconds) as u64)
}

/// PostgreSQL ends all sessions and recovers as after a crash when one of its processes is killed.
async fn crash(url: &str) {
    let connected = || async { PgConnection::connect(url).await.ok() };
    let mut connection = eventually("PostgreSQL", connected).await;
    let own = sqlx::query("SELECT pg_backend_pid()");
    let own: i32 = own.fetch_one(&mut connection).await.expect("a row").get(0);
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &own.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()), "kill");
    eventually("PostgreSQL is back", connected).await;
}

/// All of PostgreSQL is gone for a while, and nobody listens where it did.
async fn stop_and_start(server: &Arc<Server>, gone: Duration) {
    let stopping = Arc::clone(server);
    spawn_blocking(move || stopping.stop())
        .await
        .expect("it stops");
    tokio::time::sleep(gone).await;
    let starting = Arc::clone(server);
    spawn_blocking(move || starting.start_again())
        .await
        .expect("it starts");
}
