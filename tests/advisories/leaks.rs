//! Group G: what others may read, what is given back that was only to be kept, and what is written into a log.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use coffer::model::Ttl;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use crate::matrix::rows::ROWS;
use crate::support::built::{Opened, Place};
use crate::support::provider::Provider;
use crate::support::vault::both_engines;

/// Every file that the server has made, below its folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let ours = |name: &str| {
        ["certificate.pem", "key.pem", "passphrase", "token"].contains(&name)
            || name.ends_with(".toml")
            || name.ends_with(".log")
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            found.extend(files(&path));
            found.push(path);
        } else if !ours(&name) {
            found.push(path);
        }
    }
    found
}

/// Nobody but the server's own user can open anything that it makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_g11_files_that_others_may_read() {
    let place = Place::found(Engine::Sqlite).await;
    let server = place.serve("one", Opened::ByHand).await;
    let socket = |path: &Path| {
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    };
    crate::support::eventually("a sealed server has a socket", || async {
        let mut found = files(server.folder()).into_iter();
        found.any(|path| socket(&path)).then_some(())
    })
    .await;
    let check = |least: usize| {
        let found = files(server.folder());
        assert!(found.len() >= least, "{found:?}");
        for path in found {
            // A file that is being replaced has gone under its passing name.
            let Ok(found) = std::fs::symlink_metadata(&path) else {
                assert!(path.extension().is_some_and(|end| end == "new"), "{path:?}");
                continue;
            };
            let mode = found.permissions().mode() & 0o7777;
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, wanted, "{} has the mode {mode:o}", path.display());
        }
    };
    check(5);
    place.unseal("one");
    crate::support::eventually("the server is ready", || async {
        (server.open(Method::GET, "/health/ready").await.status() == 204).then_some(())
    })
    .await;
    server
        .post("/projects", json!({ "name": "shop" }), &place.root)
        .await
        .is(201);
    check(6);
    let token = std::fs::metadata(place.path("token")).expect("the first token");
    assert_eq!(token.permissions().mode() & 0o7777, 0o600);
    server.stop().await;
}

both_engines! {
    async fn replay_g12_what_is_written_is_not_read_back(v: TestVault) {
        let token = v.token("read:payments/**", Ttl::seconds(3600)).await;
        v.set("payments/prod/read", "value", "hunter2").await;
        v.put("/rotations/payments/prod/policy", json!({ "every": 3600 }), &v.root).await.is(201);
        let provider = Provider::start().await;
        v.post("/connections/payments/prod/grant", provider.grant().import(), &v.root).await.is(201);
        for row in ROWS.iter().filter(|row| row.method() == "GET") {
            let stream = v.door().holder().stream.to_string();
            let path = row.path.replace("payments/aged", "payments/prod").replace("{stream}", &stream);
            let answer = v.get(&path, &v.root).await.is(200).text();
            for token in [&token, &v.root] {
                let digits = token.text.rsplit('_').nth(1).expect("digits");
                assert!(!answer.contains(digits), "{}", row.route);
            }
            assert_eq!(answer.contains("hunter2"), row.route == "GET /secrets/{project}/{environment}/{*path}", "{}", row.route);
            // The access token alone, and where it is asked for.
            let told = provider.secrets().into_iter().filter(|secret| answer.contains(secret.as_str()));
            assert_eq!(told.count(), usize::from(row.route.ends_with("/token")), "{}", row.route);
            assert!(!answer.contains("\"mac\"") && !answer.contains("wrapped"), "{}: {answer}", row.route);
        }
    }

    async fn replay_g16_a_log_that_is_written_into(v: TestVault) {
        let before = v.get("/audit/export", &v.root).await.is(200).text().lines().count();
        let nasty = ["\n{\"action\":\"audit\"}\n", "\r\n", "\u{1b}[2J\u{1b}]0;x\u{7}", "\u{202e}live", "\0", "\u{2028}", "=cmd|' /C calc'!A0", "\"},{\"", "\\", "\u{7f}\u{85}", "%n%s", "${jndi:ldap://x}"];
        for text in nasty {
            let metadata = serde_json::to_string(&json!({ "said": text })).expect("JSON");
            // A header is ASCII; what is beyond comes escaped.
            let escaped: String = metadata.chars().map(|c| if c.is_ascii() && c != '\u{7f}' { c.to_string() } else { format!("\\u{:04x}", c as u32) }).collect();
            v.get("/tokens/self", &v.root).header("coffer-metadata", &escaped).await.is(200);
        }
        for agent in ["a\tb", "\"},{\"x\":\"", "=1+1", "Mozilla/5.0 (${x}) %s", &"x".repeat(10_000)] {
            v.get("/tokens/self", &v.root).header("user-agent", agent).await.is(200);
        }
        let export = v.get("/audit/export", &v.root).await.is(200).text();
        let lines: Vec<&str> = export.split_terminator('\n').collect();
        assert_eq!(lines.len(), before + nasty.len() + 5 + 1, "one line a record");
        let said = lines.iter().filter_map(|line| {
            let record: Value = serde_json::from_str(line).expect("a line is JSON");
            assert!(line.bytes().all(|byte| byte >= b' '), "{line}");
            record["metadata"]["said"].as_str().map(str::to_owned)
        });
        assert_eq!(said.collect::<Vec<_>>(), nasty, "as it was sent");
        assert!(lines.iter().all(|line| line.len() < 4_096), "what a client says of itself is cut");
        // A header of a MiB ends its connection, and nobody else's.
        let long = v.get("/tokens/self", &v.root).header("user-agent", &"x".repeat(1 << 20));
        let _ = long.sent().await;
        v.get("/tokens/self", &v.root).await.is(200);
        let longer = v.get("/audit/export", &v.root).await.is(200).text();
        assert!(longer.lines().all(|line| line.len() < 4_096), "nor is it recorded");
    }
}
