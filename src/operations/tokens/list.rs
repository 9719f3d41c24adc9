//! Showing tokens: who manages them sees all, everybody else their own and its living children.
//! Ids, scopes and times; never a token's text or its MAC.
//!
//! Invariant: a token is called revoked when it, or any ancestor, is revoked or missing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::door::{Access, Cx, Decision, Operation, View};
use crate::model::{Action, PrincipalId, Refusal, Resource, Scope, Timestamp, Token, TokenId};
use crate::operations::{PageSize, demand};

/// `GET /tokens`
#[derive(Default)]
pub struct ListTokens {
    /// Behind what an earlier page ended with.
    pub after: Option<TokenId>,
    /// How much at once.
    pub limit: PageSize,
}

/// One page of tokens.
#[derive(Debug)]
pub struct TokensPage {
    /// By id; without `manage`, the caller's own comes first, beyond the limit.
    pub tokens: Vec<TokenFacts>,
    /// Where the next page begins, if there is one.
    pub next: Option<TokenId>,
}

/// What may be told of a token.
#[derive(Clone, Debug)]
pub struct TokenFacts {
    /// Its id.
    pub id: TokenId,
    /// Whom it stands for, as records name it; `-` when the principal is gone.
    pub principal: Arc<str>,
    /// The token it dies with.
    pub parent: Option<TokenId>,
    /// What it may do.
    pub scopes: Arc<[Scope]>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// Whether it or an ancestor is revoked.
    pub revoked: bool,
}

impl Operation for ListTokens {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::Caller;
    type Reply = TokensPage;

    fn resource(&self) -> Resource<'_> {
        Resource::TOKENS
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<TokensPage>, Refusal> {
        let (limit, ask) = (self.limit.items() as usize, self.limit.items() + 1);
        let all = demand(cx.caller, Action::Manage, &Resource::TOKENS).is_ok();
        let mut found = if all {
            view.list_tokens(self.after.map_or([0; 16], |id| *id.as_bytes()), ask)
                .await?
        } else {
            view.list_children(cx.caller.bearer()?.token.id, self.after, ask)
                .await?
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|token| token.id).filter(|_| more);
        if !all && self.after.is_none() {
            found.insert(0, Token::clone(&cx.caller.bearer()?.token));
        }
        let tokens = Teller::default().tell(view, &found).await?;
        Ok(Decision::new(TokensPage { tokens, next }))
    }
}

/// `GET /tokens/self`
pub struct ReadOwnToken;

impl Operation for ReadOwnToken {
    const ACTION: Action = Action::List;
    const ACCESS: Access = Access::Caller;
    type Reply = TokenFacts;

    fn resource(&self) -> Resource<'_> {
        Resource::SELF
    }

    async fn decide(&self, cx: &Cx<'_>, _: &View) -> Result<Decision<TokenFacts>, Refusal> {
        let bearer = cx.caller.bearer()?;
        Ok(Decision::new(TokenFacts::of(
            &bearer.token,
            Arc::clone(&bearer.display),
            false,
        )))
    }
}

impl TokenFacts {
    fn of(token: &Token, principal: Arc<str>, revoked: bool) -> Self {
        Self {
            id: token.id,
            principal,
            parent: token.parent,
            scopes: Arc::clone(&token.scopes),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked,
        }
    }
}

/// Tells of a page of tokens, and asks for each ancestor and principal once: each is a ref of the decision.
#[derive(Default)]
struct Teller {
    ancestors: HashMap<TokenId, Option<Arc<Token>>>,
    principals: HashMap<PrincipalId, Arc<str>>,
}

impl Teller {
    async fn tell(mut self, view: &View, tokens: &[Token]) -> Result<Vec<TokenFacts>, Refusal> {
        let mut told = Vec::with_capacity(tokens.len());
        for token in tokens {
            let principal = self.principal(view, token.principal).await?;
            let revoked = self.is_revoked(view, token).await?;
            told.push(TokenFacts::of(token, principal, revoked));
        }
        Ok(told)
    }

    async fn principal(&mut self, view: &View, id: PrincipalId) -> Result<Arc<str>, Refusal> {
        if let Some(display) = self.principals.get(&id) {
            return Ok(Arc::clone(display));
        }
        let found = view.find_principal(id).await?;
        let display: Arc<str> =
            found.map_or_else(|| "-".into(), |principal| principal.display().into());
        self.principals.insert(id, Arc::clone(&display));
        Ok(display)
    }

    async fn is_revoked(&mut self, view: &View, token: &Token) -> Result<bool, Refusal> {
        let mut revoked = token.revoked_at.is_some();
        let mut above = token.parent;
        for _ in 0..Token::DEPTH_MAX {
            let Some(id) = above.filter(|_| !revoked) else {
                break;
            };
            let parent = match self.ancestors.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(slot) => slot.insert(view.find_token(id).await?),
            };
            let parent = parent.as_deref();
            revoked = parent.is_none_or(|parent| parent.revoked_at.is_some());
            above = parent.and_then(|parent| parent.parent);
        }
        Ok(revoked)
    }
}
