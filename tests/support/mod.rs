//! What stories stand on: databases, a vault over the real HTTP door, built servers, a proxy and a provider of grants that
//! fail on demand.
//! Nothing in here stands in for a part of Coffer; what is replaced is the world around it.
//!
//! Invariant: whatever a test starts ends with the test binary, also when it is killed.

pub mod built;
pub mod canary;
pub mod certificate;
pub mod client;
pub mod cluster;
pub mod described;
pub mod history;
pub mod left;
pub mod memory;
pub mod node;
pub mod oidc;
pub mod postgres;
pub mod provider;
pub mod proxy;
pub mod records;
pub mod scrape;
pub mod vault;

use std::time::Duration;

/// The longest that anything here is waited for. Generous: it ends tests that hang, and times none that pass.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one look at a condition to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `seen` gives something, and gives it back.
///
/// # Panics
/// When nothing was seen after [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut seen: impl FnMut() -> F,
) -> T {
    let looking = async {
        loop {
            if let Some(found) = seen().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(found) => found,
        Err(_) => panic!("not seen within {} s: {what}", PATIENCE.as_secs()),
    }
}
