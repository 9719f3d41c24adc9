//! The image run as a container: founded, served, asked, stopped, with nothing but its volumes to write to.

use std::path::Path;
use std::process::{Child, Command, Output};

use coffer::model::Ttl;
use serde_json::{Value, json};

use super::image::{Image, Limits, is_root};
use crate::support::client::{Client, Token};
use crate::support::eventually;
use crate::support::node::text;

/// A container's server.
struct Running {
    child: Child,
    /// The server's own process, the innermost of the namespaces.
    pid: u32,
    client: Client,
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a stop there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the server, and waits until it listens.
async fn started(image: &Image, limits: &Limits) -> Running {
    let log = image.path("server.log");
    let mut child = image.start(limits, &log);
    eventually("the server listens", || {
        let ended = child.try_wait().expect("a child");
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(ended.is_none(), "{said}");
        async move { said.contains(r#""message":"listening""#).then_some(()) }
    })
    .await;
    let namespace = child_of(child.id());
    Running {
        pid: child_of(namespace),
        child,
        client: Client::new(image.address, &image.authority),
    }
}

fn child_of(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.expect("the kernel lists children");
    children.trim().parse().expect("one child")
}

#[track_caller]
fn exits(said: &Output, code: i32) {
    let err = text(&said.stderr);
    assert_eq!(said.status.code(), Some(code), "{err}");
}

/// Stops the server as a container is stopped.
async fn stopped(image: &Image, mut running: Running) {
    let signal = image.stop_signal().trim_start_matches("SIG");
    let mut kill = Command::new("kill");
    let told = kill.args(["-s", signal, &running.pid.to_string()]).status();
    assert!(told.expect("kill runs").success());
    let ended = eventually("the server stops", || {
        let ended = running.child.try_wait().expect("a child");
        async move { ended }
    });
    assert_eq!(ended.await.code(), Some(0));
}

/// One line of what the kernel says of a process.
fn said_of(status: &str, key: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let words = line.expect("proc(5) has it").split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

/// The process is the image's user, can do nothing that others cannot, and never will.
fn is_harmless(image: &Image, pid: u32) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let uids = said_of(&status, "Uid:");
    let (user, group) = image.user();
    if is_root() {
        assert_eq!(uids, [user; 4].map(|id| id.to_string()).join(" "));
        let gids = said_of(&status, "Gid:");
        assert_eq!(gids, [group; 4].map(|id| id.to_string()).join(" "));
        assert_eq!(said_of(&status, "Groups:"), "");
    }
    assert!(!uids.split(' ').any(|id| id == "0"), "{uids}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(said_of(&status, set), "0".repeat(16), "{set}");
    }
    assert_eq!(said_of(&status, "NoNewPrivs:"), "1");
    let pids = said_of(&status, "NSpid:");
    assert!(pids.ends_with(" 1"), "the first process of its own: {pids}");
}

/// Only the volumes may be written to, and the kernel's own view of the processes in there.
fn writes_to_volumes_alone(image: &Image) {
    let mounted = image.mounted();
    assert_eq!(
        mounted.get(""),
        Some(&false),
        "the root file system is read-only"
    );
    let mut writable: Vec<&str> = mounted
        .iter()
        .filter(|(_, writable)| **writable)
        .map(|(at, _)| at.as_str())
        .filter(|at| !at.starts_with("/proc") && !at.starts_with("/dev/"))
        .collect();
    writable.sort_unstable();
    assert_eq!(writable, image.volumes());
}

fn lock_said(status: &Value) -> bool {
    status["locked_memory"].as_bool().expect("status says it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_serves_with_nothing_but_its_volumes() {
    let image = Image::build();
    let before = image.files();
    let token = "/var/lib/coffer/first-token";
    exits(&image.run(&["init", "--token-file", token]), 0);
    let plain = std::fs::read_to_string(image.in_volume(token)).expect("a token");
    let root = Token {
        text: plain.trim().to_owned(),
        id: "the first".to_owned(),
    };
    exits(&image.health(), 5);
    let running = started(&image, &image.limits()).await;
    exits(&image.health(), 0);
    is_harmless(&image, running.pid);
    writes_to_volumes_alone(&image);

    let client = &running.client;
    let made = client.post("/projects", json!({ "name": "payments" }), &root);
    made.await.is(201);
    let place = json!({ "name": "prod" });
    let made = client.post("/projects/payments/environments", place, &root);
    made.await.is(201);
    let one = "/secrets/payments/prod/one";
    let body = json!({ "fields": { "v": "from a container" } });
    client.put(one, body, &root).await.is(201);
    let read = client.get(one, &root).await.is(200).json();
    assert_eq!(read["fields"]["v"], "from a container");
    let ttl = Ttl::seconds(300).as_seconds();
    let body = json!({ "scopes": ["read:payments/**"], "ttl": ttl });
    client.post("/tokens", body, &root).await.is(201);
    let status = client.get("/status", &root).await.is(200).json();
    assert!(lock_said(&status), "keys are in locked memory: {status}");
    stopped(&image, running).await;
    exits(&image.health(), 5);

    // Where no memory may be locked it serves as well, and says so.
    let running = started(&image, &Limits { locked_kib: 0 }).await;
    let read = running.client.get(one, &root).await.is(200).json();
    assert_eq!(read["fields"]["v"], "from a container");
    let status = running.client.get("/status", &root).await.is(200).json();
    assert!(!lock_said(&status), "{status}");
    stopped(&image, running).await;
    let said = image.run(&["check", "--config", "/etc/coffer/coffer.toml"]);
    exits(&said, 0);
    assert!(Path::new(&image.in_volume("/var/lib/coffer-seal/root.key")).is_file());
    assert_eq!(image.files(), before, "the image is as it was");
}
