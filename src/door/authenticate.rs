//! From a token to a caller: the token, every ancestor and the principal, now.
//! All of them are looked up in the same view as the operation's own facts, so a revocation touches the decision.
//!
//! Invariant: a missing document anywhere in the chain refuses; nothing is allowed by absence.

use std::net::IpAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::View;
use super::operation::{Bearer, Caller};
use super::request::{Credential, Request};
use super::shared::Shared;
use super::strangers::Stranger;
use crate::crypto::PlainToken;
use crate::model::{Grant, Refusal, Timestamp, Token, TokenId, TokenProblem};

/// Who asks, or why that cannot be said; with the token's id as far as it is known, for the record.
pub(super) async fn authenticate(
    shared: &Shared,
    request: &Request,
    view: &View,
    now: Timestamp,
) -> Result<Caller, (Refusal, Option<TokenId>)> {
    match &request.credential {
        Credential::System(part) => Ok(Caller::System(part)),
        Credential::Missing => Err((Refusal::Unauthenticated(TokenProblem::Missing), None)),
        Credential::Malformed => Err((Refusal::Unauthenticated(TokenProblem::Invalid), None)),
        Credential::Token(plain) => bearer(shared, (plain, request.source), view, now)
            .await
            .map(Caller::Bearer),
    }
}

/// The id that a token is kept under: the head of its MAC.
pub(super) fn token_id(mac: &[u8; 32]) -> TokenId {
    let mut id = [0; 16];
    id.copy_from_slice(&mac[..16]);
    TokenId::from_bytes(id)
}

async fn bearer(
    shared: &Shared,
    (plain, source): (&PlainToken, Option<IpAddr>),
    view: &View,
    now: Timestamp,
) -> Result<Arc<Bearer>, (Refusal, Option<TokenId>)> {
    let hashed = shared.keys.token_mac().hash(plain);
    let id = token_id(hashed.bytes());
    let same = |token: &Token| bool::from(token.mac.ct_eq(hashed.bytes()));
    if let Some(bearer) = view
        .find_bearer(id, now)
        .filter(|bearer| same(&bearer.token))
    {
        return Ok(bearer);
    }
    // A request that is decided again was counted when it was decided first.
    let first = view.is_cached();
    let too_many = |wait| (Refusal::TooMany(wait), None);
    if first
        && let Some(wait) = shared.strangers.over(source, now)
        && !view.knows_token(id)
    {
        return Err(too_many(wait));
    }
    match resolve(view, id, same, now).await {
        Ok((bearer, until)) => {
            view.keep_bearer(id, Arc::clone(&bearer), until);
            Ok(bearer)
        }
        Err(refused) => {
            let stranger = match &refused.0 {
                Refusal::Unauthenticated(TokenProblem::Invalid) => Stranger::Unknown,
                Refusal::Unauthenticated(_) => Stranger::Dead,
                _ => return Err(refused),
            };
            let over = if first {
                shared.strangers.note(source, stranger, now)
            } else {
                None
            };
            Err(over.map_or(refused, too_many))
        }
    }
}

/// The bearer of the token of this id, and when the first of all that it stands on expires.
async fn resolve(
    view: &View,
    id: TokenId,
    same: impl Fn(&Token) -> bool,
    now: Timestamp,
) -> Result<(Arc<Bearer>, Timestamp), (Refusal, Option<TokenId>)> {
    let invalid = || (Refusal::Unauthenticated(TokenProblem::Invalid), None);
    let named = |refusal| (refusal, Some(id));
    let revoked = || named(Refusal::Unauthenticated(TokenProblem::Revoked));
    let token = view.find_token(id).await.map_err(named)?;
    let token = token.filter(|token| same(token)).ok_or_else(invalid)?;
    alive(&token, now).map_err(named)?;
    let mut lists = vec![Arc::clone(&token.scopes)];
    let (mut above, mut until) = (token.parent, token.expires_at);
    for _ in 0..=Token::DEPTH_MAX {
        let Some(parent) = above else { break };
        let parent = view
            .find_token(parent)
            .await
            .map_err(named)?
            .ok_or_else(revoked)?;
        alive(&parent, now).map_err(named)?;
        lists.push(Arc::clone(&parent.scopes));
        (above, until) = (parent.parent, until.min(parent.expires_at));
    }
    if above.is_some() {
        return Err(named(Refusal::Tampered));
    }
    let principal = view
        .find_principal(token.principal)
        .await
        .map_err(named)?
        .ok_or_else(revoked)?;
    lists.push(Arc::clone(&principal.bindings));
    let bearer = Arc::new(Bearer {
        principal: principal.id,
        display: principal.display().into(),
        token,
        grant: Grant::new(lists),
    });
    Ok((bearer, until))
}

fn alive(token: &Token, now: Timestamp) -> Result<(), Refusal> {
    if token.revoked_at.is_some() {
        return Err(Refusal::Unauthenticated(TokenProblem::Revoked));
    }
    if token.expires_at <= now {
        return Err(Refusal::Unauthenticated(TokenProblem::Expired));
    }
    Ok(())
}
