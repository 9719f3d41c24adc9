//! Advisory H6: garbage on every route and in place of requests, always the same; the server answers, and is still there.

use coffer::model::Ttl;
use coffer::store::Engine;
use reqwest::Method;

use super::raw::Raw;
use super::unchanged;
use crate::matrix::rows::ROWS;
use crate::support::client::Token;
use crate::support::vault::{TestVault, both_engines};

/// Numbers that only look like chance (Marsaglia's xorshift64): what fails once fails again.
pub struct Numbers(u64);

impl Numbers {
    /// Those of this seed, which is not zero.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }
}

/// Garbage as bytes: some of it text, some of it JSON's own characters.
fn garbage(numbers: &mut Numbers, length: usize) -> Vec<u8> {
    const LIKELY: &[u8] = b"{}[]\":,\\/0123456789.eE+-truefalsnu fieldscopev%*!";
    let any = numbers.below(3);
    let byte = |numbers: &mut Numbers| match any {
        0 => numbers.byte(),
        1 => b' ' + numbers.byte() % 95,
        _ => LIKELY[numbers.below(LIKELY.len())],
    };
    (0..length).map(|_| byte(numbers)).collect()
}

/// A body that is nearly one that the route takes: bytes of it changed, dropped or doubled.
fn nearly(numbers: &mut Numbers, body: &str) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len().max(1));
        match numbers.below(3) {
            0 => bytes[at] = numbers.byte(),
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
    bytes
}

/// One request of garbage to a route, over a connection of its own or the client's.
async fn throw(v: &TestVault, numbers: &mut Numbers, token: &Token, at: usize) -> u16 {
    let row = &ROWS[at % ROWS.len()];
    let length = numbers.below(300);
    let body = match numbers.below(4) {
        0 => garbage(numbers, length),
        1 if !row.body.is_empty() => nearly(numbers, row.body),
        _ => row.body.as_bytes().to_vec(),
    };
    let mut path = row.path_with("00000000-0000-0000-0000-000000000000");
    let escaped = |numbers: &mut Numbers, length: usize| -> String {
        let bytes = garbage(numbers, length);
        bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
    };
    if numbers.below(4) == 0 {
        let at = 1 + numbers.below(path.len());
        path.insert_str(at, &escaped(numbers, 1));
    }
    if numbers.below(4) == 0 {
        let keys = [
            "version",
            "cursor",
            "limit",
            "prefix",
            "fields",
            "if_version",
            "previous",
            "format",
        ];
        let key = keys[numbers.below(keys.len())];
        path = format!("{path}?{key}={}", escaped(numbers, 4));
    }
    let mut call = v.call(row.method(), &path).by(token);
    if numbers.below(3) == 0 {
        let headers = [
            "coffer-metadata",
            "if-match",
            "if-none-match",
            "user-agent",
            "accept",
            "range",
            "expect",
        ];
        let value: String = garbage(numbers, 20)
            .iter()
            .map(|byte| char::from(b' ' + byte % 95))
            .collect();
        call = call.header(headers[numbers.below(headers.len())], &value);
    }
    let answer = if body.is_empty() {
        call.await
    } else {
        call.bytes(body).await
    };
    answer.status()
}

/// How often each route gets garbage from each of two tokens; `scripts/torture garbage` says more.
fn rounds() -> usize {
    let rounds = std::env::var("COFFER_TORTURE_ROUNDS");
    rounds.map_or(40, |rounds| rounds.parse().expect("a number of rounds"))
}

both_engines! {
    async fn replay_h06_garbage_on_every_route(v: TestVault) {
        let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
        v.set("payments/prod/read", "value", "hunter2").await;
        let stranger = v.token("list,read,write,delete,destroy,rotate,manage,audit:shop/**", Ttl::seconds(3600)).await;
        let mut statuses = std::collections::BTreeMap::new();
        unchanged!(v, {
            for at in 0..ROWS.len() * rounds() {
                let status = throw(&v, &mut numbers, &stranger, at).await;
                *statuses.entry(status).or_insert(0) += 1;
            }
        });
        // The root's garbage gets further; some of it may even be a request.
        for at in 0..ROWS.len() * rounds() {
            let status = throw(&v, &mut numbers, &v.root, at).await;
            *statuses.entry(status).or_insert(0) += 1;
        }
        assert!(statuses.keys().all(|status| (200..500).contains(status)), "{statuses:?}");
        assert!(statuses[&400] > 1_000 && statuses.len() > 4, "{statuses:?}");
        v.open(Method::GET, "/health/ready").await.is(204);
        assert_eq!(v.get("/secrets/payments/prod/read", &v.root).await.is(200).json()["fields"]["value"], "hunter2");
    }
}

/// Bytes that are no HTTP at all, inside of TLS: the connection ends, and the next one is served.
#[tokio::test]
async fn replay_h06_what_is_no_request() {
    let v = TestVault::new(Engine::Sqlite).await;
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..100 {
        let mut raw = Raw::connect(&v).await;
        let bytes = match round % 4 {
            0 => garbage(&mut numbers, 500),
            1 => [
                b"GET ",
                &garbage(&mut numbers, 100)[..],
                b" HTTP/1.1\r\n\r\n",
            ]
            .concat(),
            2 => [
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                &garbage(&mut numbers, 200)[..],
            ]
            .concat(),
            _ => [
                b"POST /api/v1/tokens HTTP/1.1\r\nhost: story\r\n",
                &garbage(&mut numbers, 200)[..],
                b"\r\n\r\n",
            ]
            .concat(),
        };
        // A head that is not whole would be waited for: the client says that nothing more comes.
        raw.send(&bytes).await;
        raw.finish().await;
        let answer = raw.answer().await;
        assert!(
            answer
                .as_ref()
                .is_none_or(|answer| (400..500).contains(&answer.status)),
            "{round}: {answer:?}"
        );
    }
    v.get("/tokens/self", &v.root).await.is(200);
}
