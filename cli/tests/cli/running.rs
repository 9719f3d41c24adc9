//! `run`: which variables the command gets, and that it takes this process's place.

use crate::stub::Stub;

/// An environment `a/b` with these secrets, each a path and its fields as JSON.
fn environment(secrets: &'static [(&'static str, &'static str)]) -> Stub {
    Stub::new(move |line| {
        if line.starts_with("GET /api/v1/secrets/a/b?") {
            let item = |(path, _): &(&str, &str)| {
                format!(
                    r#"{{"path":"a/b/{path}","version":1,"state":"current","created_at":"T","updated_at":"T"}}"#
                )
            };
            return (
                200,
                format!(
                    r#"{{"items":[{}]}}"#,
                    secrets.iter().map(item).collect::<Vec<_>>().join(",")
                ),
            );
        }
        let path = line.trim_start_matches("GET /api/v1/secrets/a/b/");
        match secrets.iter().find(|(known, _)| *known == path) {
            Some((_, fields)) => (
                200,
                format!(
                    r#"{{"path":"a/b/{path}","version":1,"state":"current","fields":{fields},"created_at":"T"}}"#
                ),
            ),
            None => (404, String::new()),
        }
    })
}

#[test]
fn the_command_gets_variables_and_not_the_token() {
    let stub = environment(&[
        ("stripe", r#"{"api-key":"k","value":"v\n"}"#),
        ("db/main", r#"{"value":{"base64":"/w=="}}"#),
    ]);
    let script =
        r#"printf '%s|%s|%s|%s' "$STRIPE_API_KEY" "$STRIPE" "$DB_MAIN" "${COFFER_TOKEN-none}""#;
    let ran = stub.coffer(&["run", "a/b", "--", "sh", "-c", script]).run();
    ran.exits(0).prints(b"k|v\n|\xff|none");
    stub.coffer(&[
        "run",
        "a/b",
        "--keep-token",
        "--",
        "sh",
        "-c",
        "test -n \"$COFFER_TOKEN\"",
    ])
    .run()
    .exits(0);
    let ran = stub
        .coffer(&[
            "run",
            "a/b",
            "--prefix",
            "APP_",
            "--",
            "sh",
            "-c",
            "printf %s \"$APP_STRIPE_API_KEY$STRIPE\"",
        ])
        .run();
    ran.exits(0).prints("k");
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let stub = environment(&[("x", r#"{"value":"1"}"#)]);
    stub.coffer(&["run", "a/b", "--", "sh", "-c", "exit 42"])
        .run()
        .exits(42);
    stub.coffer(&["run", "a/b", "--", "/nowhere/at/all"])
        .run()
        .exits(127);
    stub.coffer(&["run", "a/b", "--", "/"]).run().exits(126);
    stub.coffer(&[
        "run",
        "a/b",
        "--",
        "sh",
        "-c",
        "printf %s \"$0$1\"",
        "-o",
        "--yes",
    ])
    .run()
    .exits(0)
    .prints("-o--yes");
}

#[test]
fn only_names_secrets_folders_or_variables() {
    let stub = environment(&[
        ("db/main", r#"{"user":"u","pass":"p"}"#),
        ("db/other", r#"{"value":"o"}"#),
        ("stripe", r#"{"value":"s"}"#),
    ]);
    let script = r#"printf '%s%s%s%s' "$DB_MAIN_USER" "$DB_MAIN_PASS" "$DB_OTHER" "$STRIPE""#;
    for (only, printed) in [
        ("db", "upo"),
        ("db/main", "up"),
        ("stripe,db/other", "os"),
        ("DB_MAIN_PASS", "p"),
        ("STRIPE", "s"),
    ] {
        stub.coffer(&["run", "a/b", "--only", only, "--", "sh", "-c", script])
            .run()
            .exits(0)
            .prints(printed);
    }
    stub.coffer(&[
        "run",
        "a/b",
        "--only",
        "stripe,away",
        "--",
        "sh",
        "-c",
        script,
    ])
    .run()
    .exits(4)
    .says("away")
    .prints("");
    let asked = stub.asked();
    assert!(!asked.iter().any(|asked| asked.line.contains("away")));
}

#[test]
fn what_cannot_be_a_variable_stops_it() {
    let run = |stub: &Stub| stub.coffer(&["run", "a/b", "--", "echo", "started"]).run();
    let collision = environment(&[
        ("a", r#"{"b":"hunter2"}"#),
        ("a/b", r#"{"value":"hunter2"}"#),
    ]);
    run(&collision)
        .exits(1)
        .says("A_B")
        .says("a/b")
        .prints("")
        .never_says("hunter2");
    run(&environment(&[("1st", r#"{"value":"x"}"#)]))
        .exits(1)
        .says("1ST")
        .prints("");
    run(&environment(&[("a@b", r#"{"value":"x"}"#)]))
        .exits(1)
        .prints("");
    run(&environment(&[("ld/preload", r#"{"value":"x"}"#)]))
        .exits(1)
        .says("LD_PRELOAD")
        .prints("");
    run(&environment(&[("zero", r#"{"value":"x\u0000"}"#)]))
        .exits(1)
        .says("zero byte")
        .prints("");
    run(&environment(&[])).exits(4).prints("");
}
