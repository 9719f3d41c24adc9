//! A built server as a process: started, armed, stopped, continued, killed, and heard.
//!
//! Invariant: a node ends with its test, and two nodes are two processes.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::client::Client;
use super::scrape::Scrape;
use super::{eventually, left};

/// A running server. Its [`Client`]'s methods are its own.
pub struct Node {
    child: Mutex<Child>,
    /// Its process.
    pub pid: u32,
    said: Arc<Said>,
    points: PathBuf,
    client: Client,
}

/// What a process has printed on stderr.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    closed: AtomicBool,
}

/// A server that did not start, or has ended: its exit code and its last words.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    /// The last line on stderr.
    pub sentence: String,
}

impl Node {
    /// Starts a server, and waits until it listens, or has ended.
    pub async fn spawn(
        mut command: Command,
        points: PathBuf,
        authority: &str,
    ) -> Result<Self, Ended> {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let (pid, stderr) = (child.id(), child.stderr.take().expect("a pipe"));
        let said = Arc::new(Said::default());
        let hearing = Arc::clone(&said);
        std::thread::spawn(move || hearing.hear(stderr));
        let child = Mutex::new(child);
        let address = eventually("a node listens, or ends", || async {
            match said.find(|line| address(line, "listening")) {
                Some(address) => Some(Ok(address)),
                None => said.ended(&child).map(Err),
            }
        });
        let address = address.await?.parse().expect("an address");
        Ok(Self {
            child,
            pid,
            said,
            points,
            client: Client::new(address, authority),
        })
    }

    /// Arms points of the running node, from the next one that it passes.
    pub fn arm(&self, points: &str) {
        replace(&self.points, points);
    }

    /// Waits until an armed point was met.
    pub async fn met(&self, point: &str) {
        let hit = format!("failpoint {point}: ");
        let seen = || async { self.has_said(&hit).then_some(()) };
        eventually(&hit, seen).await;
    }

    /// How often an armed point was met by now.
    pub fn hits(&self, point: &str) -> usize {
        let hit = format!("failpoint {point}: ");
        let lines = self.said.lines.lock().expect("no panic");
        lines.iter().filter(|line| line.contains(&hit)).count()
    }

    /// What it counts.
    pub async fn metrics(&self) -> Scrape {
        let told = self.said.find(|line| address(line, "metrics are told"));
        let told = told.expect("it is said before it listens");
        Scrape::of(told.parse().expect("an address")).await
    }

    /// Whether a line that it printed holds this.
    pub fn has_said(&self, part: &str) -> bool {
        self.said
            .find(|line| line.contains(part).then_some(()))
            .is_some()
    }

    /// How many lines that it printed hold this.
    pub fn times_said(&self, part: &str) -> usize {
        let lines = self.said.lines.lock().expect("no panic");
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// Ends it as `kill -9` does, and waits for that.
    pub async fn kill(&self) {
        left::keys(self.pid);
        self.signal("-KILL");
        self.ended().await;
    }

    /// Stops it as SIGSTOP does, and waits until it stands.
    pub async fn stop(&self) {
        self.signal("-STOP");
        self.stopped().await;
    }

    /// Waits until it stands.
    pub async fn stopped(&self) {
        let stat = format!("/proc/{}/stat", self.pid);
        eventually("a node stands", || async {
            let stat = std::fs::read_to_string(&stat).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            rest.starts_with('T').then_some(())
        })
        .await;
    }

    /// Lets it go on; a task that is held goes on as well.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Tells it to end, and waits for that.
    pub async fn end(self) -> Ended {
        left::keys(self.pid);
        self.signal("-TERM");
        self.ended().await
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Ended {
        eventually("a node ends", || async { self.said.ended(&self.child) }).await
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &self.pid.to_string()]).status();
        assert!(sent.expect("kill runs").success(), "{signal}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(|lock| lock.into_inner());
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Deref for Node {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Said {
    fn hear(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            left::said(line.as_bytes());
            self.lines.lock().expect("no panic").push(line);
        }
        self.closed.store(true, Ordering::Release);
    }

    fn find<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        let lines = self.lines.lock().expect("no panic");
        lines.iter().find_map(|line| look(line))
    }

    /// How it ended, once it has and its last line was heard.
    fn ended(&self, child: &Mutex<Child>) -> Option<Ended> {
        if !self.closed.load(Ordering::Acquire) {
            return None;
        }
        let status = child.lock().expect("no panic").try_wait();
        let status = status.expect("a child")?;
        let last = self.lines.lock().expect("no panic").last().cloned();
        Some(Ended {
            code: status.code(),
            sentence: last.unwrap_or_default(),
        })
    }
}

fn address(line: &str, words: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == words).then(|| line["address"].as_str().map(str::to_owned))?
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces a file by renaming, so that it is never read half written.
pub fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("a file is written");
    std::fs::rename(&new, path).expect("a file is renamed");
}
