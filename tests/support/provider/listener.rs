//! The provider's socket: a port that stays reserved while nobody listens on it, so that a call to it is refused.
//!
//! Invariant: no other process can be at the port as long as the provider lives.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{Call, Provider};

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// A reserved port.
pub(super) struct Listener {
    /// Bound and never listening.
    _reserved: TcpSocket,
    address: SocketAddr,
    taking: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    pub(super) fn reserve() -> Self {
        let reserved = socket(([127, 0, 0, 1], 0).into());
        Self {
            address: reserved.local_addr().expect("it is bound"),
            _reserved: reserved,
            taking: Mutex::default(),
        }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn open(&self, provider: &Provider) {
        let mut taking = self.taking.lock().await;
        if taking.is_none() {
            let listener = socket(self.address).listen(BACKLOG).expect("it listens");
            *taking = Some(tokio::spawn(take(listener, provider.clone())));
        }
    }

    pub(super) async fn close(&self) {
        if let Some(taking) = self.taking.lock().await.take() {
            taking.abort();
            // The socket is closed once the task is gone.
            let _ = taking.await;
        }
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("it can be shared");
    socket.bind(address).expect("the port is free");
    socket
}

async fn take(listener: TcpListener, provider: Provider) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, provider.clone()));
    }
}

async fn converse(stream: TcpStream, provider: Provider) {
    let service = service_fn(move |request| {
        let provider = provider.clone();
        async move {
            let call = heard(request).await.ok_or("not heard to its end")?;
            // In a task of its own: a caller that hangs up does not undo what it began.
            let answered = tokio::spawn(provider.answer(call)).await;
            answered.ok().flatten().ok_or("no answer")
        }
    });
    let server = hyper::server::conn::http1::Builder::new();
    // An error is a connection that was closed without an answer, on purpose.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn heard(request: Request<Incoming>) -> Option<Call> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.ok()?;
    let header = |name| head.headers.get(name)?.to_str().ok();
    let is_form = head.method == Method::POST
        && head.uri == "/token"
        && header(header::CONTENT_TYPE) == Some("application/x-www-form-urlencoded");
    let authorization = head.headers.get(header::AUTHORIZATION);
    let authorization =
        authorization.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Some(Call {
        is_form,
        authorization,
        form: body.to_bytes(),
    })
}
