//! One HTTP/1.1 connection for what is not measured: the set-up, the heads, the log read back.
//! The load itself goes through `wire.rs`, which knows less and costs less.
//!
//! Invariant: an answer that is no success ends the run, in the server's own words.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::failure::{Context, Failure, Result};
use crate::tls::{self, Client};

/// What is sent.
pub type Outgoing = Request<Full<Bytes>>;

/// See the module.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects.
    pub async fn open(client: &Client, address: SocketAddr) -> Result<Self> {
        let stream = TokioIo::new(client.connect(address).await?);
        let (sender, connection) = http1::handshake(stream).await.context("no connection")?;
        let driver = tokio::spawn(async move {
            // Its failure is the request's, and told there.
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends a request and gives the answer's body, if its status is 200 or 201.
    pub async fn ask(&mut self, request: Outgoing) -> Result<Bytes> {
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.answer(request).await?;
        let status = response.status();
        let body = response.collect().await.context("an answer broke off")?;
        let body = body.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body).into_owned();
        Err(Failure(format!("{what} was answered {status}: {said}")))
    }

    /// Sends a request and gives the status of its answer, whatever it is.
    pub async fn status(&mut self, request: Outgoing) -> Result<StatusCode> {
        let answer = self.answer(request).await?;
        let status = answer.status();
        let whole = answer.collect().await;
        whole.context("an answer broke off")?;
        Ok(status)
    }

    /// Sends a request and gives the answer, its body still to be read.
    pub async fn answer(&mut self, request: Outgoing) -> Result<Response<Incoming>> {
        self.sender.ready().await.context("a connection ended")?;
        self.sender
            .send_request(request)
            .await
            .context("a request was not answered")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A request as every client here sends it.
pub fn request(method: Method, uri: &Uri, token: &HeaderValue, body: Bytes) -> Outgoing {
    let json = !body.is_empty();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static(tls::HOST));
    headers.insert(USER_AGENT, HeaderValue::from_static("coffer-bench"));
    headers.insert(AUTHORIZATION, token.clone());
    if json {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request
}

/// The value of `Authorization` for a token.
pub fn bearer(token: &str) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {token}")).context("a token is not ASCII")?;
    value.set_sensitive(true);
    Ok(value)
}
