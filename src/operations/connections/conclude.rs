//! The last step of a refresh: what the provider answered becomes the connection's.
//! Tokens are kept however late they come, as long as no others were stored meanwhile: they are the only living ones.
//!
//! Invariant: tokens are guarded by the revision they replace, and anything else by the attempt it belongs to.

use std::sync::Arc;

use super::refresh::next_try;
use super::{ACCESS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, chance, field};
use crate::door::{Access, Cx, Decision, KnownConnection, Operation, Place, View, seal_row};
use crate::model::{
    Action, Connection, DOUBT_TTL, Exchange, Fields, LifetimeSource, Reason, Ref, Refreshing,
    Refusal, RefusedClass, Resource, SealedRow, Standing, Timestamp, TokenAnswer, TokenSet, Ttl,
    refresh_at,
};

/// Concludes an attempt.
#[derive(Clone)]
pub struct ConcludeRefresh {
    /// The attempt.
    pub refreshing: Refreshing,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// What became of it.
    pub exchange: Arc<Exchange>,
}

/// What a conclusion came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Concluded {
    /// The connection serves new tokens.
    Refreshed,
    /// The provider refused, with this code.
    Refused(String),
    /// The provider gave no answer that says anything; one sentence.
    Failed(String),
    /// The connection is gone, or has gone on without this attempt.
    Superseded,
}

impl Operation for ConcludeRefresh {
    const ACTION: Action = Action::Connect;
    const ACCESS: Access = Access::System;
    type Reply = Concluded;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.refreshing.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Concluded>, Refusal> {
        let Some((place, found)) = self.find(view).await? else {
            return Ok(superseded());
        };
        if let Exchange::Tokens(answer) = &*self.exchange {
            return self.refreshed(cx, view, &place, &found, answer).await;
        }
        let own = found.attempt.map(|attempt| attempt.id) == Some(self.refreshing.attempt);
        if !own {
            return Ok(superseded());
        }
        let concluded = self.failure();
        if !found.is_proven() {
            return Ok(Decision::new(concluded)
                .say("coffer.refresh", "not proven")
                .say("coffer.error", self.error())
                .drop_connection(&place, &found)
                .touch(Ref::listing(place.environment.id)));
        }
        let connection = self.failed(cx, &found);
        Decision::new(concluded)
            .say("coffer.refresh", word(connection.standing))
            .say("coffer.error", self.error())
            .put_connection(cx, &place, connection, found.served().cloned())
    }
}

fn superseded() -> Decision<Concluded> {
    Decision::new(Concluded::Superseded).say("coffer.refresh", "superseded")
}

/// How a connection fares after a failure, in the record.
const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active | Standing::Degraded => "failed",
        Standing::InDoubt => "in doubt",
        Standing::NeedsReauth(_) => "needs reauth",
    }
}

impl ConcludeRefresh {
    /// The connection, if it is the same and serves the same tokens as when the attempt began.
    async fn find(
        &self,
        view: &View,
    ) -> Result<Option<(Arc<Place>, Arc<KnownConnection>)>, Refusal> {
        let name = &self.refreshing.name;
        let place = match view.place(&name.place).await {
            Err(Refusal::NotFound) => return Ok(None),
            place => place?,
        };
        let found = view.find_connection(&place, &name.path).await?;
        let same = found.filter(|found| {
            found.id == self.refreshing.connection && found.revision == self.refreshing.revision
        });
        Ok(same.map(|found| (place, found)))
    }

    /// New tokens, and with them the end of whatever was in doubt.
    async fn refreshed(
        &self,
        cx: &Cx<'_>,
        view: &View,
        place: &Place,
        found: &KnownConnection,
        answer: &TokenAnswer,
    ) -> Result<Decision<Concluded>, Refusal> {
        let mut connection = Connection::clone(found);
        let mut next_row = |fields: &Fields| {
            connection.rows += 1;
            seal_row(cx, place, found.owner(), connection.rows, fields)
        };
        let mut fields = Fields::default();
        fields.put(field(ACCESS_TOKEN), answer.access_token.copy());
        let (served, row) = next_row(&fields)?;
        let kept = match self.kept(view, place, found, answer).await? {
            Some(fields) => Some(next_row(&fields)?),
            None => None,
        };
        let old_served = found.tokens.as_ref().map(|tokens| tokens.row.id);
        let old_kept = kept.as_ref().map(|_| found.kept.id);
        let tokens = TokenSet::of(cx.now, self.sent_at, answer, found, row);
        connection.refresh_at = Some(refresh_at(self.sent_at, tokens.lifetime, chance(cx)));
        connection.tokens = Some(tokens);
        connection.revision += 1;
        connection.standing = Standing::Active;
        connection.failures = 0;
        connection.last_error = None;
        connection.attempt = None;
        let revision = connection.revision;
        let mut decision = Decision::new(Concluded::Refreshed)
            .version(revision)
            .say("coffer.refresh", "refreshed");
        if let Some((version, named)) = kept {
            connection.kept = named;
            decision = decision.put_version(version.into_row());
        }
        let decision = decision.put_version(served.row().clone());
        let decision = decision.drop_versions(old_served.into_iter().chain(old_kept));
        let decision = decision.put_connection(cx, place, connection, Some(served.into_known()))?;
        Ok(if found.is_proven() {
            decision
        } else {
            // From now on it is there for others to see.
            decision.touch(Ref::listing(place.environment.id))
        })
    }

    /// What is to be kept from now on: the new refresh token beside the client's secret; nothing new without one.
    async fn kept(
        &self,
        view: &View,
        place: &Place,
        found: &KnownConnection,
        answer: &TokenAnswer,
    ) -> Result<Option<Fields>, Refusal> {
        let Some(refresh_token) = &answer.refresh_token else {
            return Ok(None);
        };
        let mut old = view.open_kept(place, found).await?;
        let mut fields = Fields::default();
        fields.put(field(REFRESH_TOKEN), refresh_token.copy());
        if let Some(secret) = old.take(&field(CLIENT_SECRET)) {
            fields.put(field(CLIENT_SECRET), secret);
        }
        Ok(Some(fields))
    }

    /// The connection after anything else.
    fn failed(&self, cx: &Cx<'_>, found: &KnownConnection) -> Connection {
        let mut connection = Connection::clone(found);
        connection.attempt = None;
        connection.failures = found.failures.saturating_add(1);
        connection.last_error = Some(self.error());
        let doubted = found.standing == Standing::InDoubt;
        let asked = match &*self.exchange {
            Exchange::Busy { retry_after, .. } => *retry_after,
            _ => None,
        };
        match self.reason(doubted) {
            Some(reason) => {
                connection.standing = Standing::NeedsReauth(reason);
                connection.refresh_at = None;
            }
            None if matches!(*self.exchange, Exchange::Doubtful { .. }) => {
                connection.standing = Standing::InDoubt;
                let at = next_try(cx, &connection, connection.failures, None);
                // One try when nothing is left to serve; those after it are far apart.
                let apart = if doubted { DOUBT_TTL } else { Ttl::seconds(0) };
                connection.refresh_at = Some(at.max(cx.now.after(apart)));
            }
            None => {
                if !doubted {
                    connection.standing = Standing::Degraded;
                }
                let at = next_try(cx, &connection, connection.failures, asked);
                connection.refresh_at = Some(at);
            }
        }
        connection
    }

    /// Why a person is needed, if the provider said so.
    fn reason(&self, doubted: bool) -> Option<Reason> {
        match &*self.exchange {
            Exchange::Refused { class, .. } => Reason::of(*class, doubted),
            _ => None,
        }
    }

    /// A failure, for who waits.
    fn failure(&self) -> Concluded {
        match &*self.exchange {
            Exchange::Refused { code, .. } => Concluded::Refused(code.clone()),
            _ => Concluded::Failed(self.error()),
        }
    }

    /// What went wrong, one sentence.
    fn error(&self) -> String {
        match &*self.exchange {
            Exchange::Tokens(_) => String::new(),
            Exchange::Refused { class, code } => {
                let about = match class {
                    RefusedClass::Grant => "the grant",
                    RefusedClass::Client => "the client",
                    RefusedClass::Consent => "to go on without the user",
                };
                format!("The provider refused {about} ({code}).")
            }
            Exchange::NotSent { why } | Exchange::Busy { why, .. } | Exchange::Doubtful { why } => {
                why.clone()
            }
        }
    }
}

impl TokenSet {
    /// The tokens of an answer. What it does not say is as it was before.
    fn of(
        now: Timestamp,
        sent_at: Timestamp,
        answer: &TokenAnswer,
        before: &Connection,
        row: SealedRow,
    ) -> Self {
        let last = before.tokens.as_ref();
        let earlier = last.and_then(|tokens| tokens.lifetime);
        let (lifetime, lifetime_from) = match (answer.lifetime, earlier) {
            (None, Some(earlier)) => (Some(earlier), LifetimeSource::Earlier),
            (lifetime, _) => (lifetime, answer.lifetime_from),
        };
        let granted = answer.scope.clone();
        let granted = granted.or_else(|| last.and_then(|tokens| tokens.granted.clone()));
        Self {
            row,
            token_type: answer.token_type.clone(),
            // Without a word the provider grants what was asked for (RFC 6749, 5.1).
            granted: granted.or_else(|| before.client.scope.clone()),
            sent_at,
            refreshed_at: now,
            expires_at: lifetime.map(|lifetime| sent_at.after(lifetime)),
            lifetime,
            lifetime_from,
        }
    }
}
