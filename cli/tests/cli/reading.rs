//! What reading commands ask for, and what they print.

use crate::coffer::TOKEN;
use crate::stub::Stub;

const ONE: &str = r#"{"path":"a/b/c","version":2,"state":"current","fields":{"key":"s3cret\u0000\n"},"created_at":"T"}"#;
const TWO: &str = r#"{"path":"a/b/c","version":2,"state":"current","fields":{"k":"plain","raw":{"base64":"AP8="}},"created_at":"T","new":1}"#;

#[test]
fn one_field_is_exactly_its_bytes() {
    let stub = Stub::always(200, ONE);
    stub.coffer(&["get", "a/b/c", "key"])
        .run()
        .exits(0)
        .prints("s3cret\0\n");
    let asked = stub.asked_once();
    assert_eq!(asked.line, "GET /api/v1/secrets/a/b/c?fields=key");
    assert_eq!(asked.bearer, format!("Bearer {TOKEN}"));
    stub.coffer(&["get", "a/b/c"])
        .run()
        .exits(0)
        .prints("s3cret\0\n");
    stub.coffer(&["get", "a/b/c", "-o", "json"])
        .run()
        .exits(0)
        .prints(format!("{ONE}\n"));
    stub.coffer(&["get", "a/b/c", "other"])
        .run()
        .exits(4)
        .prints("")
        .never_says("s3cret");
    Stub::always(200, r#"{"path":"a/b/c","version":1,"state":"current","fields":{"r":{"base64":"AP8="}},"created_at":"T"}"#)
        .coffer(&["get", "a/b/c"]).run().exits(0).prints(b"\0\xff");
}

#[test]
fn several_fields_are_a_table() {
    let stub = Stub::always(200, TWO);
    stub.coffer(&["get", "a/b/c", "--version", "2"])
        .run()
        .exits(0)
        .prints("FIELD  VALUE\nk      plain\nraw    base64:AP8=\n");
    assert_eq!(
        stub.asked_once().line,
        "GET /api/v1/secrets/a/b/c?version=2"
    );
    stub.coffer(&["get", "a/b/c", "--previous"]).run().exits(0);
    assert_eq!(
        stub.asked()[1].line,
        "GET /api/v1/secrets/a/b/c?previous=true"
    );
}

#[test]
fn lists_are_read_to_their_end() {
    let item = |path: &str| {
        format!(
            r#"{{"path":"{path}","version":1,"state":"current","created_at":"T","updated_at":"U"}}"#
        )
    };
    let stub = Stub::new(move |line| {
        let next = if line.contains("cursor=") {
            ""
        } else {
            r#","next_cursor":"x/y=""#
        };
        let path = if line.contains("cursor=") {
            "a/b/d"
        } else {
            "a/b/c"
        };
        (200, format!(r#"{{"items":[{}]{next}}}"#, item(path)))
    });
    let ran = stub.coffer(&["ls", "a/b"]).run();
    ran.exits(0).prints("SECRET  VERSION  STATE    UPDATED  ROTATES\na/b/c   1        current  U\na/b/d   1        current  U\n");
    let lines: Vec<String> = stub.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[0], "GET /api/v1/secrets/a/b?recursive=true&limit=500");
    assert_eq!(
        lines[1],
        "GET /api/v1/secrets/a/b?recursive=true&limit=500&cursor=x/y%3D"
    );
    let json = stub
        .coffer(&["ls", "a/b/c/d", "--shallow", "-o", "json"])
        .run();
    json.exits(0);
    assert!(
        json.stdout().starts_with(r#"{"items":[{"path":"a/b/c""#)
            && !json.stdout().contains("cursor"),
        "{}",
        json.stdout()
    );
    assert!(stub.asked()[2].line.contains("?prefix=c/d&recursive=false"));
}

#[test]
fn a_query_asks_for_its_conditions_and_prints_what_comes() {
    const LINES: &str = "{\"action\":\"read\",\"outcome\":{\"code\":\"not-found\",\"status\":404},\"principal\":\"app/x\",\"resource\":\"a/b/c\",\"time\":\"T2\",\"verdict\":\"refused\"}\n{\"action\":\"read\",\"outcome\":{\"code\":\"ok\",\"status\":200},\"principal\":\"app/x\",\"resource\":\"a/b/c\",\"time\":\"T1\",\"verdict\":\"allowed\"}\n";
    let stub = Stub::always(200, LINES);
    let command = [
        "audit",
        "query",
        "--since",
        "7d",
        "--until",
        "2026-07-06",
        "--principal",
        "app/x",
        "--action",
        "read,list",
        "--resource",
        "a/b/**",
        "--verdict",
        "refused",
        "--outcome",
        "404",
        "-n",
        "2",
    ];
    let ran = stub.coffer(&command).run();
    ran.exits(0).prints(
        "T2  app/x  read a/b/c  refused  404 not-found\nT1  app/x  read a/b/c  allowed  200 ok\n",
    );
    assert!(
        ran.stderr().contains("There may be more"),
        "{}",
        ran.stderr()
    );
    assert_eq!(
        stub.asked_once().line,
        "GET /api/v1/audit/records?order=newest&limit=2&since=604800&until=2026-07-06T00:00:00Z&principal=app/x&action=read,list&resource=a/b/%2A%2A&verdict=refused&outcome=404"
    );
    let json = stub.coffer(&["audit", "query", "-o", "json"]).run();
    json.exits(0).prints(LINES);
    assert_eq!(json.stderr(), "");
}

#[test]
fn refusals_become_exit_codes_and_sentences() {
    for (status, code) in [
        (400, 2),
        (413, 2),
        (401, 3),
        (403, 3),
        (404, 4),
        (429, 5),
        (503, 5),
        (409, 1),
        (412, 1),
        (500, 1),
    ] {
        let body = format!(
            r#"{{"type":"about:blank","title":"T","status":{status},"detail":"So it is.","code":"c","request_id":"r1"}}"#
        );
        let stub = Stub::always(status, &body);
        stub.coffer(&["get", "a/b/c", "key"])
            .run()
            .exits(code)
            .says("So it is. (request r1)")
            .prints("");
    }
    Stub::always(302, "").coffer(&["whoami"]).run().exits(1);
    Stub::always(200, "<html>")
        .coffer(&["whoami"])
        .run()
        .exits(1);
    Stub::always(299, "half").coffer(&["whoami"]).run().exits(5);
}

#[test]
fn only_the_named_authority_is_trusted() {
    let (stub, other) = (Stub::always(200, "{}"), Stub::always(200, "{}"));
    stub.coffer(&["whoami"])
        .env("COFFER_CACERT", other.certificate())
        .run()
        .exits(5)
        .says("COFFER_CACERT");
    stub.coffer(&["whoami"])
        .env("COFFER_CACERT", "")
        .run()
        .exits(5)
        .says("COFFER_CACERT");
    assert!(stub.asked().is_empty());
}

#[test]
fn no_proxy_is_used() {
    let stub = Stub::always(200, r#"{"sealed":false}"#);
    let ran = stub
        .coffer(&["status", "-o", "json"])
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .run();
    ran.exits(0).prints("{\"sealed\":false}\n");
}

#[test]
fn a_sealed_server_is_5() {
    let stub = Stub::always(200, r#"{"sealed":true}"#);
    let ran = stub.coffer(&["status"]).env("COFFER_TOKEN", "").run();
    ran.exits(5).says("sealed");
    assert_eq!(stub.asked_once().bearer, "");
}

#[test]
fn exports_are_whole_private_and_in_place() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("log");
    let name = file.display().to_string();
    let stub = Stub::always(200, "{\"a\":1}\n{\"a\":2}\n");
    stub.coffer(&["audit", "export"])
        .run()
        .exits(0)
        .prints("{\"a\":1}\n{\"a\":2}\n");
    stub.coffer(&["audit", "export", "--out", &name])
        .run()
        .exits(0)
        .prints("");
    stub.coffer(&["audit", "export", "--bundle", &name])
        .run()
        .exits(0)
        .prints("");
    let lines: Vec<String> = stub.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(
        lines[1..],
        [
            "GET /api/v1/audit/export?format=jsonl",
            "GET /api/v1/audit/bundle"
        ]
    );
    assert_eq!(
        std::fs::metadata(&file)
            .expect("there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    std::fs::write(&file, "before").expect("written");
    Stub::always(299, "half")
        .coffer(&["audit", "export", "--bundle", &name])
        .run()
        .exits(5);
    Stub::always(403, "")
        .coffer(&["audit", "export", "--bundle", &name])
        .run()
        .exits(3);
    assert_eq!(std::fs::read(&file).expect("there"), b"before");
    assert_eq!(
        std::fs::read_dir(directory.path())
            .expect("entries")
            .count(),
        1
    );
}
