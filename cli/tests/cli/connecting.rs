//! What `coffer oauth` sends and prints, and that the secrets it is given appear nowhere.

use crate::coffer::{TOKEN, coffer};
use crate::stub::Stub;
use std::path::Path;

const IMPORT: [&str; 7] = [
    "oauth",
    "import",
    "a/b/github",
    "--token-url",
    "https://github.example/token",
    "--client-id",
    "c1",
];

/// `import` with its required options and these.
fn import<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&IMPORT[..], more].concat()
}

fn connection(name: &str, more: &str) -> String {
    format!(
        r#"{{"path":"a/b/{name}","version":1,"refreshed_at":"R","token_url":"U","client_id":"c1","created_at":"C",{more}}}"#
    )
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    format!("@{}", path.display())
}

#[test]
fn a_grant_is_imported_from_files_and_standard_input() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = file(directory.path(), "secret", "hunter2\n");
    let body = connection("github", r#""state":"active","expires_at":"E""#);
    let stub = Stub::always(201, &body);
    let arguments = import(&["--client-secret", &secret, "--refresh-token", "-"]);
    let ran = stub.coffer(&arguments).stdin(b"r3fresh\n").run();
    ran.exits(0)
        .prints("a/b/github is imported: fresh, its access token is good until E\n")
        .never_says("hunter2")
        .never_says("r3fresh");
    let asked = stub.asked_once();
    assert_eq!(asked.line, "POST /api/v1/connections/a/b/github");
    assert_eq!(
        asked.body,
        r#"{"token_url":"https://github.example/token","client_id":"c1","client_secret":"hunter2","refresh_token":"r3fresh","auth":"basic"}"#
    );
    let more = [
        "--public-client",
        "--refresh-token",
        &secret,
        "--auth",
        "post",
        "--provider-scopes",
        "repo user",
        "-o",
        "json",
    ];
    let ran = stub.coffer(&import(&more)).run();
    ran.exits(0).prints(format!("{body}\n"));
    assert_eq!(
        stub.asked()[1].body,
        r#"{"token_url":"https://github.example/token","client_id":"c1","refresh_token":"hunter2","auth":"post","provider_scopes":"repo user"}"#
    );
}

#[test]
fn secrets_of_a_grant_are_not_typed_and_not_guessed() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = file(directory.path(), "empty", "\n");
    let cases: &[(&[&str], &str)] = &[
        (
            &["--client-secret", "hunter2", "--refresh-token", "-"],
            "--client-secret @FILE",
        ),
        (
            &["--client-secret=-hunter2", "--refresh-token", "-"],
            "--client-secret @FILE",
        ),
        (
            &["--refresh-token", "--hunter2", "--public-client"],
            "--refresh-token @FILE",
        ),
        (
            &["--client-secret", "-", "--refresh-token", "-"],
            "Only one of --client-secret and --refresh-token",
        ),
        (
            &["--client-secret", "-", "--public-client"],
            "--public-client",
        ),
        (
            &["--public-client", "--refresh-token", &empty],
            "The refresh token is empty",
        ),
        (
            &["--public-client", "--refresh-token", "@/nowhere/at/all"],
            "/nowhere/at/all",
        ),
        (&["--public-client", "--refresh-token", "@"], "missing"),
        (
            &["--public-client", "--refresh-token"],
            "--refresh-token <@FILE|-> needs a value",
        ),
        (
            &["--public-client", "--refresh-token", "-", "--auth", "jwt"],
            "needs one of: basic, post",
        ),
    ];
    for (more, sentence) in cases {
        let ran = coffer(&import(more))
            .env("COFFER_ADDR", "https://127.0.0.1:1")
            .env("COFFER_TOKEN", TOKEN)
            .stdin(b"hunter2")
            .run();
        ran.exits(2).says(sentence).never_says("hunter2");
    }
}

#[test]
fn a_connections_name_is_one_part() {
    for (text, sentence) in [
        ("a/b/c/d", "one part"),
        ("a/b", "one part"),
        ("a/b/.c", "A connection's name"),
        ("A/b/c", "A project's name"),
    ] {
        for verb in ["token", "rm"] {
            coffer(&["oauth", verb, text]).run().exits(2).says(sentence);
        }
    }
}

#[test]
fn a_refused_import_says_so_and_is_not_repeated() {
    for (status, code) in [(400, 2), (404, 4), (409, 1), (503, 5)] {
        let stub = Stub::always(status, "half");
        let more = ["--public-client", "--refresh-token", "-"];
        let ran = stub.coffer(&import(&more)).stdin(b"hunter2").run();
        ran.exits(code).prints("").never_says("hunter2");
        stub.asked_once();
    }
}

#[test]
fn an_access_token_stands_alone() {
    let body = r#"{"access_token":"gho_1","token_type":"Bearer","version":4,"new":true}"#;
    let stub = Stub::always(200, body);
    let ran = stub.coffer(&["oauth", "token", "a/b/github"]).run();
    ran.exits(0).prints("gho_1");
    stub.coffer(&[
        "oauth",
        "token",
        "a/b/github",
        "--min-ttl",
        "5m",
        "-o",
        "json",
    ])
    .run()
    .exits(0)
    .prints(format!("{body}\n"));
    let lines: Vec<String> = stub.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/connections/a/b/github/token",
            "GET /api/v1/connections/a/b/github/token?min_ttl=300"
        ]
    );
    coffer(&["oauth", "token", "a/b/github", "--min-ttl", "60"])
        .run()
        .exits(2)
        .says("--min-ttl");
}

#[test]
fn connections_are_listed_to_their_end() {
    let stub = Stub::new(|line| match line.contains("cursor=") {
        false => (
            200,
            format!(
                r#"{{"items":[{}],"next_cursor":"x/y="}}"#,
                connection(
                    "one",
                    r#""state":"active","expires_at":"E","next_refresh_at":"N""#
                )
            ),
        ),
        true => (
            200,
            format!(
                r#"{{"items":[{},{}]}}"#,
                connection("two", r#""state":"degraded","last_error":"Timed out.""#),
                connection(
                    "three",
                    r#""state":"needs_reauth","reason":"Revoked.","last_error":"No.""#
                )
            ),
        ),
    });
    let ran = stub.coffer(&["oauth", "connections", "a/b"]).run();
    ran.exits(0).prints(concat!(
        "CONNECTION  STATE            EXPIRES  NEXT REFRESH  REASON\n",
        "a/b/one     fresh            E        N\n",
        "a/b/two     retrying                                Timed out.\n",
        "a/b/three   needs reconnect                         Revoked.\n",
    ));
    let lines: Vec<String> = stub.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/connections/a/b",
            "GET /api/v1/connections/a/b?cursor=x/y%3D"
        ]
    );
    let json = stub
        .coffer(&["oauth", "connections", "a/b", "-o", "json"])
        .run();
    json.exits(0);
    let all = json.stdout();
    assert!(all.starts_with(r#"{"items":[{"path":"a/b/one""#), "{all}");
    assert!(all.contains("a/b/three") && !all.contains("cursor"));
}

#[test]
fn a_grant_is_forgotten_here_alone() {
    let stub = Stub::always(204, "");
    stub.coffer(&["oauth", "rm", "a/b/github"])
        .run()
        .exits(0)
        .prints("a/b/github is forgotten here; its provider was not told\n");
    assert_eq!(
        stub.asked_once().line,
        "DELETE /api/v1/connections/a/b/github"
    );
    let help = coffer(&["oauth", "rm", "--help"]).run();
    assert!(help.exits(0).stdout().contains("provider is not told"));
}
