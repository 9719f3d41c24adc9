//! What the server counts of itself, told to Prometheus: a listener of its own, for `GET /metrics` and nothing else.
//! It speaks plain HTTP and asks for no token, so it is on only where it is configured, and on a loopback address unless
//! the configuration says more. A connection is for one request, and has one span of time for all of it.
//!
//! Invariant: whoever reaches this listener can read counts, and can neither change anything nor take up more than a
//! few connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::app::App;
use super::{OPEN_ROUTES, ROUTES};
use crate::clock::Clock;
use crate::metrics::{Format, Metrics};

/// Connections at once; past it the next is closed.
const CONNECTIONS_MAX: usize = 16;
/// From a connection's first byte to the last of its answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// A request's line and headers, in bytes.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// After an error of `accept`, such as no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const PATH: &str = "/metrics";

/// What this server counts: nothing yet.
pub fn metrics() -> Arc<Metrics> {
    let through_door = ROUTES
        .iter()
        .map(|route| (route.method.as_str(), route.pattern));
    let open = OPEN_ROUTES
        .iter()
        .map(|route| (route.method.as_str(), route.pattern));
    let codes = coffer_api::PROBLEMS.iter().map(|(_, code)| *code);
    let started = Clock::new().now();
    Arc::new(Metrics::new(through_door.chain(open), codes, started))
}

/// Answers who asks until `stop` is true; what is being answered then is cut off.
pub async fn serve(listener: TcpListener, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        if connections.len() < CONNECTIONS_MAX {
            let answering = connection(stream, Arc::clone(&app));
            connections.spawn(timeout(CONNECTION_TIME_MAX, answering));
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, app: Arc<App>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(&app, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    // The connection's own time bounds its head.
    http.header_read_timeout(None)
        .keep_alive(false)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(2 * HEADER_BYTES_MAX);
    // A client that breaks off has nothing to be told.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(app: &App, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let refusal = |status, sentence: &'static str| {
        let plain = "text/plain; charset=utf-8";
        respond(status, plain, Bytes::from_static(sentence.as_bytes()))
    };
    if request.uri().path() != PATH {
        return refusal(
            StatusCode::NOT_FOUND,
            "This listener has GET /metrics and nothing else.\n",
        );
    }
    if request.method() != Method::GET {
        let mut refused = refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "This path takes GET only.\n",
        );
        let headers = refused.headers_mut();
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let accept = request.headers().get(ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let format = Format::of_accept(accept.unwrap_or_default());
    let text = app.metrics().write(&app.look(), format);
    respond(StatusCode::OK, format.content_type(), text.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    struct Listening {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        serving: JoinHandle<()>,
    }

    async fn listening() -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = watch::channel(false);
        let app = App::new(Vec::new(), 0, metrics());
        let serving = tokio::spawn(serve(listener, app, stopped));
        Listening {
            address,
            stop,
            serving,
        }
    }

    /// Sends this and gives what comes until the end; nothing when the connection was reset.
    async fn asked(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test]
    async fn it_has_one_path_for_one_method() {
        let listening = listening().await;
        let address = listening.address;
        let status = async |line: &str| {
            let answer = asked(address, &format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            answer.get(9..12).unwrap_or_default().to_owned()
        };
        assert_eq!(status("GET /metrics").await, "200");
        assert_eq!(status("GET /metrics?debug=1").await, "200");
        for other in [
            "/",
            "/metrics/",
            "/health/live",
            "/api/v1/status",
            "//metrics",
        ] {
            assert_eq!(status(&format!("GET {other}")).await, "404");
        }
        for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "X"] {
            assert_eq!(status(&format!("{method} /metrics")).await, "405");
        }
        let long = format!(
            "GET /metrics HTTP/1.1\r\na: {}",
            "x".repeat(2 * HEADER_BYTES_MAX)
        );
        let refused = asked(address, &long).await;
        assert!(
            refused.is_empty() || refused.starts_with("HTTP/1.1 431"),
            "{refused}"
        );
        let sealed = asked(address, "GET /metrics HTTP/1.0\r\n\r\n").await;
        for said in ["\ncoffer_sealed 1\n", "\ncoffer_ready 0\n"] {
            assert!(sealed.contains(said), "{sealed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_left_behind() {
        let listening = listening().await;
        let address = listening.address;
        let began = tokio::time::Instant::now();
        assert_eq!(
            asked(address, "GET /metrics HTTP/1.1\r\nhost: a\r\n").await,
            ""
        );
        assert!(began.elapsed() >= CONNECTION_TIME_MAX);
    }

    #[tokio::test]
    async fn connections_are_bounded_and_end_with_the_server() {
        let listening = listening().await;
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let stream = TcpStream::connect(listening.address).await;
            idle.push(stream.expect("it listens"));
        }
        let request = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(asked(listening.address, request).await, "", "one too many");
        drop(idle.pop());
        // Its end is seen when the server has looked.
        while asked(listening.address, request).await.is_empty() {}
        listening.stop.send_replace(true);
        listening.serving.await.expect("it ends");
        let mut rest = Vec::new();
        let ended = idle[0].read_to_end(&mut rest).await;
        assert!(ended.is_err() || rest.is_empty());
    }
}
