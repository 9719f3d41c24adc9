//! Group A: names. Others let one part of a server see another spelling than the next: case, white space, encodings, dots.
//! Here a name is canonical or refused, before anybody is authorised, and no name is magic.

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::json;

use super::raw::request;
use super::unchanged;
use crate::matrix::rows::ROWS;
use crate::support::client::Token;
use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);

/// Spellings of `root` and `sys` that some canonicalisation would fold into them, and what was never a name.
const SPELLINGS: [&str; 26] = [
    "Root",
    "ROOT",
    "rOOt",
    " root",
    "root ",
    "root\t",
    "root\n",
    "root\0",
    "root.",
    "root/",
    "/root",
    "./root",
    "..",
    ".",
    "",
    "r%6fot",
    "ro ot",
    "rοot",
    "ｒｏｏｔ",
    "root\u{200d}",
    "ro\u{301}ot",
    "r\u{f3}ot",
    "SYS",
    "Sys",
    "sys",
    "*",
];

/// Those that mean something in a scope.
const SCOPE_PARTS: [&str; 2] = ["sys", "*"];

both_engines! {
    async fn replay_a01_reserved_names_in_any_spelling(v: TestVault) {
        v.place("root/sysadmin").await;
        unchanged!(v, {
            for name in SPELLINGS {
                for path in ["/projects", "/projects/payments/environments"] {
                    let made = v.post(path, json!({ "name": name }), &v.root).await;
                    made.is_problem(400, "bad-request");
                }
                let app = json!({ "scopes": ["read:payments/**"], "ttl": 60, "app": name });
                v.post("/tokens", app, &v.root).await.is_problem(400, "bad-request");
            }
        });
    }

    async fn replay_a02_the_same_through_scopes(v: TestVault) {
        unchanged!(v, {
            for name in SPELLINGS.into_iter().filter(|name| !SCOPE_PARTS.contains(name)) {
                for scope in [format!("read:{name}"), format!("read:payments/{name}/**"), format!("!read:{name}/**")] {
                    let body = json!({ "scopes": ["read:payments/**", scope], "ttl": 60 });
                    v.post("/tokens", body, &v.root).await.is_problem(400, "bad-request");
                }
            }
            for actions in ["Read", " read", "read ", "read,", ",read", "read,read", "READ", "*", "read;write", ""] {
                let body = json!({ "scopes": [format!("{actions}:payments/**")], "ttl": 60 });
                v.post("/tokens", body, &v.root).await.is_problem(400, "bad-request");
            }
        });
    }

    async fn replay_a03_a_refusal_in_another_spelling(v: TestVault) {
        v.set("payments/prod/root/key", "value", "hunter2").await;
        v.set("payments/prod/root/gone", "value", "hunter2").await;
        v.delete("/secrets/payments/prod/root/gone", &v.root).await.is(204);
        let every = "list,read,write,delete,destroy,rotate";
        let mallory = v.token(&format!("{every}:payments/prod/** !{every}:payments/prod/root/**"), HOUR).await;
        v.get("/secrets/payments/prod/root/key", &mallory).await.is_problem(404, "not-found");
        unchanged!(v, {
            for name in ["ROOT/key", "Root/key", "root/KEY", "rOOT/KEY", "ROOT/gone", "root/GONE"] {
                // Below `root` the refusal hides it; elsewhere it is another name, which nothing bears, and which is kept free.
                let (status, code) = if name.starts_with("root/") { (404, "not-found") } else { (409, "case-clash") };
                for row in ROWS.iter().filter(|row| row.route.ends_with("{*path}")) {
                    let (verb, _) = row.path[1..].split_once('/').expect("a verb");
                    let keeps_free = row.action == "write" && row.method() != "DELETE";
                    if matches!(row.method().as_str(), "PUT" | "PATCH") && name.eq_ignore_ascii_case("root/gone") {
                        continue;
                    }
                    let call = v.call(row.method(), &format!("/{verb}/payments/prod/{name}")).by(&mallory);
                    let answer = if row.body.is_empty() { call.await } else { call.text(row.body).await };
                    let (status, code) = if keeps_free && !name.eq_ignore_ascii_case("root/gone") { (status, code) } else { (404, "not-found") };
                    assert!(!answer.is_problem(status, code).text().contains("hunter2"));
                }
            }
        });
    }

    async fn replay_a06_list_trailing_slash(v: TestVault) {
        for path in ["root/key", "plain"] {
            v.set(&format!("payments/prod/{path}"), "value", "1").await;
        }
        let mallory = v.token("list,read:payments/prod/** !list,read:payments/prod/root/**", HOUR).await;
        let shown = |query: &'static str| {
            let call = v.get(&format!("/secrets/payments/prod{query}"), &mallory);
            async { call.await.is(200).text() }
        };
        for query in ["", "?recursive=true", "?prefix=root", "?prefix=root/", "?prefix=ROOT/", "?prefix=root/&recursive=true", "?prefix=root/k"] {
            let text = shown(query).await;
            assert!(!text.contains("root"), "{query}: {text}");
        }
        assert!(shown("").await.contains("payments/prod/plain"));
        for path in ["/", "/root/", "/root/key/", "//root/key", "/root//key"] {
            for method in ["GET", "HEAD", "OPTIONS", "LIST"] {
                let answer = request(&v, method, &format!("/api/v1/secrets/payments/prod{path}"), &mallory).await;
                assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text);
            }
        }
        for method in ["HEAD", "OPTIONS", "LIST"] {
            let answer = request(&v, method, "/api/v1/secrets/payments/prod/root/key", &mallory).await;
            assert_eq!(answer.status, 405, "{method}: {}", answer.text);
        }
    }

    async fn replay_a08_metacharacters_are_plain_or_refused(v: TestVault) {
        for path in ["a_b", "aXb", "a.b", "a+b", "a~b", "a@b"] {
            v.set(&format!("payments/prod/{path}"), "value", "1").await;
        }
        for (prefix, found) in [("a_", "a_b"), ("a.", "a.b"), ("a%2B", "a+b"), ("a~", "a~b"), ("a@", "a@b")] {
            let list = v.get(&format!("/secrets/payments/prod?prefix={prefix}"), &v.root).await.is(200).json();
            let items = list["items"].as_array().expect("a list");
            assert_eq!(items.len(), 1, "{prefix}: {list}");
            assert_eq!(items[0]["path"], format!("payments/prod/{found}"));
        }
        unchanged!(v, {
            for meta in ["*", "?", "%25", "[a]", "{a}", "(", ")", "^", "$", "%5C", "|", "'", "%22", ";", ",", "`", "<", "%00", "%0A"] {
                let listed = v.get(&format!("/secrets/payments/prod?prefix=a{}", meta.replace('?', "%3F")), &v.root).await;
                listed.is_problem(400, "bad-request");
                let name = format!("/api/v1/secrets/payments/prod/a{}", meta.replace('?', "%3F"));
                let read = request(&v, "GET", &name, &v.root).await;
                assert_eq!(read.status, 400, "{meta}: {}", read.text);
            }
            for pattern in ["a*", "*a", "a**", "**/a", "a?", "[ab]", "a|b", "a,b", "a%", "(a)", "a\\b", "***"] {
                let body = json!({ "scopes": [format!("read:payments/prod/{pattern}")], "ttl": 60 });
                v.post("/tokens", body, &v.root).await.is_problem(400, "bad-request");
            }
        });
        let one = v.token("read:payments/prod/a+b read:payments/prod/a.b", HOUR).await;
        for (path, status) in [("a+b", 200), ("a.b", 200), ("a_b", 404), ("aXb", 404), ("a@b", 404)] {
            assert_eq!(v.get(&format!("/secrets/payments/prod/{path}"), &one).await.status(), status, "{path}");
        }
    }

    async fn replay_a09_no_name_is_magic(v: TestVault) {
        let names = ["root", "auth", "default", "admin", "null", "undefined", "a", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "token", "self"];
        for name in names {
            v.place(&format!("{name}/{name}")).await;
            for path in ["root", "sys", "sys/tokens", "sys/audit", "self", "rotate"] {
                v.set(&format!("{name}/{name}/{path}"), "value", name).await;
            }
            let own = v.token(&format!("list,read,manage,audit:{name}/**"), HOUR).await;
            let read = v.get(&format!("/secrets/{name}/{name}/sys/tokens"), &own).await.is(200).json();
            assert_eq!(read["fields"]["value"], name);
            v.get("/secrets/payments/prod/stripe", &own).await.is_problem(404, "not-found");
            v.get("/audit/key", &own).await.is_problem(404, "not-found");
        }
        let mallory = v.token("read:root/**", HOUR).await;
        for name in names.into_iter().filter(|name| *name != "root") {
            v.get(&format!("/secrets/{name}/{name}/root"), &mallory).await.is_problem(404, "not-found");
        }
    }
}

/// Part after part that no name is, in each place of each route's path; as raw bytes, since clients put them right.
const PARTS: [&str; 28] = [
    "",
    ".",
    "..",
    "%2e",
    "%2E%2E",
    ".%2e",
    "%252e%252e",
    "%2f",
    "a%2fb",
    "..%2f..",
    "%5c",
    "..%5c",
    "a\\b",
    "%00",
    "a%00",
    "%0a",
    "%0d%0a",
    "a;b",
    "a%20",
    "%20a",
    "%c0%af",
    "%c0%ae%c0%ae",
    "%e2%80%8d",
    "%ff",
    "%",
    "%2",
    "%zz",
    "%25",
];

/// Advisories A4 and A5.
#[tokio::test]
async fn replay_a05_dots_slashes_and_encodings() {
    let v = TestVault::new(Engine::Sqlite).await;
    v.set("payments/prod/stripe", "value", "hunter2").await;
    let before = v.audit().await.all().len();
    let mut tried = 0;
    for row in ROWS.iter().filter(|row| row.route.contains('{')) {
        let path = row.path_with("x");
        let parts: Vec<&str> = path[1..].split('/').collect();
        for bad in PARTS {
            // One part of the path at a time, in turn; a last one further down, too.
            let at = 1 + tried % (parts.len() - 1);
            let mut attacked = parts.clone();
            attacked[at] = bad;
            let target = format!("/api/v1/{}", attacked.join("/"));
            let answer = request(&v, row.method().as_str(), &target, &v.root).await;
            assert_eq!(
                answer.status, 400,
                "{} {target}: {}",
                row.route, answer.text
            );
            assert!(!answer.text.contains("hunter2"));
            tried += 1;
        }
    }
    for (method, target) in [
        ("GET", "/api/v1/secrets/payments/prod/../prod/stripe"),
        ("GET", "/api/v1/secrets/shop/../payments/prod/stripe"),
        ("GET", "//api/v1/secrets/payments/prod/stripe"),
        ("GET", "/api//v1/secrets/payments/prod/stripe"),
        ("GET", "/health/../api/v1/secrets/payments/prod/stripe"),
        ("GET", "/api/v1/secrets/payments/prod/stripe/.."),
        ("GET", "/api/v1/secrets/payments/prod/x/../stripe"),
        ("GET", "/api/v1/secrets/payments/prod/%73tripe%2f"),
    ] {
        let answer = request(&v, method, target, &v.root).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text);
    }
    let records = v.audit().await;
    assert_eq!(
        records.all().len(),
        before + 1,
        "what is malformed is not recorded"
    );
    // The one encoding that is decoded, once, leads to the one name.
    let answer = request(&v, "GET", "/api/v1/secrets/payments/prod/%73tripe", &v.root).await;
    assert!(
        answer.status == 200 && answer.text.contains("hunter2"),
        "{}",
        answer.text
    );
    v.audit()
        .await
        .last_is("read", "payments/prod/stripe", "allowed");
}

/// Whoever holds a scope for everything has none for a route that speaks of the system, whenever it was added.
#[tokio::test]
async fn replay_a12_an_old_glob_and_new_routes() {
    let v = TestVault::new(Engine::Sqlite).await;
    let globs = ["**", "*/**", "*/*/**"].map(|glob| {
        format!("list,read,write,delete,destroy,rotate,connect,share,manage,audit:{glob}")
    });
    let tokens: Vec<Token> = {
        let mut tokens = Vec::new();
        for glob in &globs {
            tokens.push(v.token(glob, HOUR).await);
        }
        tokens
    };
    unchanged!(v, {
        let system = ROWS
            .iter()
            .filter(|row| row.asked().1.starts_with("sys/") && row.done != 201);
        let mut tried = 0;
        for row in
            system.filter(|row| row.resource != "sys/tokens/self" && row.route != "GET /tokens")
        {
            for token in &tokens {
                let path = row.path_with(&tokens[0].id);
                if row.route == "DELETE /tokens/{id}" && token.id == tokens[0].id {
                    continue;
                }
                v.call(row.method(), &path)
                    .by(token)
                    .await
                    .is_problem(404, "not-found");
                tried += 1;
            }
        }
        assert_eq!(tried, 7 * 3 + 2);
    });
}
