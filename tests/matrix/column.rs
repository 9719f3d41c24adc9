//! The callers of the matrix: what each shows, and what each is answered.
//! Scopes are made from a row's own action and resource, so that a new row needs none of its own.
//!
//! Invariant: a caller whose request is expected to be refused is never given more than its name says.

use coffer::crypto::{PlainToken, TokenKind};
use coffer::entropy::SystemEntropy;
use coffer::model::Ttl;

use super::rows::{Kind, Row};
use crate::support::client::Token;
use crate::support::vault::TestVault;

/// How long tokens live that are not to expire.
const LONG: Ttl = Ttl::seconds(7200);
/// How long the token lives that expires.
const SHORT: Ttl = Ttl::seconds(60);
/// Every action there is.
const EVERYTHING: &str = "list,read,write,delete,destroy,rotate,connect,share,manage,audit";

/// Who asks. [`Column::Right`] is the last: only what it asks for is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// No token.
    NoToken,
    /// A token with a wrong check.
    Malformed,
    /// A well-formed token that nobody made.
    Unknown,
    /// A token that could do everything, until it expired.
    Expired,
    /// A token that could do everything, until it was revoked.
    Revoked,
    /// A token that could do everything, whose parent was revoked.
    ParentRevoked,
    /// A token that may do everything in another environment.
    OtherEnvironment,
    /// A token with another action on the same resource.
    OtherAction,
    /// A token that may do everything on the resource but this, by a refusal.
    Refused,
    /// A token whose refusal takes away everything on the resource.
    AllRefused,
    /// A token with exactly the scope.
    Right,
}

/// In the order in which they ask.
pub const COLUMNS: [Column; 11] = [
    Column::NoToken,
    Column::Malformed,
    Column::Unknown,
    Column::Expired,
    Column::Revoked,
    Column::ParentRevoked,
    Column::OtherEnvironment,
    Column::OtherAction,
    Column::Refused,
    Column::AllRefused,
    Column::Right,
];

/// What a request shows.
#[derive(Clone, Debug)]
pub enum Shown {
    /// No token.
    Nothing,
    /// What is no token.
    Malformed(String),
    /// A token.
    Token(Token),
}

/// How a request ends.
pub struct Expected {
    /// The status.
    pub status: u16,
    /// The code, `ok` when it is done.
    pub code: &'static str,
    /// `allowed` or `refused`; nothing when it never reaches the door.
    pub verdict: Option<&'static str>,
}

/// The callers that all rows share.
pub struct Shared {
    expired: Token,
    revoked: Token,
    parent: Token,
    child: Token,
    other_environment: Token,
}

impl Shared {
    /// Makes them, all alive.
    pub async fn make(v: &TestVault) -> Self {
        let everything = format!("{EVERYTHING}:** {EVERYTHING}:sys/**");
        let parent = v.token(&everything, LONG).await;
        Self {
            expired: v.token(&everything, SHORT).await,
            revoked: v.token(&everything, LONG).await,
            child: v.child(&parent, &everything, LONG).await,
            parent,
            other_environment: v
                .token(
                    &format!("{EVERYTHING}:shop/dev/** {EVERYTHING}:payments/dev/**"),
                    LONG,
                )
                .await,
        }
    }

    /// Each of those that shall be dead dies its death, having lived until now.
    pub async fn let_die(&self, v: &TestVault) {
        for token in [&self.expired, &self.revoked, &self.child] {
            v.get("/audit/key", token).await.is(200);
        }
        for token in [&self.revoked, &self.parent] {
            v.delete(&format!("/tokens/{}", token.id), &v.root)
                .await
                .is(204);
        }
        v.advance(SHORT);
    }
}

impl Column {
    /// What this caller shows to this row.
    pub async fn shown(self, row: &Row, shared: &Shared, v: &TestVault) -> Shown {
        let (action, resource) = row.asked();
        let other = if action == "list" { "read" } else { "list" };
        let at = if row.kind == Kind::Reach {
            format!("{resource}/**")
        } else {
            resource.to_owned()
        };
        let scopes = match self {
            Self::NoToken => return Shown::Nothing,
            Self::Malformed => return Shown::Malformed(damaged(&v.root.text)),
            Self::Unknown => return Shown::Token(stranger()),
            Self::Expired => return Shown::Token(shared.expired.clone()),
            Self::Revoked => return Shown::Token(shared.revoked.clone()),
            Self::ParentRevoked => return Shown::Token(shared.child.clone()),
            Self::OtherEnvironment => return Shown::Token(shared.other_environment.clone()),
            Self::OtherAction => format!("{other}:{at}"),
            Self::Refused => format!("{EVERYTHING}:{at} !{action}:{at}"),
            Self::AllRefused => format!("{EVERYTHING}:{at} !{EVERYTHING}:{at}"),
            Self::Right => format!("{action}:{at}"),
        };
        // No scope is for every place at once: these rows are for anyone.
        let scopes = scopes.replace(":*", ":payments");
        Shown::Token(v.token(&scopes, LONG).await)
    }

    /// What this caller is answered by this row.
    pub fn expected(self, row: &Row) -> Expected {
        let done = Expected {
            status: row.done,
            code: "ok",
            verdict: Some("allowed"),
        };
        let counted = |code| Expected {
            status: 401,
            code,
            verdict: None,
        };
        let refused = |status, code| Expected {
            status,
            code,
            verdict: Some("refused"),
        };
        let (hidden, forbidden) = (refused(404, "not-found"), refused(403, "forbidden"));
        match (self, row.kind) {
            (Self::NoToken, _) => counted("token-missing"),
            (Self::Malformed, _) => counted("token-invalid"),
            (Self::Unknown, _) => refused(401, "token-invalid"),
            (Self::Expired, _) => refused(401, "token-expired"),
            (Self::Revoked | Self::ParentRevoked, _) => refused(401, "token-revoked"),
            (Self::Right, _) | (_, Kind::Anyone) => done,
            // Whether a token has a scope to give away is no secret to its bearer.
            (Self::OtherEnvironment | Self::OtherAction, Kind::Child) => forbidden,
            (Self::Refused | Self::AllRefused, Kind::Child | Kind::Reach) => done,
            // Its own environment is in the same project, whose list it may ask for: nothing of others is on it.
            (Self::OtherEnvironment, Kind::Reach) if !row.resource.contains('/') => done,
            (Self::OtherEnvironment | Self::AllRefused, Kind::Exact | Kind::Reach) => hidden,
            (Self::OtherAction | Self::Refused, Kind::Exact | Kind::Reach) => forbidden,
        }
    }
}

/// The same token with its last character changed: the check no longer fits.
pub fn damaged(token: &str) -> String {
    let (begin, last) = token.split_at(token.len() - 1);
    format!("{begin}{}", if last == "0" { "1" } else { "0" })
}

/// A token that no cluster has made.
pub fn stranger() -> Token {
    let plain = PlainToken::generate(&SystemEntropy, TokenKind::App);
    Token {
        text: plain.expose().to_owned(),
        id: String::new(),
    }
}
