//! The first two steps of a refresh: it is intended, and then it is said that it is about to be sent.
//! Each is guarded by the attempt in the connection's own document, so that of two nodes one goes on.
//!
//! Invariant: the grant is opened only by the commit after which it may leave.

use super::{CLIENT_SECRET, REFRESH_TOKEN, begin_attempt, chance, field, find};
use crate::door::{Access, Cx, Decision, KnownConnection, Operation, View};
use crate::model::{
    Action, Attempt, Connection, INTENT_TTL, Patience, ProviderClient, Ref, Refreshing, Refusal,
    Resource, Runner, SecretName, Standing, Timestamp, Ttl, Value,
};

/// Between two refreshes of one connection that somebody asks for: a provider is not hammered through us.
const DEMANDS_APART: Ttl = Ttl::seconds(1);

/// Why a refresh is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// It is due.
    Due,
    /// Somebody waits for tokens in place of those of this revision.
    InsteadOf(u64),
}

/// Intends a refresh, if it may begin now.
#[derive(Clone)]
pub struct IntendRefresh {
    /// Which connection.
    pub name: SecretName,
    /// Who is to make it.
    pub runner: Runner,
    /// Why.
    pub wanted: Wanted,
}

/// What became of an intention.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Intended {
    /// It is this attempt's turn.
    Attempt(Refreshing),
    /// It was an import whose server is gone and whose grant was never proven: nothing of it is kept.
    Dropped,
}

impl Operation for IntendRefresh {
    const ACTION: Action = Action::Connect;
    const ACCESS: Access = Access::System;
    type Reply = Intended;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Intended>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let found = find(view, &place, &self.name).await?;
        if !may_begin(&found, cx.now, self.runner, self.wanted) {
            return Err(Refusal::Refreshing(Patience::Waits));
        }
        if !found.is_proven() {
            return Ok(Decision::new(Intended::Dropped)
                .say("coffer.refresh", "import given up")
                .drop_connection(&place, &found)
                .touch(Ref::listing(place.environment.id)));
        }
        let attempt = begin_attempt(cx, self.runner.holder);
        let refreshing = Refreshing {
            name: self.name.clone(),
            connection: found.id,
            revision: found.revision,
            attempt: attempt.id,
        };
        let doubted = found.attempt.is_some_and(|last| last.sending_at.is_some());
        let connection = Connection {
            attempt: Some(attempt),
            standing: if doubted {
                Standing::InDoubt
            } else {
                found.standing
            },
            ..Connection::clone(&found)
        };
        Decision::new(Intended::Attempt(refreshing))
            .say("coffer.refresh", "intended")
            .put_connection(cx, &place, connection, found.served().cloned())
    }
}

/// Whether a refresh may begin now: no attempt is in the way, and it is due, or wanted and not just made.
pub fn may_begin(connection: &Connection, now: Timestamp, runner: Runner, wanted: Wanted) -> bool {
    if let Some(attempt) = &connection.attempt {
        return attempt.gives_way(now, runner, connection.ran_out_at());
    }
    let due = connection.refresh_at.is_some_and(|at| at <= now);
    match (connection.standing, wanted) {
        (Standing::NeedsReauth(_), _) => false,
        (_, Wanted::InsteadOf(revision)) if revision != connection.revision => false,
        (Standing::Active, Wanted::InsteadOf(_)) => connection
            .tokens
            .as_ref()
            .is_none_or(|tokens| tokens.refreshed_at.after(DEMANDS_APART) <= now),
        _ => due,
    }
}

/// Says that an attempt is about to be sent, and gives what it sends.
pub struct SendRefresh {
    /// The attempt.
    pub refreshing: Refreshing,
}

/// What is sent.
pub struct Outgoing {
    /// Where to, and for whom.
    pub client: ProviderClient,
    /// The client's secret; a public client has none.
    pub client_secret: Option<Value>,
    /// The refresh token.
    pub refresh_token: Value,
    /// When it is sent: lifetimes count from here.
    pub sent_at: Timestamp,
}

impl Operation for SendRefresh {
    const ACTION: Action = Action::Connect;
    const ACCESS: Access = Access::System;
    type Reply = Outgoing;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.refreshing.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Outgoing>, Refusal> {
        let place = view.place(&self.refreshing.name.place).await?;
        let found = find(view, &place, &self.refreshing.name).await?;
        let attempt = self
            .own_attempt(&found, cx.now)
            .ok_or(Refusal::Refreshing(Patience::Waits))?;
        let mut kept = view.open_kept(&place, &found).await?;
        let outgoing = Outgoing {
            client: found.client.clone(),
            client_secret: kept.take(&field(CLIENT_SECRET)),
            refresh_token: kept.take(&field(REFRESH_TOKEN)).ok_or(Refusal::Tampered)?,
            sent_at: cx.now,
        };
        let connection = Connection {
            attempt: Some(Attempt {
                sending_at: Some(cx.now),
                ..attempt
            }),
            ..Connection::clone(&found)
        };
        Decision::new(outgoing)
            .say("coffer.refresh", "sending")
            .put_connection(cx, &place, connection, found.served().cloned())
    }
}

impl SendRefresh {
    /// The attempt, if it still stands, was not sent yet and has time left.
    fn own_attempt(&self, found: &KnownConnection, now: Timestamp) -> Option<Attempt> {
        let attempt = found.attempt.filter(|attempt| {
            attempt.id == self.refreshing.attempt && found.id == self.refreshing.connection
        })?;
        let in_time = attempt.sending_at.is_none() && attempt.intended_at.after(INTENT_TTL) > now;
        in_time.then_some(attempt)
    }
}

/// When the next try may be made after a failure.
pub(super) fn next_try(
    cx: &Cx<'_>,
    connection: &Connection,
    failures: u32,
    asked: Option<Ttl>,
) -> Timestamp {
    let at = crate::model::retry_at(cx.now, failures, asked, chance(cx));
    // A client that is not taken, or a provider that is busy, costs nothing but the wait.
    match connection.standing {
        Standing::InDoubt => at.max(connection.ran_out_at()),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AttemptId, BootId, ClientAuth, Holder, LifetimeSource, Reason, SealedRow, SecretId,
        StreamId, TokenSet, VersionId,
    };

    const HERE: Runner = Runner {
        holder: Holder {
            stream: StreamId::from_bytes([1; 16]),
            boot: BootId::from_bytes([1; 16]),
        },
        before: None,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).after(Ttl::seconds(seconds))
    }

    /// Refreshed at 100, runs out at 1,000, due at 800.
    fn connection(standing: Standing) -> Connection {
        let row = SealedRow {
            number: 1,
            id: VersionId::from_bytes([1; 16]),
            digest: [0; 32],
        };
        let url = "https://provider.example/token";
        Connection {
            id: SecretId::from_bytes([1; 16]),
            path: "grant".parse().expect("a path"),
            created_at: at(0),
            client: ProviderClient {
                token_url: url.parse().expect("a URL"),
                auth: ClientAuth::Basic,
                client_id: "client".to_owned(),
                scope: None,
            },
            rows: 2,
            kept: row.clone(),
            revision: 3,
            tokens: Some(TokenSet {
                row,
                token_type: "Bearer".to_owned(),
                granted: None,
                sent_at: at(100),
                refreshed_at: at(100),
                expires_at: Some(at(1_000)),
                lifetime: Some(Ttl::seconds(900)),
                lifetime_from: LifetimeSource::ExpiresIn,
            }),
            standing,
            failures: 0,
            last_error: None,
            refresh_at: Some(at(800)),
            attempt: None,
        }
    }

    #[test]
    fn a_refresh_begins_when_it_is_due_or_wanted_and_never_twice_a_second() {
        let may = |standing, now, wanted| may_begin(&connection(standing), at(now), HERE, wanted);
        let wanted = Wanted::InsteadOf(3);
        assert!(!may(Standing::Active, 799, Wanted::Due));
        assert!(may(Standing::Active, 800, Wanted::Due));
        assert!(!may(Standing::Active, 100, wanted) && may(Standing::Active, 101, wanted));
        assert!(
            !may(Standing::Active, 101, Wanted::InsteadOf(2)),
            "it was refreshed meanwhile"
        );
        for waiting in [Standing::Degraded, Standing::InDoubt] {
            assert!(
                !may(waiting, 799, wanted),
                "whoever waits does not shorten the wait"
            );
            assert!(may(waiting, 800, wanted) && may(waiting, 800, Wanted::Due));
        }
        let over = Standing::NeedsReauth(Reason::RefreshRejected);
        assert!(!may(over, 5_000, wanted) && !may(over, 5_000, Wanted::Due));
    }

    #[test]
    fn one_attempt_at_a_time_may_begin() {
        let mut connection = connection(Standing::Active);
        let mut attempt = Attempt {
            id: AttemptId::from_bytes([1; 16]),
            holder: HERE.holder,
            intended_at: at(800),
            sending_at: None,
        };
        connection.attempt = Some(attempt);
        assert!(!may_begin(&connection, at(809), HERE, Wanted::Due));
        assert!(may_begin(&connection, at(810), HERE, Wanted::Due));
        attempt.sending_at = Some(at(801));
        connection.attempt = Some(attempt);
        assert!(
            !may_begin(&connection, at(1_400), HERE, Wanted::Due),
            "within ten minutes"
        );
        assert!(may_begin(&connection, at(1_401), HERE, Wanted::Due));
    }
}
