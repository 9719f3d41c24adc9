//! What writing commands send, and when they send it again.

use crate::stub::Stub;
use std::sync::atomic::{AtomicUsize, Ordering};

const WRITTEN: &str = r#"{"path":"a/b/c","version":3,"state":"current","created_at":"T"}"#;

#[test]
fn set_merges_and_replace_replaces() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("f");
    std::fs::write(&file, b"\xff\n").expect("written");
    let stub = Stub::always(200, WRITTEN);
    let from_file = format!("raw=@{}", file.display());
    let ran = stub
        .coffer(&[
            "set",
            "a/b/c",
            "x=1=2",
            "y=-",
            &from_file,
            "--generate",
            "z",
            "--if-version",
            "2",
        ])
        .stdin(b"line\n")
        .run();
    ran.exits(0).prints("a/b/c version 3\n");
    let asked = stub.asked_once();
    assert_eq!(asked.line, "PATCH /api/v1/secrets/a/b/c?if_version=2");
    assert_eq!(
        asked.body,
        r#"{"fields":{"raw":{"base64":"/wo="},"x":"1=2","y":"line\n"},"generate":{"z":{"length":32}}}"#
    );
    let ran = stub
        .coffer(&["set", "a/b/c", "x=", "--replace", "-o", "json"])
        .run();
    ran.exits(0).prints(format!("{WRITTEN}\n"));
    assert_eq!(
        (stub.asked()[1].line.as_str(), stub.asked()[1].body.as_str()),
        ("PUT /api/v1/secrets/a/b/c", r#"{"fields":{"x":""}}"#)
    );
}

#[test]
fn what_was_answered_is_not_sent_again() {
    for status in [302, 401, 409, 429, 500, 503] {
        let stub = Stub::always(status, "half");
        let ran = stub.coffer(&["set", "a/b/c", "x=hunter2"]).run();
        ran.never_says("hunter2").never_says("may have happened");
        stub.asked_once();
    }
}

/// Answers in turn, and then with the last of them for ever.
fn in_turn(answers: &'static [(u16, &'static str)]) -> Stub {
    let next = AtomicUsize::new(0);
    Stub::new(move |_| {
        let at = next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        (answers[at].0, answers[at].1.to_owned())
    })
}

const BUSY: &str = r#"{"type":"about:blank","title":"T","status":503,"detail":"Busy.","code":"busy","request_id":"r","retry_after":0}"#;
const SEALED: &str = r#"{"type":"about:blank","title":"T","status":503,"detail":"It is sealed.","code":"sealed","request_id":"r","retry_after":10}"#;

#[test]
fn a_write_whose_answer_was_lost_is_sent_again_with_its_key() {
    let stub = in_turn(&[(299, "half"), (503, BUSY), (200, WRITTEN)]);
    for _ in 0..2 {
        let ran = stub.coffer(&["set", "a/b/c", "x=hunter2"]).run();
        ran.exits(0)
            .prints("a/b/c version 3\n")
            .never_says("hunter2");
    }
    let asked = stub.asked();
    let lines: Vec<_> = asked
        .iter()
        .map(|asked| (&asked.line, &asked.body))
        .collect();
    assert!(lines.windows(2).all(|two| two[0] == two[1]), "{lines:?}");
    let keys: Vec<&str> = asked.iter().map(|asked| asked.key.as_str()).collect();
    assert_eq!((keys.len(), keys[0].len()), (4, 32), "{keys:?}");
    assert!(
        keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3],
        "{keys:?}"
    );
}

#[test]
fn a_loss_is_not_forgotten() {
    for (answers, code) in [
        (&[(299, "half"), (503, SEALED)], 5),
        (&[(299, "half"), (401, "half")], 3),
    ] {
        let stub = in_turn(answers);
        let ran = stub.coffer(&["rm", "a/b/c"]).run();
        ran.exits(code)
            .says("What was sent before may have happened: look before you try again.");
        assert_eq!(stub.asked().len(), 2);
    }
}

#[test]
fn each_command_sends_what_the_routes_say() {
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["project", "create", "p"],
            "POST /api/v1/projects",
            r#"{"name":"p"}"#,
        ),
        (&["project", "delete", "p"], "DELETE /api/v1/projects/p", ""),
        (
            &["env", "create", "p/e"],
            "POST /api/v1/projects/p/environments",
            r#"{"name":"e"}"#,
        ),
        (
            &["env", "delete", "p/e"],
            "DELETE /api/v1/projects/p/environments/e",
            "",
        ),
        (
            &["rm", "a/b/c/d", "--if-version", "1"],
            "DELETE /api/v1/secrets/a/b/c/d?if_version=1",
            "",
        ),
        (&["undelete", "a/b/c"], "POST /api/v1/undelete/a/b/c", "{}"),
        (
            &["undelete", "a/b/c", "--id", "i"],
            "POST /api/v1/undelete/a/b/c",
            r#"{"id":"i"}"#,
        ),
        (
            &["destroy", "a/b/c", "--yes"],
            "POST /api/v1/destroy/a/b/c",
            "{}",
        ),
        (
            &["destroy", "a/b/c", "--version", "1", "--version", "2"],
            "POST /api/v1/destroy/a/b/c",
            r#"{"versions":[1,2]}"#,
        ),
        (
            &[
                "token",
                "create",
                "--scope",
                "list,read:a/b/**",
                "--scope",
                "!read:a/b/c",
                "--ttl",
                "2h",
                "--app",
                "x",
                "--orphan",
            ],
            "POST /api/v1/tokens",
            r#"{"scopes":["list,read:a/b/**","!read:a/b/c"],"ttl":7200,"app":"x","orphan":true}"#,
        ),
        (&["token", "revoke", "i"], "DELETE /api/v1/tokens/i", ""),
        (&["key", "list", "a/b"], "GET /api/v1/keys/a/b", ""),
        (
            &["key", "rotate", "a/b"],
            "POST /api/v1/keys/a/b/rotate",
            "",
        ),
        (
            &["key", "rewrap", "a/b"],
            "POST /api/v1/keys/a/b/rewrap",
            "",
        ),
        (
            &["key", "reencrypt", "a/b"],
            "POST /api/v1/keys/a/b/reencrypt",
            "",
        ),
        (
            &["key", "destroy", "a/b", "--term", "3", "--yes"],
            "POST /api/v1/keys/a/b/destroy",
            r#"{"term":3}"#,
        ),
        (
            &[
                "rotation",
                "set",
                "a/b/c",
                "--every",
                "30d",
                "--generate",
                "--field",
                "f",
                "--length",
                "40",
                "--alphabet",
                "ab",
                "--grace",
                "1h",
            ],
            "PUT /api/v1/rotations/a/b/c",
            r#"{"every":2592000,"grace":3600,"field":"f","length":40,"alphabet":"ab"}"#,
        ),
        (
            &["rotation", "run", "a/b/c"],
            "POST /api/v1/rotate/a/b/c",
            "",
        ),
        (
            &["rotation", "show", "a/b/c"],
            "GET /api/v1/rotations/a/b/c",
            "",
        ),
        (
            &["rotation", "delete", "a/b/c"],
            "DELETE /api/v1/rotations/a/b/c",
            "",
        ),
        (&["history", "a/b/c"], "GET /api/v1/history/a/b/c", ""),
        (&["whoami"], "GET /api/v1/tokens/self", ""),
        (&["audit", "head"], "GET /api/v1/audit/head", ""),
        (&["audit", "key"], "GET /api/v1/audit/key", ""),
    ];
    for (arguments, line, body) in cases {
        let stub = Stub::always(204, "");
        let ran = stub
            .coffer(&[arguments, &["-o", "json"][..]].concat())
            .run();
        ran.exits(0).prints("{}\n");
        let asked = stub.asked_once();
        assert_eq!((asked.line.as_str(), asked.body.as_str()), (*line, *body));
        // Each write has a key of its own, and no read has one.
        assert_eq!(asked.key.is_empty(), line.starts_with("GET "), "{line}");
    }
}

#[test]
fn a_new_token_stands_alone_on_standard_output() {
    let body = r#"{"token":"cof_root_x_y","id":"i","scopes":["read:a/b/**"],"expires_at":"T"}"#;
    let stub = Stub::always(201, body);
    let arguments = ["token", "create", "--scope", "read:a/b/**", "--ttl", "1h"];
    stub.coffer(&arguments)
        .run()
        .exits(0)
        .prints("cof_root_x_y\n")
        .says("T");
    stub.coffer(&[&arguments[..], &["-o", "json"]].concat())
        .run()
        .exits(0)
        .prints(format!("{body}\n"));
}

#[test]
fn a_token_on_standard_input_is_revoked_by_its_id() {
    let stub = Stub::new(|line| match line.starts_with("GET") {
        true => (
            200,
            r#"{"id":"i9","principal":"root","scopes":[],"created_at":"T","expires_at":"T"}"#
                .into(),
        ),
        false => (204, String::new()),
    });
    stub.coffer(&["token", "revoke", "-"])
        .stdin(b"cof_app_leaked_1\n")
        .run()
        .exits(0)
        .prints("i9 is revoked\n")
        .never_says("leaked");
    let asked = stub.asked();
    assert_eq!(
        (asked[0].line.as_str(), asked[0].bearer.as_str()),
        ("GET /api/v1/tokens/self", "Bearer cof_app_leaked_1")
    );
    assert_eq!(asked[1].line, "DELETE /api/v1/tokens/i9");
    assert!(asked[1].bearer.starts_with("Bearer cof_root_"));
}
