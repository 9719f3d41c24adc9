//! Sockets, handshakes and connections: the accept loop waits for nobody, and every wait has an end.
//! A handshake, headers, a body, an idle connection and a drain are bounded in time, and connections in number
//! (advisories H8, H10, H11).
//!
//! Invariant: nothing that one client does or leaves undone keeps another from being accepted.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, Over};
use super::answer::Body;
use super::app::App;
use super::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_SOURCE_MAX, DRAIN_TIME_MAX, HANDSHAKE_TIME_MAX,
    HEADER_BYTES_MAX, HEADERS_MAX, IDLE_TIME_MAX, PING_INTERVAL, PING_TIME_MAX, STREAMS_MAX,
};
use super::linger::Lingering;
use super::shares::Peer;
use super::source::network_of;
use super::unread::RequestBody;
use super::wiped::Wiped;
use crate::metrics::{Metrics, open_files_max};

/// After an error of `accept`, such as no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Files that the process keeps for its store, its state and its sockets.
const FILES_RESERVED: usize = 128;

/// Serves until `stop` is true, then lets what has begun end, for at most [`DRAIN_TIME_MAX`].
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let connections = Connections::new(Arc::clone(app.metrics()));
    let (alive, _) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_peer(&error) {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        // Past a limit the socket is closed at once: an answer would cost a handshake.
        let Some(place) = connections.enter(peer.ip()) else {
            app.metrics().http.turned_away.one();
            continue;
        };
        let (acceptor, app, stop, alive) = (
            acceptor.clone(),
            Arc::clone(&app),
            stop.clone(),
            alive.subscribe(),
        );
        tokio::spawn(async move {
            connection(stream, peer, &acceptor, app, stop).await;
            drop((place, alive));
        });
    }
    drop(listener);
    // Ended when every connection's receiver is gone.
    if timeout(DRAIN_TIME_MAX, alive.closed()).await.is_err() {
        tracing::warn!(
            connections = alive.receiver_count(),
            "connections were cut off after the drain's time"
        );
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
) {
    // Small answers leave at once.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        handshake = timeout(HANDSHAKE_TIME_MAX, acceptor.accept(Wiped::new(stream))) => handshake,
    };
    let Ok(Ok(stream)) = handshake else { return };
    let peer = app.peer(peer.ip());
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2_connection(stream, peer, app, stop).await;
    } else {
        http1_connection(stream, peer, app, stop).await;
    }
}

async fn http2_connection(
    stream: TlsStream<Wiped<TcpStream>>,
    peer: Peer,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
) {
    let activity = Activity::of_streams();
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        // A table of headers would keep each token for as long as the connection lives.
        .header_table_size(0)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIME_MAX);
    let peer = Arc::new(peer);
    let service = service_fn(|request| {
        answer(
            Arc::clone(&app),
            Arc::clone(&activity),
            request,
            Arc::clone(&peer),
        )
    });
    let mut running = pin!(http.serve_connection(TokioIo::new(Wiped::new(stream)), service));
    tokio::select! {
        _ = running.as_mut() => return,
        _ = over(&activity, &mut stop) => running.as_mut().graceful_shutdown(),
    }
    // The serve loop's own drain is shorter than the patience that an idle peer gets.
    let _ = timeout(IDLE_TIME_MAX, running).await;
}

async fn http1_connection(
    stream: TlsStream<Wiped<TcpStream>>,
    peer: Peer,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
) {
    let activity = Activity::awaiting_head();
    let mut http = http1::Builder::new();
    // Without a timer of hyper's: `activity` bounds both a head and an idle connection.
    http.header_read_timeout(None)
        // What has begun ends also when the client hangs up (`finish`). To hear of that earlier, hyper would read on into
        // a new buffer while the last head is in use.
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(4 * HEADER_BYTES_MAX);
    let stream = TokioIo::new(Lingering::new(stream, Arc::clone(&activity)));
    let peer = Arc::new(peer);
    let service = service_fn(|request| {
        answer(
            Arc::clone(&app),
            Arc::clone(&activity),
            request,
            Arc::clone(&peer),
        )
    });
    let mut running = pin!(http.serve_connection(stream, service));
    tokio::select! {
        _ = running.as_mut() => return,
        over = over(&activity, &mut stop) => match over {
            // Nothing runs, and what has come of the head is no request.
            Over::Slow => return,
            Over::Idle => running.as_mut().graceful_shutdown(),
        },
    }
    // A head that is still arriving has its own time, also now.
    tokio::select! {
        _ = timeout(IDLE_TIME_MAX, running) => {}
        _ = activity.over() => {}
    }
}

async fn answer(
    app: Arc<App>,
    activity: Arc<Activity>,
    request: Request<Incoming>,
    peer: Arc<Peer>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let (busy, says_length) = activity.begin();
    // hyper leaves only one of them in the request.
    let two_lengths = says_length && request.headers().contains_key(TRANSFER_ENCODING);
    let version = request.version();
    let (head, incoming) = request.into_parts();
    let (body, unread) = RequestBody::arriving(incoming, version);
    let request = Request::from_parts(head, body);
    let mut answer = app.answer(request, &peer, two_lengths).await;
    if unread.is_some_and(|unread| unread.is_true()) {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    Ok(answer.map(|body| body.holding(busy)))
}

/// When a connection should end: the server stops, or nothing was asked for a while; at once when a head was too slow.
async fn over(activity: &Activity, stop: &mut watch::Receiver<bool>) -> Over {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => Over::Idle,
        over = activity.over() => over,
    }
}

/// Whose connections there are.
struct Connections {
    by_source: Mutex<HashMap<IpAddr, usize>>,
    all: AtomicUsize,
    all_max: usize,
    metrics: Arc<Metrics>,
}

impl Connections {
    fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let files = open_files_max().and_then(|files| files.try_into().ok());
        let files = files.unwrap_or(CONNECTIONS_MAX);
        let all_max = CONNECTIONS_MAX.min(files.saturating_sub(FILES_RESERVED).max(1));
        Arc::new(Self {
            by_source: Mutex::default(),
            all: AtomicUsize::new(0),
            all_max,
            metrics,
        })
    }

    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let source = network_of(peer);
        let mut by_source = self
            .by_source
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_source = by_source.get(&source).copied().unwrap_or(0);
        if of_source >= CONNECTIONS_PER_SOURCE_MAX
            || self.all.load(Ordering::Relaxed) >= self.all_max
        {
            return None;
        }
        by_source.insert(source, of_source + 1);
        self.all.fetch_add(1, Ordering::Relaxed);
        self.metrics.http.taken.one();
        self.metrics.http.open_connections.raise();
        Some(Place {
            connections: Arc::clone(self),
            source,
        })
    }
}

/// One connection's place among them.
struct Place {
    connections: Arc<Connections>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_source = self
            .connections
            .by_source
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.source);
            }
        }
        self.connections.all.fetch_sub(1, Ordering::Relaxed);
        self.connections.metrics.http.open_connections.lower();
    }
}

/// An error of the connection that was accepted, not of the listener.
fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_of_a_source_are_bounded_and_given_back() {
        let connections = Arc::new(Connections {
            by_source: Mutex::default(),
            all: AtomicUsize::new(0),
            all_max: 3_000,
            metrics: Arc::default(),
        });
        let places: Vec<_> = (0..CONNECTIONS_PER_SOURCE_MAX)
            .map(|host| {
                connections
                    .enter(address(&format!("2001:db8::{host:x}")))
                    .expect("a place")
            })
            .collect();
        assert!(
            connections.enter(address("2001:db8::ffff:1")).is_none(),
            "the same /64"
        );
        let other = connections.enter(address("2001:db8:0:1::1"));
        assert!(other.is_some());
        let v4: Vec<_> = (0..1_000)
            .map_while(|host| {
                connections.enter(address(&format!("10.0.{}.{}", host / 250, host % 250)))
            })
            .collect();
        assert_eq!(places.len() + v4.len() + 1, 3_000, "all together");
        drop((places, other, v4));
        assert_eq!(connections.all.load(Ordering::Relaxed), 0);
        assert!(connections.by_source.lock().expect("no panic").is_empty());
    }
}
