//! Reading a connection's access token: from memory, at the price of a secret read.
//! Who asks for more life than is left is told to wait, which is no answer yet and leaves no record.
//!
//! Invariant: what is answered opens nothing but the row that is served.

use std::sync::Arc;

use super::{ACCESS_TOKEN, field, find};
use crate::door::{Cx, Decision, KnownConnection, Operation, View};
use crate::model::{
    Action, Patience, Refusal, Resource, SecretName, Standing, Timestamp, Ttl, Value,
};

/// `GET /connections/…/token`
#[derive(Clone, Debug)]
pub struct ReadAccessToken {
    /// Which connection.
    pub name: Arc<SecretName>,
    /// How long the token must still live.
    pub min_ttl: Ttl,
    /// When the request began: a token refreshed since then is served as it is.
    pub since: Timestamp,
    /// Whether it is asked again when there is no such token yet.
    pub patience: Patience,
}

/// An access token.
pub struct FoundToken {
    /// The token itself.
    pub access_token: Value,
    /// `Bearer`, as a rule.
    pub token_type: String,
    /// When it runs out, nothing subtracted.
    pub expires_at: Option<Timestamp>,
    /// What was granted.
    pub granted: Option<String>,
    /// Which set of tokens it is of.
    pub version: u64,
}

impl Operation for ReadAccessToken {
    const ACTION: Action = Action::Read;
    type Reply = FoundToken;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<FoundToken>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let connection = find(view, &place, &self.name).await?;
        if !connection.is_proven() {
            return Err(Refusal::NotFound);
        }
        if !connection.serves(cx.now, self.since, self.min_ttl) {
            return Err(match connection.standing {
                Standing::NeedsReauth(reason) => {
                    Refusal::Conflict("needs-reauth", reason.sentence().to_owned())
                }
                _ => Refusal::Refreshing(self.patience),
            });
        }
        let found = FoundToken::open(view, &connection)?;
        let version = found.version;
        Ok(Decision::new(found).version(version))
    }
}

impl FoundToken {
    fn open(view: &View, connection: &KnownConnection) -> Result<Self, Refusal> {
        let tokens = connection.tokens.as_ref().ok_or(Refusal::Tampered)?;
        let mut fields = view.open_served(connection)?;
        let access_token = fields.take(&field(ACCESS_TOKEN)).ok_or(Refusal::Tampered)?;
        Ok(Self {
            access_token,
            token_type: tokens.token_type.clone(),
            expires_at: tokens.expires_at,
            granted: tokens.granted.clone(),
            version: connection.revision,
        })
    }
}
