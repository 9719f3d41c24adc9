//! OAuth connections: a grant imported, its access token read, the grant refreshed ahead of time, and taken away.
//! A refresh is intended, sent and concluded by three decisions; the call between the last two is made by `jobs`.
//!
//! Invariant: the refresh token and the client's secret leave the store for the provider alone, by `SendRefresh`.

mod conclude;
mod import;
mod list;
mod refresh;
mod remove;
mod token;

pub use conclude::{ConcludeRefresh, Concluded};
pub use import::{BeginImport, Begun, CameTo, GivenGrant, ImportConnection};
pub use list::{After, ConnectionsPage, ListConnections};
pub use refresh::{IntendRefresh, Intended, Outgoing, SendRefresh, Wanted, may_begin};
pub use remove::DeleteConnection;
pub use token::{FoundToken, ReadAccessToken};

use std::sync::Arc;

use crate::door::{Cx, KnownConnection, Place, View};
use crate::model::{
    Attempt, AttemptId, Connection, FieldName, Holder, Reason, Refusal, SecretName, Standing,
    Timestamp,
};

/// The field that holds the access token, in the row that is served.
const ACCESS_TOKEN: &str = "access_token";
/// The field that holds the refresh token, in the row that is kept.
const REFRESH_TOKEN: &str = "refresh_token";
/// The field that holds the client's secret, in the row that is kept.
const CLIENT_SECRET: &str = "client_secret";

fn field(name: &str) -> FieldName {
    name.parse().expect("it is a field's name")
}

/// A connection for who may list it: no token and no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionFacts {
    /// `project/environment/name`.
    pub path: String,
    /// How it fares.
    pub standing: Standing,
    /// Which set of tokens is served.
    pub revision: u64,
    /// What was granted.
    pub granted: Option<String>,
    /// When the access token runs out.
    pub expires_at: Option<Timestamp>,
    /// When it was last refreshed.
    pub refreshed_at: Timestamp,
    /// When it is refreshed next, or tried again.
    pub next_refresh_at: Option<Timestamp>,
    /// What the last refresh failed with.
    pub last_error: Option<String>,
    /// The token endpoint.
    pub token_url: String,
    /// The client.
    pub client_id: String,
    /// When it was imported.
    pub created_at: Timestamp,
}

impl ConnectionFacts {
    /// Nothing of one that is not proven.
    fn of(path: String, connection: &Connection, now: Timestamp) -> Option<Self> {
        let tokens = connection.tokens.as_ref()?;
        Some(Self {
            path,
            standing: connection.standing_at(now),
            revision: connection.revision,
            granted: tokens.granted.clone(),
            expires_at: tokens.expires_at,
            refreshed_at: tokens.refreshed_at,
            next_refresh_at: connection.next_refresh_at(now),
            last_error: connection.last_error.clone(),
            token_url: connection.client.token_url.to_string(),
            client_id: connection.client.client_id.clone(),
            created_at: connection.created_at,
        })
    }

    /// Why a person is needed, if one is.
    pub const fn reason(&self) -> Option<Reason> {
        match self.standing {
            Standing::NeedsReauth(reason) => Some(reason),
            _ => None,
        }
    }
}

/// The connection of this name, proven or not.
async fn find(
    view: &View,
    place: &Place,
    name: &SecretName,
) -> Result<Arc<KnownConnection>, Refusal> {
    let found = view.find_connection(place, &name.path).await?;
    found.ok_or(Refusal::NotFound)
}

/// An attempt that begins now.
fn begin_attempt(cx: &Cx<'_>, holder: Holder) -> Attempt {
    Attempt {
        id: AttemptId::new(cx.now, cx.id_bytes()),
        holder,
        intended_at: cx.now,
        sending_at: None,
    }
}

/// A draw for what is spread.
fn chance(cx: &Cx<'_>) -> u32 {
    let mut bytes = [0; 4];
    cx.entropy.fill(&mut bytes);
    u32::from_be_bytes(bytes)
}
