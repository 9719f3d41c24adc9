//! What writing commands send, once.

use crate::stub::Stub;

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
fn a_write_is_never_repeated() {
    for status in [299, 302, 429, 500, 503] {
        let stub = Stub::always(status, "half");
        let ran = stub.coffer(&["set", "a/b/c", "x=hunter2"]).run();
        ran.never_says("hunter2");
        if status == 299 {
            ran.exits(5).says("may or may not have happened");
        }
        stub.asked_once();
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
