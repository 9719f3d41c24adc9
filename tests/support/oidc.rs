//! A provider that is not ours: npm's oidc-provider, run by `tests/oidc/server.mjs` where `scripts/test --all` installed it.
//!
//! Invariant: a test that needs it fails where it is not installed; none is skipped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use coffer::model::Ttl;
use serde_json::{Value, json};

use super::client::install_provider;
use super::provider::{Grant, Proof};

const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oidc");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc/server.mjs");

/// A running provider. It ends with its test, and what it issued with it.
pub struct Oidc {
    child: Child,
    issuer: String,
    http: reqwest::Client,
}

impl Oidc {
    /// Starts one, and waits until it listens.
    pub fn start() -> Self {
        // Whatever becomes of this process, the kernel ends the provider with it.
        let mut node = Command::new("setpriv");
        node.args(["--pdeathsig", "KILL", "node", SCRIPT]);
        let node = node.current_dir(INSTALLED).stdin(Stdio::null());
        let spawned = node.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.expect("oidc-provider is installed: scripts/test --all does it");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("it prints a line");
        let said: Value = serde_json::from_str(&line)
            .expect("oidc-provider runs: scripts/test --all installs it, and Node.js 20 or newer");
        install_provider();
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            child,
            issuer: format!("http://127.0.0.1:{}", said["port"]),
            http: http.expect("a client"),
        }
    }

    /// A grant that somebody gave after signing in.
    pub async fn grant(&self, proof: Proof) -> Grant {
        let auth = match proof {
            Proof::Basic => "basic",
            Proof::Post => "post",
            Proof::Public => "none",
        };
        let made = self.tell("grant", json!({ "auth": auth })).await;
        let text = |key: &str| made[key].as_str().map(str::to_owned);
        Grant {
            token_url: text("token_url").expect("a URL"),
            client_id: text("client_id").expect("a client"),
            client_secret: text("client_secret"),
            proof,
            refresh_token: text("refresh_token").expect("a grant"),
        }
    }

    /// The next calls, so many, meet this fault: one of `FAULTS` of the script.
    pub async fn arm(&self, fault: &str, calls: usize) {
        let body = json!({ "fault": fault, "calls": calls });
        self.tell("arm", body).await;
    }

    /// How long access tokens live from now on.
    pub async fn set_lifetime(&self, lifetime: Ttl) {
        let body = json!({ "seconds": lifetime.as_seconds() });
        self.tell("ttl", body).await;
    }

    /// Whether an access token may be used, as the provider tells a resource server.
    pub async fn accepts(&self, access_token: &str) -> bool {
        let told = self.ask(&format!("active?token={access_token}")).await;
        told["active"].as_bool().expect("yes or no")
    }

    /// All calls of the token endpoint, and the refreshes among them that were accepted.
    pub async fn counts(&self) -> (u64, u64) {
        let stats = self.ask("stats").await;
        let number = |key: &str| stats[key].as_u64().expect("a number");
        (number("asked"), number("refreshes"))
    }

    async fn tell(&self, what: &str, body: Value) -> Value {
        let url = format!("{}/__lab/{what}", self.issuer);
        answer(self.http.post(url).body(body.to_string())).await
    }

    async fn ask(&self, what: &str) -> Value {
        let url = format!("{}/__lab/{what}", self.issuer);
        answer(self.http.get(url)).await
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("the provider runs");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).expect("JSON")
}
