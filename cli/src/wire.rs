//! One request and its answer: the head at once, the body within a bound, an error as a sentence.
//! A refusal by the server and a failure of the network both end here as a [`Failure`].
//!
//! Invariant: what is said about a lost write never suggests to repeat it blindly.

use crate::failure::{Again, Exit, Failure};
use crate::routes::Route;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest silence within an answer, and before one that has no other end.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Larger than any body but an export: the largest version, escaped, and a thousand records of the largest size.
const BODY_BYTES_MAX: usize = 20 * 1024 * 1024;
/// What a body's buffer begins with when its length is not told.
const BODY_BYTES_GUESS: usize = 16 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// An answer that was not a refusal.
pub struct Reply {
    /// The body, wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
    /// Its `X-Request-Id`.
    pub request_id: String,
}

impl Reply {
    /// The body as what it should be.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| {
            Failure::failed("The server's answer is not understood: is it newer than this command?")
        })
    }
}

/// What a write sends besides its route.
#[derive(Clone)]
pub struct Write {
    /// The body, if it has one.
    pub body: Option<Bytes>,
    /// By which the server does it once.
    pub key: HeaderValue,
}

/// What requests are made with.
#[derive(Clone)]
pub struct Wire {
    /// What makes the requests.
    pub http: reqwest::Client,
    /// `https://host:port`, without a slash at the end.
    pub address: String,
    /// `Bearer …`, if there is a token.
    pub bearer: Option<HeaderValue>,
}

impl Wire {
    pub async fn exchange(
        &self,
        method: Method,
        route: &Route,
        write: Option<Write>,
        timeout: Duration,
    ) -> Result<Reply, Failure> {
        let answer = self.request(method, route, write, Some(timeout)).await?;
        let request_id = request_id(&answer.response);
        Ok(Reply {
            body: answer.body().await?,
            request_id,
        })
    }

    /// The head of an answer; a refusal becomes a failure. `timeout` is for the body too; without it each piece has its
    /// own.
    pub async fn request(
        &self,
        method: Method,
        route: &Route,
        write: Option<Write>,
        timeout: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let mut request = self.http.request(
            method.clone(),
            format!("{}{}", self.address, route.as_str()),
        );
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        if let Some(Write { body, key }) = write {
            request = request.header(IDEMPOTENCY_KEY, key);
            if let Some(body) = body {
                request = request.header(CONTENT_TYPE, "application/json").body(body);
            }
        }
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let response = tokio::time::timeout(timeout.unwrap_or(SILENCE_MAX), request.send())
            .await
            .map_err(|_| lost(&method))?
            .map_err(|error| unreached(&self.address, &method, &error))?;
        let (status, request_id) = (response.status(), request_id(&response));
        let answer = Answer { response, method };
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.body().await.unwrap_or_default();
        Err(Failure::refusal(status.as_u16(), &body, &request_id))
    }
}

/// An answer whose head has come.
pub struct Answer {
    response: Response,
    method: Method,
}

impl Answer {
    /// The next piece of the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|_| lost(&self.method)),
            Err(_) => Err(lost(&self.method)),
        }
    }

    /// The whole body, in one buffer that leaves no copies behind when it grows.
    async fn body(mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let told = self
            .response
            .content_length()
            .and_then(|length| usize::try_from(length).ok());
        let mut body = Zeroizing::new(Vec::with_capacity(
            told.unwrap_or(BODY_BYTES_GUESS).min(BODY_BYTES_MAX),
        ));
        while let Some(chunk) = self.chunk().await? {
            let length = body.len() + chunk.len();
            if length > BODY_BYTES_MAX {
                return Err(Failure::failed(
                    "The server's answer is longer than any should be.",
                ));
            }
            if length > body.capacity() {
                let mut larger =
                    Zeroizing::new(Vec::with_capacity(length.max(2 * body.capacity())));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn request_id(response: &Response) -> String {
    let id = response
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// Before any answer: not reached at all, or reached and then silent.
fn unreached(address: &str, method: &Method, error: &reqwest::Error) -> Failure {
    if let Some(reason) = distrusted(error) {
        // Webpki's word for it is known to rustls as something else only.
        if format!("{reason:?}").contains("CaUsedAsEndEntity") {
            let text = format!(
                "{address} is not trusted, for its certificate is an authority's: its operator has to make one with basicConstraints CA:FALSE."
            );
            return Failure::new(Exit::Unavailable, text);
        }
        let text = format!(
            "{address} is not trusted ({reason}): COFFER_CACERT must name the file of its certificate authority, and COFFER_ADDR the host as the certificate has it."
        );
        return Failure::new(Exit::Unavailable, text);
    }
    if error.is_connect() {
        return Failure::new(
            Exit::Unavailable,
            format!("{address} cannot be reached: is COFFER_ADDR right, and the server running?"),
        )
        .when(Again::Unreached);
    }
    lost(method)
}

fn lost(method: &Method) -> Failure {
    let text = match *method {
        Method::GET => "The server's answer was lost: try again.",
        _ => {
            "The server's answer was lost, so this may or may not have happened: look before you try again."
        }
    };
    Failure::new(Exit::Unavailable, text).when(Again::Lost)
}

/// Why TLS refused the server's certificate, if it did, however deep the error lies.
fn distrusted(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(reason @ rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return Some(reason);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    None
}
