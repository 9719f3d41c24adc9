//! A TCP proxy between a node and its PostgreSQL that cuts, holds or swallows from a given moment on.
//! The moment is chosen by the test, or by bytes on their way to the server, such as `COMMIT`.
//!
//! Invariant: it never changes or reorders a byte that it passes on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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

/// When bytes like these go to the server, the mode changes: before they are passed on, or after.
#[derive(Clone)]
struct Trigger {
    pattern: Vec<u8>,
    passed_on: bool,
    mode: Mode,
}

/// A running proxy; it ends with the runtime of its test.
pub struct Proxy {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    state: Arc<State>,
    trigger: Arc<Mutex<Option<Trigger>>>,
}

/// The mode, and how often connections were cut: a cut is not missed when the mode changes again at once.
struct State {
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
}

impl State {
    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        if mode == Mode::Cut {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
}

impl Proxy {
    /// Listens for connections to `server`, as `host:port`.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let proxy = Self {
            address: listener.local_addr().expect("it is bound"),
            state: Arc::new(State {
                mode: watch::Sender::new(Mode::Pass),
                cuts: watch::Sender::new(0),
            }),
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
        self.state.set(mode);
    }

    /// Changes the mode when `pattern` comes by on its way to the server: once, before it is passed on.
    pub fn set_before(&self, pattern: &[u8], mode: Mode) {
        self.arm(pattern, false, mode);
    }

    /// Changes the mode when `pattern` has gone to the server: once.
    pub fn set_after(&self, pattern: &[u8], mode: Mode) {
        self.arm(pattern, true, mode);
    }

    /// Waits until the mode is this one: until a trigger has met its moment.
    pub async fn reached(&self, mode: Mode) {
        let mut modes = self.state.mode.subscribe();
        let met = modes.wait_for(|now| *now == mode);
        let met = tokio::time::timeout(super::PATIENCE, met).await;
        met.expect("the moment comes").expect("the proxy runs");
    }

    fn arm(&self, pattern: &[u8], passed_on: bool, mode: Mode) {
        let trigger = Trigger {
            pattern: pattern.to_vec(),
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
    (state, triggers): (Arc<State>, Triggers),
    gone: Arc<watch::Sender<bool>>,
) {
    let (mut modes, mut cuts) = (state.mode.subscribe(), state.cuts.subscribe());
    let mut ended = gone.subscribe();
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = tokio::select! {
            _ = modes.wait_for(|mode| *mode == Mode::Cut) => break,
            _ = cuts.changed() => break,
            _ = ended.wait_for(|ended| *ended) => break,
            count = from.read(&mut bytes) => count,
        };
        let Ok(count @ 1..) = count else { break };
        let met = triggers.as_ref().and_then(|trigger| {
            let mut trigger = trigger.lock().expect("no panic under the lock");
            trigger.take_if(|trigger| holds(&bytes[..count], &trigger.pattern))
        });
        if let Some(trigger) = met.as_ref().filter(|trigger| !trigger.passed_on) {
            state.set(trigger.mode);
        }
        let going_on = modes.wait_for(|mode| *mode != Mode::Hold).await;
        let Ok(now) = going_on.map(|mode| *mode) else {
            break;
        };
        if cuts.has_changed().unwrap_or(true) {
            break;
        }
        let swallowed = now == Mode::SwallowAnswers && triggers.is_none();
        if now == Mode::Cut {
            break;
        }
        if !swallowed && to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
        if let Some(trigger) = met.filter(|trigger| trigger.passed_on) {
            state.set(trigger.mode);
        }
    }
    gone.send_replace(true);
}

fn holds(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.windows(pattern.len()).any(|window| window == pattern)
}
