//! OAuth connections over HTTP: a grant goes in, an access token comes out, and whoever asks for a fresher one waits here.
//! An import is two decisions of its caller with the refresh that proves the grant in between.
//!
//! Invariant: no answer holds a refresh token or a client's secret.

use std::sync::Arc;

use coffer_api as api;
use coffer_api::SecretText;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::call::Asking;
use super::endpoint::{Answered, Asked, Endpoint, named};
use super::limits::{TOKEN_BODY_BYTES_MAX, TOKEN_WAIT_MAX};
use super::once::{Came, Change};
use super::reply::Reply;
use crate::door::Answer;
use crate::model::{ClientAuth, Kept, Patience, ProviderClient, Refusal, Standing, Ttl, Value};
use crate::operations::connections::{
    BeginImport, Begun, CameTo, ConnectionFacts, ConnectionsPage, DeleteConnection, FoundToken,
    GivenGrant, ImportConnection, ListConnections, ReadAccessToken,
};
use crate::operations::once::Ticket;

/// The longest client id, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 1024;
/// The longest list of scopes, in bytes.
const SCOPES_BYTES_MAX: usize = 4096;
const IMPORTS_BUSY: &str =
    "as many imports as this server makes at once are on their way; try again in a moment";

impl Endpoint for ImportConnection {
    const BODY_BYTES_MAX: usize = TOKEN_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: api::ImportConnection = asked.body()?;
        let scopes = body.provider_scopes;
        let client = ProviderClient {
            token_url: named("token URL", &body.token_url)?,
            auth: match body.auth {
                api::ClientAuth::Basic => ClientAuth::Basic,
                api::ClientAuth::Post => ClientAuth::Post,
            },
            client_id: printable("client_id", body.client_id, CLIENT_ID_BYTES_MAX)?,
            scope: scopes
                .map(|scopes| printable("provider_scopes", scopes, SCOPES_BYTES_MAX))
                .transpose()?,
        };
        let secret = body.client_secret.as_ref();
        let grant = GivenGrant {
            client,
            client_secret: secret
                .map(|secret| given("client_secret", secret))
                .transpose()?,
            refresh_token: given("refresh_token", &body.refresh_token)?,
        };
        Ok(Self {
            name: asked.secret()?,
            grant: Arc::new(grant),
            came_to: CameTo::Nothing,
        })
    }

    async fn run(mut self, asking: &mut Asking<'_>) -> Result<Answer<ConnectionFacts>, Refusal> {
        self.came_to = came_to(&self, asking, None).await?;
        asking.decide(self).await
    }

    async fn reply(reply: ConnectionFacts, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&shown(reply)))
    }
}

impl Change for DeleteConnection {}

impl Change for ImportConnection {
    async fn run_once(
        mut self,
        ticket: &Arc<Ticket>,
        asking: &mut Asking<'_>,
    ) -> Result<Answer<Came>, Refusal> {
        self.came_to = came_to(&self, asking, Some(Arc::clone(ticket))).await?;
        asking.decide_once(self, ticket).await
    }
}

/// Begins an import and asks the provider, unless it was begun before with the same ticket.
async fn came_to(
    import: &ImportConnection,
    asking: &Asking<'_>,
    ticket: Option<Arc<Ticket>>,
) -> Result<CameTo, Refusal> {
    let turn = asking.refresher.turn_of_import().await;
    let turn = turn.ok_or(Refusal::Unavailable(IMPORTS_BUSY))?;
    let begin = BeginImport {
        name: import.name.clone(),
        grant: Arc::clone(&import.grant),
        holder: asking.holder(),
        ticket,
    };
    Ok(match asking.decide_first(begin).await?.reply {
        Begun::Now(refreshing) => asking.refresher.prove(refreshing, turn).await,
        Begun::Before(Kept::Begun(id)) => CameTo::Begun(id),
        // It has ended, and its answer is given again.
        Begun::Before(_) => CameTo::Nothing,
    })
}

impl Endpoint for DeleteConnection {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.secret()?,
        })
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(Reply::empty(answered.status))
    }
}

impl Endpoint for ListConnections {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let list = Self {
            place: asked.environment()?,
            after: None,
            limit: Default::default(),
        };
        let (limit, after) = asked.page(&list.listing())?;
        Ok(Self {
            after,
            limit,
            ..list
        })
    }

    fn listing(&self) -> String {
        format!("connections {}", self.place)
    }

    async fn reply(reply: ConnectionsPage, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let list = api::ConnectionList {
            items: reply.items.into_iter().map(shown).collect(),
            next_cursor: answered.cursor(reply.next),
        };
        Ok(answered.json(&list))
    }
}

impl Endpoint for ReadAccessToken {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let what = "a whole number of seconds";
        let min_ttl = asked.query.take_as::<u64>("min_ttl", what)?;
        Ok(Self {
            name: Arc::new(asked.secret()?),
            min_ttl: Ttl::seconds(min_ttl.unwrap_or(0)).min(Ttl::MAX),
            since: asked.door.now(),
            patience: Patience::Waits,
        })
    }

    async fn run(mut self, asking: &mut Asking<'_>) -> Result<Answer<FoundToken>, Refusal> {
        let deadline = Instant::now() + TOKEN_WAIT_MAX;
        loop {
            let decided = asking.decide(self.clone()).await;
            if !matches!(decided, Err(Refusal::Refreshing(Patience::Waits))) {
                return decided;
            }
            let waiting = Box::pin(asking.refresher.freshen(&self, deadline));
            if !waiting.await || Instant::now() >= deadline {
                self.patience = Patience::Over;
            }
        }
    }

    async fn reply(reply: FoundToken, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let text = reply.access_token.expose_owned();
        // A token that is no text was never taken from a provider.
        let mut text = text.map_err(|_| Refusal::Tampered)?;
        let token = api::AccessToken {
            access_token: SecretText::new(std::mem::take(&mut *text)),
            token_type: reply.token_type,
            expires_at: reply.expires_at.map(|at| at.to_string()),
            granted: reply.granted,
            version: reply.version,
        };
        Ok(answered.json(&token))
    }
}

/// Text of printable ASCII, as a client's id and scopes are (RFC 6749, appendix A).
fn printable(what: &str, text: String, bytes_max: usize) -> Result<String, Refusal> {
    let fits = !text.is_empty() && text.len() <= bytes_max;
    if fits && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(text);
    }
    Err(Refusal::Malformed(format!(
        "the key `{what}` takes 1 to {bytes_max} printable ASCII characters"
    )))
}

/// A secret that was given, and not an empty one.
fn given(what: &str, text: &SecretText) -> Result<Value, Refusal> {
    let text = text.expose();
    if text.is_empty() {
        let sentence = format!("the key `{what}` is empty: give it, or leave it out");
        return Err(Refusal::Malformed(sentence));
    }
    Ok(Value::text(Zeroizing::new(text.to_owned())))
}

fn shown(facts: ConnectionFacts) -> api::Connection {
    let reason = facts.reason().map(|reason| reason.sentence().to_owned());
    api::Connection {
        path: facts.path,
        state: match facts.standing {
            Standing::Active => api::ConnectionState::Active,
            Standing::Degraded => api::ConnectionState::Degraded,
            Standing::InDoubt => api::ConnectionState::InDoubt,
            Standing::NeedsReauth(_) => api::ConnectionState::NeedsReauth,
        },
        reason,
        version: facts.revision,
        granted: facts.granted,
        expires_at: facts.expires_at.map(|at| at.to_string()),
        refreshed_at: facts.refreshed_at.to_string(),
        next_refresh_at: facts.next_refresh_at.map(|at| at.to_string()),
        last_error: facts.last_error,
        token_url: facts.token_url,
        client_id: facts.client_id,
        created_at: facts.created_at.to_string(),
    }
}
