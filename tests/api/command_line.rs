//! The built command line before a server: what follows a log, and what hands a whole environment over.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::built::command_line;
use crate::support::vault::{TestVault, both_engines};

/// `coffer`, as the root's.
fn coffer(v: &TestVault, arguments: &[&str]) -> Command {
    let mut command = command_line();
    command
        .args(arguments)
        .env("COFFER_ADDR", format!("https://{}", v.address()))
        .env("COFFER_CACERT", v.authority())
        .env("COFFER_TOKEN", &v.root.text);
    command
}

/// Lines that following shows before it is known to be quiet.
const BEFORE: usize = 2;

both_engines! {
    async fn what_is_destroyed_is_left_out_of_an_environment(v: TestVault) {
        v.set("payments/prod/stripe", "key", "sk_live").await;
        v.set("payments/prod/old", "key", "gone").await;
        let versions = serde_json::json!({ "versions": [1] });
        v.post("/destroy/payments/prod/old", versions, &v.root).await.is(200);
        let mut run = coffer(&v, &["run", "payments/prod", "--", "/usr/bin/env"]);
        let ran = tokio::task::spawn_blocking(move || run.output()).await.expect("no panic");
        let ran = ran.expect("coffer runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{stderr}");
        assert!(stdout.contains("STRIPE_KEY=sk_live") && !stdout.contains("OLD_KEY"), "{stdout}");
        assert!(stderr.contains("payments/prod/old is left out: its value is destroyed"), "{stderr}");
        let log = v.audit().await;
        log.last_is("read", "payments/prod/stripe", "allowed");
    }

    async fn what_is_followed_never_goes_back(v: TestVault) {
        for number in 0..30 {
            v.set(&format!("payments/prod/s{number}"), "a", "1").await;
        }
        let mut following = coffer(&v, &["audit", "tail", "-f", "-n", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("coffer runs");
        let stdout = following.stdout.take().expect("it is piped");
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let _ = tell.send(line.expect("text"));
            }
        });
        let mut lines = Vec::new();
        while lines.len() < BEFORE {
            lines.push(told.recv().await.expect("a line"));
        }
        v.set("payments/prod/later", "a", "1").await;
        loop {
            let line = told.recv().await.expect("a line");
            let is_last = line.contains("payments/prod/later");
            lines.push(line);
            if is_last {
                break;
            }
        }
        following.kill().expect("it is stopped");
        following.wait().expect("it ends");
        reading.join().expect("it ends");
        assert_eq!(lines.len(), BEFORE + 1, "{lines:#?}");
        assert!(lines.is_sorted_by_key(|line| line[..27].to_owned()), "{lines:#?}");
    }
}
