//! Group F: tokens and cursors. How long one lives, what is one, and what it was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coffer::model::Ttl;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use super::raw::{Raw, head};
use super::unchanged;
use crate::matrix::column::{damaged, stranger};
use crate::matrix::rows::ROWS;
use crate::support::client::Token;
use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A text with the check digits that it would have if it were a token's.
fn checked(body: &str) -> String {
    let mut check = crc32fast::hash(body.as_bytes());
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(check % 62) as usize];
        check /= 62;
    }
    format!("{body}_{}", String::from_utf8_lossy(&digits))
}

/// The 43 digits of a token.
fn number(token: &Token) -> &str {
    token
        .text
        .rsplit('_')
        .nth(1)
        .expect("a token has four parts")
}

both_engines! {
    async fn replay_f02_a_life_of_nothing_is_no_life_for_ever(v: TestVault) {
        let with = |ttl: Value| json!({ "scopes": ["read:payments/**"], "ttl": ttl });
        unchanged!(v, {
            for ttl in [json!(0), json!(-1), json!(1.5), json!(0.001), json!("60"), json!(""), json!(null), json!(u64::MAX), json!(i64::MAX), json!(1e300), json!([60]), json!(true), json!(3_153_600_001_u64)] {
                v.post("/tokens", with(ttl), &v.root).await.is_problem(400, "bad-request");
            }
            for ttl in ["18446744073709551616", "99999999999999999999999999", "1e3", "0x60", "060", "+60", "NaN"] {
                let body = format!(r#"{{"scopes":["read:payments/**"],"ttl":{ttl}}}"#);
                v.call(Method::POST, "/tokens").by(&v.root).text(&body).await.is_problem(400, "bad-request");
            }
        });
        let second = v.make_token(with(json!(1)), &v.root).await;
        v.get("/tokens/self", &second).await.is(200);
        v.advance(Ttl::seconds(1));
        v.get("/tokens/self", &second).await.is_problem(401, "token-expired");
        // The longest life that can be asked for ends with the parent's.
        let parent = v.token("read:payments/**", Ttl::seconds(60)).await;
        let child = v.make_token(with(json!(3_153_600_000_u64)), &parent).await;
        let ends = |told: Value| told["expires_at"].clone();
        let parents_end = ends(v.get("/tokens/self", &parent).await.is(200).json());
        assert_eq!(ends(v.get("/tokens/self", &child).await.is(200).json()), parents_end);
        v.advance(Ttl::seconds(60));
        v.get("/tokens/self", &child).await.is_problem(401, "token-expired");
    }

    async fn replay_f09_a_forged_cursor(v: TestVault) {
        for number in 0..3 {
            v.set(&format!("payments/prod/s{number}"), "value", "1").await;
            v.token("read:payments/**", HOUR).await;
        }
        v.place("shop/dev").await;
        for number in 0..3 {
            v.set(&format!("shop/dev/s{number}"), "value", "1").await;
        }
        let provider = Provider::start().await;
        for name in ["one", "two"] {
            v.post(&format!("/connections/payments/prod/{name}"), provider.grant().import(), &v.root).await.is(201);
        }
        let lists = ["/secrets/payments/prod?limit=1", "/secrets/payments/prod?limit=1&recursive=true", "/secrets/shop/dev?limit=1", "/connections/payments/prod?limit=1", "/tokens?limit=1"];
        let mut cursors = Vec::new();
        for list in lists {
            let page = v.get(list, &v.root).await.is(200).json();
            cursors.push(page["next_cursor"].as_str().expect("there is more").to_owned());
        }
        for (list, own) in lists.iter().zip(&cursors) {
            let page = v.get(&format!("{list}&cursor={own}"), &v.root).await.is(200).json();
            assert!(page["items"].as_array().or(page["tokens"].as_array()).is_some_and(|items| items.len() == 1), "{page}");
            for other in cursors.iter().filter(|other| *other != own) {
                v.get(&format!("{list}&cursor={other}"), &v.root).await.is_problem(400, "bad-request");
            }
            let bytes = URL_SAFE_NO_PAD.decode(own).expect("it is base64");
            for at in 0..bytes.len() {
                let mut forged = bytes.clone();
                forged[at] ^= 1 << (at % 8);
                let forged = URL_SAFE_NO_PAD.encode(forged);
                v.get(&format!("{list}&cursor={forged}"), &v.root).await.is_problem(400, "bad-request");
            }
            for length in [0, 1, 15, 16, bytes.len() - 1] {
                let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
                v.get(&format!("{list}&cursor={cut}"), &v.root).await.is_problem(400, "bad-request");
            }
            for said in ["' OR 1=1 --", "0'; DROP TABLE documents; --", "00000000-0000-0000-0000-000000000000", "%", "\0"] {
                let forged = [&[0; 16][..], said.as_bytes()].concat();
                for cursor in [URL_SAFE_NO_PAD.encode(forged), said.bytes().map(|byte| format!("%{byte:02x}")).collect()] {
                    v.get(&format!("{list}&cursor={cursor}"), &v.root).await.is_problem(400, "bad-request");
                }
            }
        }
    }
}

/// What is nearly a token is turned away before any look-up, and is counted without a record.
#[tokio::test]
async fn replay_f10_what_is_no_token() {
    let v = TestVault::new(Engine::Sqlite).await;
    let before = v.audit().await.all().len();
    let (good, digits) = (v.root.text.clone(), number(&v.root).to_owned());
    let bad = [
        String::new(),
        "null".to_owned(),
        "undefined".to_owned(),
        "Bearer".to_owned(),
        damaged(&good),
        good.to_ascii_lowercase(),
        good.to_ascii_uppercase(),
        good.replace("cof_", "cov_"),
        good.replace("cof_root_", "cof_"),
        good[..good.len() - 1].to_owned(),
        format!("{good}0"),
        format!("{good} "),
        format!(" {good}"),
        format!("\"{good}\""),
        format!("{good},{good}"),
        format!("{good};"),
        checked(&format!("cof_admin_{digits}")),
        checked(&format!("cof__{digits}")),
        checked(&format!("cof_app_{}", &digits[1..])),
        checked(&format!("cof_app_0{digits}")),
        checked(&format!("cof_app_{}", "z".repeat(43))),
        "a".repeat(8_000),
    ];
    for text in &bad {
        let call = v.call(Method::GET, "/tokens/self");
        let answer = call
            .header("authorization", &format!("Bearer {text}"))
            .await;
        answer.is_problem(401, "token-invalid");
    }
    for scheme in ["Basic", "Token", "bearer:", "DPoP", "Bearer Bearer"] {
        let call = v.call(Method::GET, "/tokens/self");
        let answer = call
            .header("authorization", &format!("{scheme} {good}"))
            .await;
        answer.is_problem(401, "token-invalid");
    }
    // A token anywhere but in its header is none.
    for (name, value) in [
        ("cookie", format!("token={good}")),
        ("x-vault-token", good.clone()),
        ("x-api-key", good.clone()),
        ("proxy-authorization", format!("Bearer {good}")),
    ] {
        v.call(Method::GET, "/tokens/self")
            .header(name, &value)
            .await
            .is_problem(401, "token-missing");
    }
    for key in ["token", "access_token", "x"] {
        let path = format!("/tokens/self?{key}={good}");
        let refused = v.get(&path, &v.root).await.is_problem(400, "bad-request");
        assert!(!refused.text().contains(&digits));
    }
    let head = head("GET", "/api/v1/tokens/self", &v.root);
    for (what, more, status) in [
        ("alone", String::new(), 200),
        ("twice", format!("authorization: Bearer {good}\r\n"), 401),
        (
            "and another",
            format!("Authorization: Bearer {}\r\n", stranger().text),
            401,
        ),
        ("and nothing", "authorization: \r\n".to_owned(), 401),
    ] {
        let mut raw = Raw::connect(&v).await;
        raw.send(format!("{head}{more}\r\n").as_bytes()).await;
        let answer = raw.answer().await.expect("an answer");
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
    }
    // One record for the token that was whole, and one for the look at the log above.
    assert_eq!(v.audit().await.all().len(), before + 2);
}

/// The same on every route, where what is shown is looked at before anything else, and a token in the URL is refused.
#[tokio::test]
async fn replay_f10_on_every_route() {
    let v = TestVault::new(Engine::Sqlite).await;
    let good = v.root.text.clone();
    unchanged!(v, {
        for row in ROWS {
            let path = row.path_with("x");
            for shown in [
                format!("Bearer {good}x"),
                format!("Basic {good}"),
                "Bearer null".to_owned(),
                good.clone(),
            ] {
                let call = v.call(row.method(), &path).header("authorization", &shown);
                call.await.is_problem(401, "token-invalid");
            }
            let url = format!("{path}?access_token={good}");
            v.call(row.method(), &url)
                .by(&v.root)
                .await
                .is_problem(400, "bad-request");
        }
    });
}

/// A token of one kind is no token of another, on any route, though its check digits fit.
#[tokio::test]
async fn replay_f11_a_token_passed_off_as_another_kind() {
    let v = TestVault::new(Engine::Sqlite).await;
    let child = v.token("read:payments/**", HOUR).await;
    let kinds = [("usr", &v.root), ("app", &v.root), ("root", &child)];
    let disguised: Vec<Token> = kinds
        .iter()
        .map(|(kind, token)| Token {
            text: checked(&format!("cof_{kind}_{}", number(token))),
            id: String::new(),
        })
        .collect();
    assert_eq!(
        checked(v.root.text.rsplit_once('_').expect("a check").0),
        v.root.text
    );
    unchanged!(v, {
        for token in &disguised {
            // So that no source has shown too many of them.
            v.advance(Ttl::seconds(60));
            for row in ROWS {
                let path = row.path_with(&child.id);
                let call = v.call(row.method(), &path).by(token);
                let answer = if row.body.is_empty() {
                    call.await
                } else {
                    call.text(row.body).await
                };
                answer.is_problem(401, "token-invalid");
            }
        }
        for token in &disguised {
            v.get("/tokens/self", token)
                .await
                .is_problem(401, "token-invalid");
        }
    });
}
