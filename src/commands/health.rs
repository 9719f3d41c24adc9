//! `health`: whether the server on this machine is ready, for containers that have neither shell nor curl.
//! It asks `/health/ready` over TLS and trusts exactly the certificate that the server is configured with.
//!
//! Invariant: exit code 0 only for the configured certificate and a 2xx; everything else is 5.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use coffer::http::probe;
use coffer::http::tls::read_chain;
use tokio::time::timeout;

use super::{ConfigFile, Failure, UNAVAILABLE, dev, runtime};

/// For everything together.
const TIME_MAX: Duration = Duration::from_secs(5);
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Health {
    /// The server's configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "COFFER_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory of a `dev` server.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Health {
    pub fn run(self) -> Result<(), Failure> {
        let (address, certificate) = match self.config {
            Some(config) => {
                let config = ConfigFile { config }.read()?;
                (config.listen, config.certificate)
            }
            None => dev::DataDir::find(self.data)?.listening()?,
        };
        let not_ready = |why: &str| {
            Failure::new(
                UNAVAILABLE,
                format!("The server at {address} is not ready: {why}."),
            )
        };
        let chain = read_chain(&certificate).map_err(Failure::usage)?;
        let own = chain
            .into_iter()
            .next()
            .ok_or_else(|| not_ready("it has no certificate"))?;
        let asked = runtime(None)?
            .block_on(async { timeout(TIME_MAX, probe::is_ready(reachable(address), own)).await });
        match asked {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(not_ready(
                "it is sealed, stopping, or its store does not record",
            )),
            Ok(Err(_)) => Err(not_ready("it does not answer with its certificate")),
            Err(_) => Err(not_ready("it does not answer in time")),
        }
    }
}

/// An address to connect to for one to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        let reach = |address: &str| reachable(address.parse().expect("an address")).to_string();
        assert_eq!(reach("0.0.0.0:8200"), "127.0.0.1:8200");
        assert_eq!(reach("[::]:8200"), "[::1]:8200");
        assert_eq!(reach("192.0.2.1:8200"), "192.0.2.1:8200");
    }
}
