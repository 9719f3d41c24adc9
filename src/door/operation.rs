//! What an operation is: a pure decision over a view, which gives back a reply and its changes as values.
//! It holds no connection and no transaction, so it cannot commit, cannot half-commit and cannot skip its record.
//!
//! Invariant: nothing given to `decide` reaches the store but through the view's look-ups.

use std::future::Future;
use std::sync::Arc;

use super::{Decision, View};
use crate::crypto::Keyring;
use crate::entropy::Entropy;
use crate::model::{Action, Grant, PrincipalId, Refusal, Resource, Timestamp, Token, TokenId};

/// One verb of Coffer: `ReadSecret`, `WriteSecret`, `RevokeToken` …
pub trait Operation: Send + Sync + 'static {
    /// The action that scopes are asked for, and that the record names.
    const ACTION: Action;
    /// How the door authorises it; an exact scope unless the operation says otherwise.
    const ACCESS: Access = Access::Exact;
    /// What the caller gets when the decision is stored.
    type Reply: Send + 'static;

    /// What it is done to: authorised, recorded and counted.
    fn resource(&self) -> Resource<'_>;

    /// Find, refuse, change, reply. It may be called again: chance and ids die with a decision that is not stored.
    fn decide(
        &self,
        cx: &Cx<'_>,
        view: &View,
    ) -> impl Future<Output = Result<Decision<Self::Reply>, Refusal>> + Send;
}

/// How the door authorises an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A scope must allow the action on exactly this resource.
    Exact,
    /// A list: some scope must reach into the resource, and the operation shows only what is allowed.
    Reach,
    /// Any caller with a living token; the operation looks at the grant itself where it matters.
    Caller,
    /// The system alone: no request can name such an operation.
    System,
}

/// What a decision may know besides its view: the instant, chance, keys that seal, and who asks.
pub struct Cx<'a> {
    /// The request's instant.
    pub now: Timestamp,
    /// Where random bytes come from.
    pub entropy: &'a dyn Entropy,
    /// What seals and opens.
    pub keys: &'a Keyring,
    /// Who asks.
    pub caller: &'a Caller,
}

impl Cx<'_> {
    /// Ten random bytes, for an id.
    pub fn id_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

/// Who asks, as far as the door found out.
#[derive(Clone)]
pub enum Caller {
    /// Nobody that is known.
    Unknown,
    /// A part of the system, such as `scheduler`.
    System(&'static str),
    /// The bearer of a token.
    Bearer(Arc<Bearer>),
}

/// The bearer of a living token.
pub struct Bearer {
    /// The token's document.
    pub token: Arc<Token>,
    /// Whom it stands for.
    pub principal: PrincipalId,
    /// How records name the principal.
    pub display: Arc<str>,
    /// What the token, its ancestors and its principal allow together.
    pub grant: Grant,
}

impl Caller {
    /// The bearer, for operations that only a bearer can reach.
    ///
    /// # Errors
    /// The system carries no token.
    pub fn bearer(&self) -> Result<&Bearer, Refusal> {
        match self {
            Self::Bearer(bearer) => Ok(bearer),
            Self::Unknown | Self::System(_) => Err(Refusal::Hidden),
        }
    }

    /// Whether the action is allowed on the resource with this text: for the items of a list.
    pub fn allows(&self, action: Action, resource: &str) -> bool {
        match self {
            Self::Bearer(bearer) => bearer.grant.allows(action, resource),
            Self::System(_) => true,
            Self::Unknown => false,
        }
    }

    /// The token's id, for the record.
    pub fn token_id(&self) -> Option<TokenId> {
        match self {
            Self::Bearer(bearer) => Some(bearer.token.id),
            Self::Unknown | Self::System(_) => None,
        }
    }

    /// The principal's name, for the record.
    pub fn display(&self) -> Option<Arc<str>> {
        match self {
            Self::Unknown => None,
            Self::System(part) => Some(format!("system/{part}").into()),
            Self::Bearer(bearer) => Some(Arc::clone(&bearer.display)),
        }
    }
}
