//! The load generator: a fixed number of connections in a closed loop, each with the next request as soon as it is answered.
//! Everything runs on this process's one thread; a window of measurement lies between two turns of a gauge.
//!
//! Invariant: every request that was sent is waited for, so that answers can be counted against records.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::failure::{Context, Result};
use crate::figures::percentile;
use crate::tls::Client;
use crate::wire::Wire;
use crate::world::Traffic;

/// How a case is measured.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Before the window: handshakes, caches, a full queue.
    pub warm_up: Duration,
    /// The window.
    pub measured: Duration,
}

/// How the load is put on.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// How long each waits after an answer.
    pub pause: Duration,
}

impl Flow {
    /// As fast as they are answered.
    pub const fn flat_out(connections: usize) -> Self {
        Self {
            connections,
            pause: Duration::ZERO,
        }
    }
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const ENDING: u8 = 2;

/// A load that is being put on.
pub struct Load {
    gauge: Arc<AtomicU8>,
    connections: Vec<tokio::task::JoinHandle<Result<Driven>>>,
}

/// What one connection saw, and then what all of them did.
#[derive(Default)]
pub struct Driven {
    /// Requests answered as they should be, before, in and after the window.
    pub answers: u64,
    /// Requests answered otherwise.
    pub refused: u64,
    /// The status of one that was.
    pub refusal: Option<u16>,
    /// Time from request to answer, in nanoseconds, of those answered in the window.
    pub latencies: Vec<u32>,
}

impl Driven {
    /// The time within which this share was answered.
    pub fn milliseconds(&self, share: f64) -> f64 {
        f64::from(percentile(&self.latencies, share)) / 1e6
    }
}

impl Load {
    /// Connects and begins.
    pub fn begin(client: &Client, address: SocketAddr, traffic: &Traffic, flow: Flow) -> Self {
        let gauge = Arc::new(AtomicU8::new(WARMING));
        let connections = (0..flow.connections)
            .map(|_| {
                let (client, traffic, gauge) =
                    (client.clone(), traffic.clone(), Arc::clone(&gauge));
                tokio::spawn(async move { drive(&client, address, &traffic, flow, &gauge).await })
            })
            .collect();
        Self { gauge, connections }
    }

    /// Opens the window.
    pub fn measure(&self) {
        self.gauge.store(MEASURING, Ordering::Relaxed);
    }

    /// Closes the window, and waits for the answers that are on their way.
    pub async fn end(self) -> Result<Driven> {
        self.gauge.store(ENDING, Ordering::Relaxed);
        let mut all = Driven::default();
        for connection in self.connections {
            let mut driven = connection.await.context("the load generator")??;
            all.answers += driven.answers;
            all.refused += driven.refused;
            all.refusal = all.refusal.or(driven.refusal);
            all.latencies.append(&mut driven.latencies);
        }
        all.latencies.sort_unstable();
        Ok(all)
    }
}

async fn drive(
    client: &Client,
    address: SocketAddr,
    traffic: &Traffic,
    flow: Flow,
    gauge: &AtomicU8,
) -> Result<Driven> {
    let mut rng = SmallRng::from_rng(&mut rand::rng());
    let mut wire = Wire::open(client, address).await?;
    let mut driven = Driven::default();
    while gauge.load(Ordering::Relaxed) != ENDING {
        let request = traffic.next(&mut rng);
        let sent = Instant::now();
        let status = wire.send(&request).await?;
        let took = sent.elapsed();
        if matches!(status, 200 | 201) {
            driven.answers += 1;
        } else {
            driven.refused += 1;
            driven.refusal = Some(status);
        }
        if gauge.load(Ordering::Relaxed) == MEASURING {
            driven
                .latencies
                .push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
        if !flow.pause.is_zero() {
            tokio::time::sleep(flow.pause).await;
        }
    }
    Ok(driven)
}
