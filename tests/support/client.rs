//! Asking a server over HTTPS as an application would, and looking at what it answers.
//! Every answer is held to what each answer must carry: a request's id, `no-store`, and a whole problem when it refuses.
//!
//! Invariant: a request is sent once, as it is written here.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Once;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method, StatusCode};
use serde_json::Value;

use super::{described, left};

const API: &str = "/api/v1";

/// A token as its bearer has it.
#[derive(Clone, Debug)]
pub struct Token {
    /// What is sent.
    pub text: String,
    /// What lists and records say.
    pub id: String,
}

impl Token {
    /// The random part of it, which whoever has needs no more; all of what is no token.
    pub fn digits(&self) -> &str {
        self.text.rsplit('_').nth(1).unwrap_or(&self.text)
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
}

impl Client {
    /// A client that trusts this certificate authority alone, given in PEM.
    pub fn new(address: SocketAddr, authority: &str) -> Self {
        Self::of(address, authority, reqwest::Client::builder())
    }

    /// The same, of HTTP/1.1 alone.
    pub fn http1(address: SocketAddr, authority: &str) -> Self {
        let builder = reqwest::Client::builder().http1_only();
        Self::of(address, authority, builder)
    }

    fn of(address: SocketAddr, authority: &str, builder: reqwest::ClientBuilder) -> Self {
        install_provider();
        let authority = Certificate::from_pem(authority.as_bytes()).expect("it is PEM");
        let http = builder
            .tls_certs_only([authority])
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(Duration::from_secs(60))
            .user_agent("coffer-story/1")
            .build()
            .expect("a client can be made");
        Self { http, address }
    }

    /// Where its server listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A request to a path below the API's root, not sent yet.
    pub fn call(&self, method: Method, path: &str) -> Call {
        self.open(method, &format!("{API}{path}"))
    }

    /// A request to a path of the server, not sent yet.
    pub fn open(&self, method: Method, path: &str) -> Call {
        let url = format!("https://{}{path}", self.address);
        Call {
            request: self.http.request(method.clone(), url),
            method,
            path: path.to_owned(),
        }
    }

    /// Reads.
    pub fn get(&self, path: &str, token: &Token) -> Call {
        self.call(Method::GET, path).by(token)
    }

    /// Replaces.
    pub fn put(&self, path: &str, body: Value, token: &Token) -> Call {
        self.call(Method::PUT, path).by(token).body(body)
    }

    /// Merges.
    pub fn patch(&self, path: &str, body: Value, token: &Token) -> Call {
        self.call(Method::PATCH, path).by(token).body(body)
    }

    /// Makes, or does.
    pub fn post(&self, path: &str, body: Value, token: &Token) -> Call {
        self.call(Method::POST, path).by(token).body(body)
    }

    /// Takes away.
    pub fn delete(&self, path: &str, token: &Token) -> Call {
        self.call(Method::DELETE, path).by(token)
    }
}

/// rustls wants to be told which provider of cryptography it runs on.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whoever comes second leaves the same provider in place.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A request; awaiting it sends it.
pub struct Call {
    request: reqwest::RequestBuilder,
    method: Method,
    path: String,
}

impl Call {
    /// With this token.
    #[must_use]
    pub fn by(self, token: &Token) -> Self {
        left::token(&token.text);
        self.header("authorization", &format!("Bearer {}", token.text))
    }

    /// With this header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        if name.eq_ignore_ascii_case("idempotency-key") {
            left::secret("a key of a request", value.as_bytes());
        }
        let name = HeaderName::try_from(name).expect("a header's name");
        let value = HeaderValue::try_from(value).expect("a header's value");
        Self {
            request: self.request.header(name, value),
            ..self
        }
    }

    /// With this JSON.
    #[must_use]
    pub fn body(self, body: Value) -> Self {
        self.text(&body.to_string())
    }

    /// With this text, which is said to be JSON.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes().to_vec())
    }

    /// With these bytes, which are said to be JSON.
    #[must_use]
    pub fn bytes(self, bytes: Vec<u8>) -> Self {
        let bytes = left::with_tails(&self.method, &self.path, bytes);
        left::secrets(&bytes);
        let call = self.header("content-type", "application/json");
        Self {
            request: call.request.body(bytes),
            ..call
        }
    }

    /// Sends it; an error is a connection that was not made, or ended.
    pub async fn sent(self) -> Result<Answer, reqwest::Error> {
        let response = self.request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        let answer = Answer {
            status,
            headers,
            body,
        };
        answer.check();
        described::check(&self.method, &self.path, &answer);
        left::answer(&self.method, &self.path, &answer);
        let answer = Answer {
            body: left::without_tails(answer.body),
            ..answer
        };
        Ok(answer)
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.sent().await.expect("the server answers") })
    }
}

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[allow(
    clippy::wrong_self_convention,
    reason = "an answer is taken apart as the story tells it"
)]
impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// It was done, with this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "{}", self.text());
        assert!(status < 400, "a refusal has a code: use is_problem");
        self
    }

    /// It was refused, with this status and code.
    #[track_caller]
    pub fn is_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status(), status, "{}", self.text());
        assert_eq!(self.json()["code"], code, "{}", self.text());
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(_) => panic!("no JSON: {} {:?}", self.status, self.text()),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `ETag`.
    #[track_caller]
    pub fn etag(&self) -> String {
        self.header("etag").expect("an ETag").to_owned()
    }

    /// What a problem says to people.
    #[track_caller]
    pub fn detail(&self) -> String {
        self.json()["detail"]
            .as_str()
            .expect("a sentence")
            .to_owned()
    }

    /// What every answer carries.
    fn check(&self) {
        let id = self.header("x-request-id").expect("a request's id");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("access-control-allow-origin"), None);
        if self.status.is_client_error() || self.status.is_server_error() {
            assert_eq!(
                self.header("content-type"),
                Some("application/problem+json")
            );
            let problem = self.json();
            assert_eq!(problem["request_id"], id, "{problem}");
            assert_eq!(problem["status"], self.status(), "{problem}");
            for key in ["type", "title", "detail", "code"] {
                let text = problem[key].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{key} is missing: {problem}");
            }
            assert!(self.detail().ends_with(['.', '?', '!']), "{problem}");
            let waits = matches!(self.status(), 429 | 503);
            assert_eq!(problem["retry_after"].is_u64(), waits, "{problem}");
            assert_eq!(self.header("retry-after").is_some(), waits, "{problem}");
        }
    }
}
