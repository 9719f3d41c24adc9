//! Grants imported through the API, and how they fare, as the list of their environment tells it.
//! A name is as long as a secret's path, so that a token read's record is as long as a secret read's.
//!
//! Invariant: every import was proven by the provider before it is counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde::Deserialize;

use crate::client::{Connection, request};
use crate::failure::{Context, Failure, Result};
use crate::provider::Provider;
use crate::tls::Client;
use crate::world::{PROJECT, ask_all, uri};

/// Imports that are prepared at a time.
const AT_A_TIME: usize = 5_000;
/// Records that an import leaves: begun, sent, concluded, answered.
pub const RECORDS_PER_IMPORT: u64 = 4;
/// Records that a refresh leaves: intended, sent, concluded.
pub const RECORDS_PER_REFRESH: u64 = 3;

/// One grant, in the server's words.
#[derive(Deserialize)]
pub struct Grant {
    /// `project/environment/name`.
    pub path: String,
    /// Which set of tokens is served.
    pub version: u64,
    /// When its access token runs out.
    pub expires_at: String,
    /// When it was last refreshed.
    pub refreshed_at: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Grant>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// A server, asked by its first token.
pub struct Target<'a> {
    /// The load generator's trust.
    pub client: &'a Client,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its first token.
    pub root: &'a HeaderValue,
}

impl Target<'_> {
    /// Imports a grant for each of these names, `environment` and `name`; in any order.
    pub async fn import(
        &self,
        provider: &Provider,
        names: impl Iterator<Item = (String, String)>,
    ) -> Result<Vec<Grant>> {
        let mut grants = Vec::new();
        let mut names = names.peekable();
        while names.peek().is_some() {
            let some = names.by_ref().take(AT_A_TIME);
            let imports = some
                .map(|(environment, name)| {
                    let path = uri(&path(&environment, &name))?;
                    Ok(request(Method::POST, &path, self.root, provider.grant()))
                })
                .collect::<Result<Vec<_>>>()?;
            for body in ask_all(self.client, self.address, imports).await? {
                grants.push(serde_json::from_slice(&body).context("an import's answer")?);
            }
        }
        Ok(grants)
    }

    /// All grants of an environment, by path.
    pub async fn list(&self, environment: &str) -> Result<BTreeMap<String, Grant>> {
        let mut connection = Connection::open(self.client, self.address).await?;
        let mut grants = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/connections/{PROJECT}/{environment}?limit=500{cursor}");
            let asked = request(Method::GET, &uri(&path)?, self.root, Bytes::new());
            let body = connection.ask(asked).await?;
            let page: Page = serde_json::from_slice(&body).context("a list of connections")?;
            grants.extend(page.items.into_iter().map(|item| (item.path.clone(), item)));
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(grants),
            }
        }
    }
}

/// Where a grant's access token is read.
pub fn token_path(environment: &str, name: &str) -> String {
    format!("{}/token", path(environment, name))
}

/// As long as the path of the secret of the same number.
pub fn name(at: usize) -> String {
    format!("service-{:03}-key-{at:06}", at / 10 % 1_000)
}

fn path(environment: &str, name: &str) -> String {
    format!("/api/v1/connections/{PROJECT}/{environment}/{name}")
}

/// How many of these, as they were imported, were refreshed once since, before their access tokens ran out.
pub fn refreshed_in_time(imported: &[Grant], now: &BTreeMap<String, Grant>) -> Result<u64> {
    let mut in_time = 0;
    for grant in imported {
        let found = now.get(&grant.path);
        let found = found.ok_or_else(|| Failure(format!("{} is gone", grant.path)))?;
        // Both are of one form and one length, so that their order is that of time.
        let before = found.refreshed_at < grant.expires_at;
        in_time += u64::from(found.version == grant.version + 1 && before);
    }
    Ok(in_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_time_is_once_and_before_the_end() {
        let grant = |path: &str, version, refreshed: &str, expires: &str| Grant {
            path: path.to_owned(),
            version,
            expires_at: format!("2026-01-01T00:00:{expires}.000000Z"),
            refreshed_at: format!("2026-01-01T00:00:{refreshed}.000000Z"),
        };
        let imported = ["a", "b", "c", "d"].map(|path| grant(path, 1, "00", "30"));
        let now = [
            grant("a", 2, "29", "59"),
            grant("b", 2, "31", "59"),
            grant("c", 3, "29", "59"),
            grant("d", 1, "00", "30"),
        ];
        let now: BTreeMap<_, _> = now.map(|grant| (grant.path.clone(), grant)).into();
        let in_time = refreshed_in_time(&imported, &now);
        assert_eq!(in_time.expect("all are there"), 1);
        assert!(refreshed_in_time(&[grant("e", 1, "00", "30")], &now).is_err());
    }
}
