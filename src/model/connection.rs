//! A connection's document: an OAuth grant of one account at one provider, how it fares, and the attempt to refresh it.
//! Its tokens are two rows of their own, one that is served and one that is kept, so that serving never opens the grant.
//!
//! Invariant: each new set of tokens raises the revision, and nothing else does.

use serde::{Deserialize, Serialize};

use super::secret::base64_bytes;
use super::{
    Attempt, ClientAuth, LifetimeSource, RefusedClass, SecretId, SecretPath, Timestamp, TokenUrl,
    Ttl, VersionEntry, VersionId,
};

/// A sealed row, as the document that owns it names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRow {
    /// Its number among all rows of its owner, from 1; sealed into it.
    pub number: u64,
    /// The row.
    pub id: VersionId,
    /// SHA-256 of its sealed bytes.
    #[serde(with = "base64_bytes")]
    pub digest: [u8; 32],
}

impl From<&VersionEntry> for SealedRow {
    fn from(entry: &VersionEntry) -> Self {
        Self {
            number: entry.number,
            id: entry.id,
            digest: entry.digest,
        }
    }
}

/// The client that the grant was given to, and where it is refreshed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderClient {
    /// The token endpoint.
    pub token_url: TokenUrl,
    /// How the client proves who it is.
    pub auth: ClientAuth,
    /// The client.
    pub client_id: String,
    /// What each refresh asks for; without it, what was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The tokens that are served, all but the token itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSet {
    /// The row that holds the access token.
    pub row: SealedRow,
    /// `Bearer`, as a rule.
    pub token_type: String,
    /// What was granted, if the provider ever said.
    pub granted: Option<String>,
    /// When the request that brought it was sent.
    pub sent_at: Timestamp,
    /// When it was stored.
    pub refreshed_at: Timestamp,
    /// When it runs out, if that is known.
    pub expires_at: Option<Timestamp>,
    /// How long it lives, if that is known.
    pub lifetime: Option<Ttl>,
    /// Who says so.
    pub lifetime_from: LifetimeSource,
}

/// How a connection fares, as stored; an attempt whose answer is overdue is in doubt besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Refreshed ahead of time.
    Active,
    /// The last refresh failed, and is tried again.
    Degraded,
    /// The answer to a refresh was lost: the refresh token may be spent.
    InDoubt,
    /// Only a person can help.
    NeedsReauth(Reason),
}

/// Why a person is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The provider does not take the refresh token any more.
    RefreshRejected,
    /// The answer to an earlier refresh was lost, and the provider did not take the old refresh token again.
    LostRotation,
    /// The user has to agree again.
    ConsentRequired,
}

impl Reason {
    /// One sentence: what happened, and what to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::RefreshRejected => {
                "The provider no longer takes the refresh token (invalid_grant): remove the connection, give the grant again and import it."
            }
            Self::LostRotation => {
                "The answer to a refresh was lost, and the provider no longer takes the refresh token (invalid_grant): remove the connection, give the grant again and import it."
            }
            Self::ConsentRequired => {
                "The provider asks the user to agree again: remove the connection, give the grant again and import it."
            }
        }
    }

    /// Why a refusal of this class needs a person; a client's own trouble does not.
    pub const fn of(class: RefusedClass, in_doubt: bool) -> Option<Self> {
        match class {
            RefusedClass::Grant if in_doubt => Some(Self::LostRotation),
            RefusedClass::Grant => Some(Self::RefreshRejected),
            RefusedClass::Consent => Some(Self::ConsentRequired),
            RefusedClass::Client => None,
        }
    }
}

/// A connection's sealed document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its id, of the same space as those of secrets.
    pub id: SecretId,
    /// Its name, a path of one part.
    pub path: SecretPath,
    /// When it was imported.
    pub created_at: Timestamp,
    /// Whom the grant was given to.
    pub client: ProviderClient,
    /// Rows sealed so far: the number of the newest.
    pub rows: u64,
    /// The row that is kept: the refresh token and the client's secret.
    pub kept: SealedRow,
    /// Which set of tokens is served; 0 while the grant is not proven.
    pub revision: u64,
    /// The tokens that are served; none while the grant is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSet>,
    /// How it fares.
    pub standing: Standing,
    /// Failures since the last set of tokens.
    pub failures: u32,
    /// What the last one was, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is refreshed next, or tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_at: Option<Timestamp>,
    /// The refresh that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

impl Connection {
    /// Whose rows its tokens are.
    pub const fn owner(&self) -> (SecretId, &SecretPath) {
        (self.id, &self.path)
    }

    /// When the access token that is served runs out: a day after it was asked for when nobody says, at the beginning of
    /// time when there is none.
    pub fn ran_out_at(&self) -> Timestamp {
        let known = self.tokens.as_ref().map(|tokens| {
            let unsaid = tokens.sent_at.after(Ttl::days(1));
            tokens.expires_at.unwrap_or(unsaid)
        });
        known.unwrap_or(Timestamp::from_micros(0))
    }

    /// When somebody should look at it; never when only a person can help.
    pub fn due(&self) -> Option<Timestamp> {
        match &self.attempt {
            Some(attempt) => Some(attempt.due(self.ran_out_at())),
            None => self.refresh_at,
        }
    }

    /// When it is refreshed next, or tried again; nothing while a refresh is on its way.
    pub fn next_refresh_at(&self, now: Timestamp) -> Option<Timestamp> {
        let calling = self
            .attempt
            .is_some_and(|attempt| !attempt.is_in_doubt(now));
        self.due().filter(|_| !calling)
    }

    /// How it fares at `now`.
    pub fn standing_at(&self, now: Timestamp) -> Standing {
        let doubted = self.attempt.is_some_and(|attempt| attempt.is_in_doubt(now));
        if doubted {
            Standing::InDoubt
        } else {
            self.standing
        }
    }

    /// Whether the grant is proven: before that it is nobody's to see.
    pub const fn is_proven(&self) -> bool {
        self.tokens.is_some()
    }

    /// The rows that it names.
    pub fn rows(&self) -> impl Iterator<Item = &SealedRow> {
        let served = self.tokens.as_ref().map(|tokens| &tokens.row);
        std::iter::once(&self.kept).chain(served)
    }

    /// Names another row in the place of this one.
    pub fn replace_row(&mut self, old: VersionId, new: &SealedRow) {
        let served = self.tokens.as_mut().map(|tokens| &mut tokens.row);
        let mut rows = std::iter::once(&mut self.kept).chain(served);
        if let Some(row) = rows.find(|row| row.id == old) {
            row.clone_from(new);
        }
    }

    /// Whether the token that is served serves who asks for `min_ttl` of life at `now`, having begun to ask at `since`.
    /// One that was refreshed since then is served as it is: there is no better.
    pub fn serves(&self, now: Timestamp, since: Timestamp, min_ttl: Ttl) -> bool {
        let Some(tokens) = &self.tokens else {
            return false;
        };
        let lives = match tokens.expires_at {
            Some(at) => at > now && at >= now.after(min_ttl),
            // Nobody knows its end: until a person is needed it is as good as any.
            None => !matches!(self.standing, Standing::NeedsReauth(_)),
        };
        lives || tokens.refreshed_at >= since
    }
}
