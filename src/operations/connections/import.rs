//! Importing a grant: its name is taken and its first refresh intended by one decision; once that refresh is concluded,
//! another says what it came to. Until it is proven a connection is nobody's to see, and a grant that fails is not kept.
//!
//! Invariant: no URL is called before the caller's right to connect here is decided and recorded.

use std::sync::Arc;

use super::{CLIENT_SECRET, ConnectionFacts, REFRESH_TOKEN, begin_attempt, field};
use crate::door::{Cx, Decision, KnownConnection, Living, Operation, Place, View, seal_row};
use crate::model::{
    Action, Attempt, Connection, Fields, Holder, Kept, ProviderClient, Ref, Refreshing, Refusal,
    Resource, SealedRow, SecretId, SecretName, Standing, Value,
};
use crate::operations::once::Ticket;

/// A grant as it was given.
pub struct GivenGrant {
    /// Whom it was given to.
    pub client: ProviderClient,
    /// The client's secret; a public client has none.
    pub client_secret: Option<Value>,
    /// The refresh token.
    pub refresh_token: Value,
}

impl GivenGrant {
    fn kept(&self) -> Fields {
        let mut fields = Fields::default();
        fields.put(field(REFRESH_TOKEN), self.refresh_token.copy());
        if let Some(secret) = &self.client_secret {
            fields.put(field(CLIENT_SECRET), secret.copy());
        }
        fields
    }
}

/// The first step: takes the name, and intends the refresh that proves the grant.
pub struct BeginImport {
    /// The connection's name.
    pub name: SecretName,
    /// The grant.
    pub grant: Arc<GivenGrant>,
    /// Who makes the refresh.
    pub holder: Holder,
    /// By which it is begun once.
    pub ticket: Option<Arc<Ticket>>,
}

/// What became of an import that is to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It is begun: this refresh is to be made.
    Now(Refreshing),
    /// It was begun before, with the same ticket: nobody is called for it again.
    Before(Kept),
}

impl Operation for BeginImport {
    const ACTION: Action = Action::Connect;
    type Reply = Begun;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Begun>, Refusal> {
        if let Some(ticket) = &self.ticket
            && let Some(before) = ticket.find(cx, view).await?
        {
            let (kept, decision) = before.exchange(());
            return Ok(decision.with(Begun::Before(kept)).status(202));
        }
        let place = view.place(&self.name.place).await?;
        refuse_taken(&view.find_living(&place, &self.name.path).await?)?;
        let fields = self.grant.kept();
        fields.check_limits().map_err(Refusal::TooLarge)?;
        let id = SecretId::new(cx.now, cx.id_bytes());
        let (version, kept) = seal_row(cx, &place, (id, &self.name.path), 1, &fields)?;
        let attempt = begin_attempt(cx, self.holder);
        let refreshing = Refreshing {
            name: self.name.clone(),
            connection: id,
            revision: 0,
            attempt: attempt.id,
        };
        let connection = self.connection(cx, id, kept, attempt);
        let decision = Decision::new(Begun::Now(refreshing))
            .status(202)
            .say("coffer.refresh", "intended")
            .put_connection(cx, &place, connection, None)?
            .put_version(version.into_row())
            .touch(Ref::listing(place.environment.id));
        match &self.ticket {
            Some(ticket) => ticket.keep(cx, decision, Kept::Begun(id)),
            None => Ok(decision),
        }
    }
}

impl BeginImport {
    fn connection(
        &self,
        cx: &Cx<'_>,
        id: SecretId,
        kept: SealedRow,
        attempt: Attempt,
    ) -> Connection {
        Connection {
            id,
            path: self.name.path.clone(),
            created_at: cx.now,
            client: self.grant.client.clone(),
            rows: kept.number,
            kept,
            revision: 0,
            tokens: None,
            standing: Standing::Active,
            failures: 0,
            last_error: None,
            refresh_at: None,
            attempt: Some(attempt),
        }
    }
}

fn refuse_taken(living: &Living) -> Result<(), Refusal> {
    let sentence = match living {
        Living::Nothing => return Ok(()),
        Living::Secret(_) => "a secret has this name: delete it first, or use another name",
        Living::Connection(_) => "a connection has this name: remove it first, or use another name",
    };
    Err(Refusal::Conflict("name-taken", sentence.to_owned()))
}

/// `POST /connections/…`: what a begun import came to.
pub struct ImportConnection {
    /// The connection's name.
    pub name: SecretName,
    /// The grant.
    pub grant: Arc<GivenGrant>,
    /// What the refresh that proves it came to.
    pub came_to: CameTo,
}

/// What the first refresh of an import came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CameTo {
    /// It is not known: the import was taken away meanwhile, or its server stopped.
    Nothing,
    /// The grant is good, and kept.
    Proven(SecretId),
    /// Somebody began it with the same ticket; whether it was proven is looked up.
    Begun(SecretId),
    /// The provider refused it, with this code of OAuth's.
    Refused(String),
    /// The provider gave no answer that says anything; one sentence.
    Unproven(String),
}

impl Operation for ImportConnection {
    const ACTION: Action = Action::Connect;
    type Reply = ConnectionFacts;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<ConnectionFacts>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let found = match &self.came_to {
            CameTo::Proven(id) | CameTo::Begun(id) => self.find(view, &place, *id).await?,
            CameTo::Refused(code) => {
                let sentence = format!(
                    "the provider refused the grant ({code}), and nothing was stored: check the client and its secret, or give the grant again"
                );
                return Err(Refusal::Conflict("grant-refused", sentence));
            }
            CameTo::Unproven(why) => {
                let sentence =
                    format!("the grant could not be proven, and nothing was stored. {why}");
                return Err(Refusal::Conflict("grant-unproven", sentence));
            }
            CameTo::Nothing => None,
        };
        let facts = found
            .as_ref()
            .and_then(|found| ConnectionFacts::of(self.name.text(), found, cx.now));
        let facts = facts.ok_or_else(|| match (&self.came_to, found) {
            (CameTo::Begun(_), Some(_)) => {
                Refusal::Conflict("idempotency-key-in-use", UNDER_WAY.to_owned())
            }
            _ => Refusal::Conflict("grant-unproven", NOT_CARRIED_THROUGH.to_owned()),
        })?;
        let revision = facts.revision;
        Ok(Decision::new(facts).status(201).version(revision))
    }
}

impl ImportConnection {
    /// The connection that it made, proven or not.
    async fn find(
        &self,
        view: &View,
        place: &Place,
        id: SecretId,
    ) -> Result<Option<Arc<KnownConnection>>, Refusal> {
        let found = view.find_connection(place, &self.name.path).await?;
        Ok(found.filter(|connection| connection.id == id))
    }
}

const UNDER_WAY: &str = "the import that was begun with this Idempotency-Key is still on its way: ask again with it in a moment, or look whether the connection is there";
const NOT_CARRIED_THROUGH: &str = "the import was not carried through: look whether the connection is there, and import again if not";
