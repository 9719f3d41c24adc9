//! Revoking a token: its own holder may, whoever is above it may, and who manages tokens may.
//! Its children need no change: authentication asks every ancestor.
//!
//! Invariant: a request that starts after the answer is refused, by every node.

use super::id_of;
use crate::crypto::PlainToken;
use crate::door::{Access, Caller, Cx, Decision, Operation, View};
use crate::model::{Action, Refusal, Resource, Token, TokenId};
use crate::operations::demand;

/// How a token is named by who revokes it.
pub enum TokenNamed {
    /// By its id.
    Id(TokenId),
    /// By its own text.
    Plain(PlainToken),
}

/// `DELETE /tokens/{id}`
pub struct RevokeToken {
    /// Which one.
    pub token: TokenNamed,
}

impl Operation for RevokeToken {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::Caller;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::TOKENS
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<()>, Refusal> {
        let id = self.id(cx);
        let found = view.find_token(id).await?;
        if !is_own(cx.caller, view, found.as_deref()).await? {
            demand(cx.caller, Action::Manage, &Resource::TOKENS)?;
        }
        let token = found.ok_or(Refusal::NotFound)?;
        let decision = Decision::new(()).status(204).say("coffer.token", id);
        if token.revoked_at.is_some() {
            return Ok(decision);
        }
        decision.put_token(
            cx,
            &Token {
                revoked_at: Some(cx.now),
                ..Token::clone(&token)
            },
        )
    }
}

impl RevokeToken {
    fn id(&self, cx: &Cx<'_>) -> TokenId {
        match &self.token {
            TokenNamed::Id(id) => *id,
            TokenNamed::Plain(plain) => id_of(cx.keys, plain).0,
        }
    }
}

/// Whether a token is the caller's, or below it.
async fn is_own(caller: &Caller, view: &View, token: Option<&Token>) -> Result<bool, Refusal> {
    let Some((own, token)) = caller.token_id().zip(token) else {
        return Ok(false);
    };
    let (mut at, mut above) = (token.id, token.parent);
    for _ in 0..Token::DEPTH_MAX {
        let Some(parent) = above.filter(|_| at != own) else {
            break;
        };
        at = parent;
        above = view
            .find_token(parent)
            .await?
            .and_then(|parent| parent.parent);
    }
    Ok(at == own)
}
