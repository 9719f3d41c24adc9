//! Where a server tells Prometheus what it counts: a listener of its own, in plain HTTP and without tokens.
//!
//! Invariant: nobody but this machine reaches it unless the file says so in a word of its own.

use std::net::SocketAddr;

use serde::Deserialize;

use super::key;

/// `[metrics]`, as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsSection {
    listen: Option<String>,
    allow_remote: Option<bool>,
}

impl MetricsSection {
    /// Where to listen, if anywhere.
    pub(super) fn listen(self) -> Result<Option<SocketAddr>, String> {
        let Some(text) = self.listen else {
            return match self.allow_remote {
                None => Ok(None),
                Some(_) => Err(key("metrics.listen", "is missing")),
            };
        };
        let wrong = |what: &str| key("metrics.listen", what);
        let listen: SocketAddr = text
            .parse()
            .map_err(|_| wrong("takes an address and a port, as 127.0.0.1:9200"))?;
        if !listen.ip().to_canonical().is_loopback() && self.allow_remote != Some(true) {
            return Err(wrong(
                "takes a loopback address, for it is read in plain HTTP and without a token; to let others reach it, set `metrics.allow_remote = true`",
            ));
        }
        Ok(Some(listen))
    }
}
