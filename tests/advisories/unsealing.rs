//! Rows G13 and H13: attempts to unseal, and what a server leaves behind that crashes.
//!
//! Invariant: what is measured is a shortest time, from before the first attempt: a slow machine makes it longer only.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use coffer::store::Engine;
use reqwest::Method;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::support::built::{Opened, PASSPHRASE, Place};
use crate::support::eventually;

/// How long the first attempt keeps the others waiting: an operator who has not sent anything yet.
const HELD: Duration = Duration::from_secs(1);
/// What the next attempt waits after the first that failed; after each further one it is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// An attempt that stands behind those before it: the answer, and when it came.
fn attempt(socket: &Path, phrase: &str) -> JoinHandle<(String, Instant)> {
    let mut stream = UnixStream::connect(socket).expect("a sealed server listens");
    let sent = stream.write_all(phrase.as_bytes());
    sent.and_then(|()| stream.shutdown(Shutdown::Write))
        .expect("it is sent");
    spawn_blocking(move || {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        (answer, Instant::now())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h13_a_passphrase_tried_many_times_at_once() {
    let place = Place::found(Engine::Sqlite).await;
    let server = place.serve("one", Opened::ByHand).await;
    let socket = place.path("state-one").join("unseal.sock");
    eventually("a sealed server has a socket", || async {
        socket.exists().then_some(())
    })
    .await;
    let began = Instant::now();
    let silent = UnixStream::connect(&socket).expect("a sealed server listens");
    let others = ["wrong", PASSPHRASE].map(|phrase| attempt(&socket, phrase));
    sleep(HELD).await;
    assert!(
        others.iter().all(|other| !other.is_finished()),
        "one attempt at a time"
    );
    // Nothing is a passphrase too, and the wrong one.
    drop(silent);
    let [wrong, right] = others;
    let (wrong, right) = (wrong.await.expect("no panic"), right.await);
    let right = right.expect("no panic");
    assert!(wrong.0.contains("passphrase"), "{:?}", wrong.0);
    assert_eq!(right.0, "unsealed");
    // A pause, and one that is twice as long.
    for ((_, at), least) in [(wrong, HELD + PAUSE), (right, HELD + 3 * PAUSE)] {
        let waited = at.duration_since(began);
        assert!(waited >= least, "{waited:?} instead of {least:?} at least");
    }
    eventually("the server is ready", || async {
        (server.open(Method::GET, "/health/ready").await.status() == 204).then_some(())
    })
    .await;
    let failed = place.logs().matches("an attempt to unseal failed").count();
    assert_eq!(failed, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_g13_a_crash_leaves_no_core() {
    let place = Place::found(Engine::Sqlite).await;
    let server = place.serve("one", Opened::ByFile).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id()));
    let limits = limits.expect("it lives");
    let mut rows = limits.lines();
    let core = rows.find_map(|row| row.strip_prefix("Max core file size"));
    let core: Vec<&str> = core.expect("a row").split_whitespace().collect();
    assert_eq!(core, ["0", "0", "bytes"], "whatever it was allowed before");
    let ended = server.crash().await;
    assert_eq!(ended.signal(), Some(libc::SIGABRT));
    assert!(!ended.core_dumped(), "nothing is written down");
}
