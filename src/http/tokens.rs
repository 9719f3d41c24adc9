//! Tokens over HTTP: scopes parsed one by one, the text shown once.
//! A token is named by its id alone; its text has no place in a URL.
//!
//! Invariant: only the answer to making a token holds a token.

use std::sync::Arc;

use coffer_api as api;
use coffer_api::SecretText;

use super::endpoint::{Answered, Asked, Captured, Endpoint, named};
use super::limits::TOKEN_BODY_BYTES_MAX;
use super::once::Change;
use super::reply::Reply;
use crate::model::{Refusal, Resource, Scope, Token, TokenId, Ttl};
use crate::operations::tokens::{
    CreateToken, CreatedToken, ListTokens, ReadOwnToken, RevokeToken, TokenFacts, TokenNamed,
    TokensPage,
};

impl Change for CreateToken {
    fn shows(reply: &CreatedToken) -> Option<TokenId> {
        Some(reply.id)
    }
}

impl Endpoint for CreateToken {
    const BODY_BYTES_MAX: usize = TOKEN_BODY_BYTES_MAX;

    fn aims_at(_: Captured<'_>) -> Result<String, Refusal> {
        Ok(Resource::TOKENS.text())
    }

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: api::CreateToken = asked.body()?;
        if body.scopes.len() > Token::SCOPES_MAX {
            return Err(Refusal::Malformed(format!(
                "a token has at most {} scopes",
                Token::SCOPES_MAX
            )));
        }
        let scopes = body.scopes.iter().enumerate().map(|(at, scope)| {
            scope
                .parse::<Scope>()
                .map_err(|why| Refusal::Malformed(format!("scope {} is refused: {why}", at + 1)))
        });
        Ok(Self {
            scopes: scopes.collect::<Result<_, _>>()?,
            ttl: Ttl::seconds(body.ttl),
            app: body.app.map(|app| named("application", &app)).transpose()?,
            orphan: body.orphan,
        })
    }

    async fn reply(reply: CreatedToken, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let body = api::CreatedToken {
            token: SecretText::new(reply.token.expose().to_owned()),
            id: reply.id.to_string(),
            scopes: texts(&reply.scopes),
            expires_at: reply.expires_at.to_string(),
        };
        Ok(answered.json(&body))
    }
}

impl Endpoint for ListTokens {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let (limit, after) = asked.page(LISTING)?;
        Ok(Self { after, limit })
    }

    fn listing(&self) -> String {
        LISTING.to_owned()
    }

    async fn reply(reply: TokensPage, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let entry = |facts: TokenFacts| api::TokenEntry {
            id: facts.id.to_string(),
            principal: facts.principal.to_string(),
            parent: facts.parent.map(|parent| parent.to_string()),
            scopes: texts(&facts.scopes),
            created_at: facts.created_at.to_string(),
            expires_at: facts.expires_at.to_string(),
            revoked: facts.revoked,
        };
        let list = api::TokenList {
            tokens: reply.tokens.into_iter().map(entry).collect(),
            next_cursor: answered.cursor(reply.next),
        };
        Ok(answered.json(&list))
    }
}

const LISTING: &str = "tokens";

impl Endpoint for ReadOwnToken {
    fn parse(_: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    async fn reply(reply: TokenFacts, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let body = api::TokenSelf {
            id: reply.id.to_string(),
            principal: reply.principal.to_string(),
            scopes: texts(&reply.scopes),
            created_at: reply.created_at.to_string(),
            expires_at: reply.expires_at.to_string(),
            parent: reply.parent.map(|parent| parent.to_string()),
        };
        Ok(answered.json(&body))
    }
}

impl Change for RevokeToken {}

impl Endpoint for RevokeToken {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            token: TokenNamed::Id(asked.id()?),
        })
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(Reply::empty(answered.status))
    }
}

fn texts(scopes: &Arc<[Scope]>) -> Vec<String> {
    scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect()
}
