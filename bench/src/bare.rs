//! The limit: an axum route that answers static bytes, without layers, over the same TLS and HTTP/1.1.
//! It runs as a process of its own, so that its CPU is counted as Coffer's is.
//!
//! Invariant: it does nothing for a request that every HTTPS server would not have to do as well.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::failure::{Context, Result};
use crate::tls::Certificate;

/// What `bench bare` is told.
#[derive(clap::Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The certificate, PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// The one path that is answered.
    #[arg(long)]
    path: String,
    /// A file with the bytes that it is answered with.
    #[arg(long)]
    body: PathBuf,
}

/// Serves until it is killed, on one worker as Coffer does.
pub fn serve(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async { tokio::spawn(accept(options)).await.context("the server")? })
}

async fn accept(options: Options) -> Result<()> {
    let body = std::fs::read(&options.body).context("the body")?;
    // Lives as long as the process: a static answer copies nothing.
    let body: &'static [u8] = body.leak();
    let router: Router = Router::new().route(
        &options.path,
        get(move || async move { ([(CONTENT_TYPE, "application/json")], body) }),
    );
    let service = TowerToHyperService::new(router);
    let certificate = Certificate {
        chain: options.certificate,
        key: options.key,
    };
    let acceptor = TlsAcceptor::from(certificate.server_config()?);
    let listener = TcpListener::bind(options.listen)
        .await
        .context("no listener")?;
    loop {
        let (stream, _) = listener.accept().await.context("no connection")?;
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                // A client that goes away ends its connection, and nothing else.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
    }
}
