//! A first token anew, for a server to try things out whose last one is lost or dead.
//! Only the system may run it: whoever starts such a server holds its root key anyway.
//!
//! Invariant: it stands for the application `root` and may what that may, no more.

use std::sync::Arc;

use super::id_of;
use crate::crypto::{PlainToken, TokenKind};
use crate::door::{Access, Cx, Decision, Operation, View};
use crate::model::{Action, Name, Refusal, Resource, Token, Ttl};

/// Run by the system part `dev`.
pub struct MintFirstToken {
    /// How long it lives.
    pub ttl: Ttl,
}

impl Operation for MintFirstToken {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::System;
    type Reply = PlainToken;

    fn resource(&self) -> Resource<'_> {
        Resource::TOKENS
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<PlainToken>, Refusal> {
        let root: Name = "root".parse().expect("root is a name");
        let principal = view
            .find_application(&root)
            .await?
            .ok_or(Refusal::NotFound)?;
        let plain = PlainToken::generate(cx.entropy, TokenKind::Root);
        let (id, mac) = id_of(cx.keys, &plain);
        let token = Token {
            id,
            mac,
            principal: principal.id,
            parent: None,
            depth: 0,
            scopes: Arc::clone(&principal.bindings),
            created_at: cx.now,
            expires_at: cx.now.after(self.ttl),
            revoked_at: None,
        };
        let decision = Decision::new(()).status(201).say("coffer.token", id);
        Ok(decision.put_token(cx, &token)?.with(plain))
    }
}
