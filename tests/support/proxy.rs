//! A TCP proxy between a node and its PostgreSQL that cuts, holds or swallows from a given moment on.
//! The moment is chosen by the test, or by a statement on its way to the server, such as `COMMIT`.
//!
//! Invariant: it never changes or reorders a byte that it passes on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::statements::Statements;

/// What happens to bytes and connections from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// Nothing goes on in either direction, and nothing is lost, until the mode changes.
    Hold,
    /// The server's answers are lost; what goes to it still arrives.
    SwallowAnswers,
    /// Connections are closed, and new ones at once.
    Cut,
}

/// The mode, and how often connections were cut: nobody misses a cut that is over at once.
#[derive(Clone, Copy)]
struct State {
    mode: Mode,
    cuts: u64,
}

impl State {
    fn turn(&mut self, mode: Mode) {
        self.mode = mode;
        self.cuts += u64::from(mode == Mode::Cut);
    }
}

/// When a statement that holds this goes to the server, the mode changes: before it is passed on, or after.
#[derive(Clone)]
struct Trigger {
    statement: Vec<u8>,
    passed_on: bool,
    mode: Mode,
}

/// A running proxy; it ends with the runtime of its test.
pub struct Proxy {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    trigger: Arc<Mutex<Option<Trigger>>>,
}

impl Proxy {
    /// Listens for connections to `server`, as `host:port`.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let proxy = Self {
            address: listener.local_addr().expect("it is bound"),
            state: Arc::new(watch::Sender::new(State {
                mode: Mode::Pass,
                cuts: 0,
            })),
            trigger: Arc::default(),
        };
        let (state, trigger) = (Arc::clone(&proxy.state), Arc::clone(&proxy.trigger));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                // Bytes leave as they came: a held COMMIT is not to be found in one packet with something older.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (up, down) = (
                    (Arc::clone(&state), Some(Arc::clone(&trigger))),
                    (Arc::clone(&state), None),
                );
                let gone = Arc::new(watch::Sender::new(false));
                tokio::spawn(carry(from_client, to_server, up, Arc::clone(&gone)));
                tokio::spawn(carry(from_server, to_client, down, gone));
            }
        });
        proxy
    }

    /// A `postgres://` URL that leads through this proxy instead.
    pub async fn before(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, database) = rest.split_once('/').expect("a URL with a database");
        let (user, server) = authority.split_once('@').expect("a URL with a user");
        let proxy = Self::start(server.to_owned()).await;
        let through = format!("{scheme}://{user}@{}/{database}", proxy.address);
        (proxy, through)
    }

    /// Changes the mode now.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.turn(mode));
    }

    /// Changes the mode when a statement that holds this comes by: once, before it is passed on.
    pub fn set_before(&self, statement: &str, mode: Mode) {
        self.arm(statement, false, mode);
    }

    /// Changes the mode when a statement that holds this has gone to the server: once.
    pub fn set_after(&self, statement: &str, mode: Mode) {
        self.arm(statement, true, mode);
    }

    /// Waits until the mode is this one: until a trigger has met its moment.
    pub async fn reached(&self, mode: Mode) {
        let mut states = self.state.subscribe();
        let met = states.wait_for(|now| now.mode == mode);
        let met = tokio::time::timeout(super::PATIENCE, met).await;
        met.expect("the moment comes").expect("the proxy runs");
    }

    fn arm(&self, statement: &str, passed_on: bool, mode: Mode) {
        let trigger = Trigger {
            statement: statement.as_bytes().to_vec(),
            passed_on,
            mode,
        };
        *self.trigger.lock().expect("no panic under the lock") = Some(trigger);
    }
}

type Triggers = Option<Arc<Mutex<Option<Trigger>>>>;

/// Carries bytes in one direction until either side is gone or the connection is cut.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (state, triggers): (Arc<watch::Sender<State>>, Triggers),
    gone: Arc<watch::Sender<bool>>,
) {
    let (mut states, mut ended) = (state.subscribe(), gone.subscribe());
    let begun = *states.borrow();
    let mut bytes = vec![0; 64 << 10];
    let mut statements = Statements::default();
    while begun.mode != Mode::Cut {
        let count = tokio::select! {
            _ = states.wait_for(|now| now.cuts != begun.cuts) => break,
            _ = ended.wait_for(|ended| *ended) => break,
            count = from.read(&mut bytes) => count,
        };
        let Ok(count @ 1..) = count else { break };
        let met = triggers.as_ref().and_then(|trigger| {
            let run = statements.run_by(&bytes[..count]);
            let mut trigger = trigger.lock().expect("no panic under the lock");
            trigger.take_if(|trigger| run.iter().any(|text| holds(text, &trigger.statement)))
        });
        if let Some(trigger) = met.as_ref().filter(|trigger| !trigger.passed_on) {
            state.send_modify(|state| state.turn(trigger.mode));
        }
        let going_on = states.wait_for(|now| now.mode != Mode::Hold || now.cuts != begun.cuts);
        let Ok(now) = going_on.await.map(|now| *now) else {
            break;
        };
        if now.cuts != begun.cuts {
            break;
        }
        let swallowed = now.mode == Mode::SwallowAnswers && triggers.is_none();
        if !swallowed && to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
        if let Some(trigger) = met.filter(|trigger| trigger.passed_on) {
            state.send_modify(|state| state.turn(trigger.mode));
        }
    }
    gone.send_replace(true);
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
