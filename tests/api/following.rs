//! `coffer audit tail -f`: the newest records, then those that come after, and none that went before.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::built::command_line;
use crate::support::vault::both_engines;

/// Lines that following shows before it is known to be quiet.
const BEFORE: usize = 2;

both_engines! {
    async fn what_is_followed_never_goes_back(v: TestVault) {
        for number in 0..30 {
            v.set(&format!("payments/prod/s{number}"), "a", "1").await;
        }
        let mut following = command_line()
            .args(["audit", "tail", "-f", "-n", "2"])
            .env("COFFER_ADDR", format!("https://{}", v.address()))
            .env("COFFER_CACERT", v.authority())
            .env("COFFER_TOKEN", &v.root.text)
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
