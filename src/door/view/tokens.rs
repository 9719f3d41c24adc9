//! Tokens and principals, as a view shows them.
//! A token is found by the head of its MAC, a principal by its id or its name.
//!
//! Invariant: a row is believed only under the id that its document carries.

use std::sync::Arc;

use super::{Source, View};
use crate::door::Bearer;
use crate::door::bearers::Resolved;
use crate::door::facts::{self, Fact};
use crate::model::{
    DocumentKind, DocumentRow, Name, Principal, PrincipalId, Ref, Refusal, Timestamp, Token,
    TokenId,
};

/// Before everything that is due.
pub(super) const LONGEST_DUE: (Timestamp, [u8; 16]) = (Timestamp::from_micros(i64::MIN), [0; 16]);

impl View {
    /// The token of this id.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_token(&self, id: TokenId) -> Result<Option<Arc<Token>>, Refusal> {
        let at = Ref::token(id);
        if let Some(entry) = self.known(at)
            && let Fact::Token(token) = &entry.fact
        {
            return Ok(token.clone());
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_token(connection, keys, id).await)
            .await?;
        self.learn(at, loaded, Fact::Token)
    }

    /// Whether the cache knows a token of this id.
    pub(in crate::door) fn knows_token(&self, id: TokenId) -> bool {
        let entry = self.shared.cache.find(&Ref::token(id));
        entry.is_some_and(|entry| matches!(entry.fact, Fact::Token(Some(_))))
    }

    /// The bearer of this token as it was found out before, if that still holds; all of it is then relied on.
    pub(in crate::door) fn find_bearer(&self, id: TokenId, now: Timestamp) -> Option<Arc<Bearer>> {
        if !matches!(self.source, Source::Cache) {
            return None;
        }
        let shared = &self.shared;
        let known = shared.bearers.find(&shared.history, id, self.point, now)?;
        self.relied().refs.extend_from_slice(&known.refs);
        Some(Arc::clone(&known.bearer))
    }

    /// Remembers a bearer, made from all that this view was asked for until now; nothing of it has expired before `until`.
    pub(in crate::door) fn keep_bearer(&self, id: TokenId, bearer: Arc<Bearer>, until: Timestamp) {
        let relied = self.relied();
        // What was loaded ahead of this node may be of another history.
        if matches!(self.source, Source::Cache) && relied.ahead.is_empty() {
            let resolved = Resolved::new(self.point, relied.refs.as_slice().into(), bearer, until);
            self.shared.bearers.put(id, resolved);
        }
    }

    /// How many living children a token has.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_children(&self, id: TokenId, now: Timestamp) -> Result<u64, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .count_documents(DocumentKind::Token, *id.as_bytes(), now)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::children(id), found.at.seq));
        Ok(found.value)
    }

    /// Tokens by id, living and dead, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn list_tokens(&self, after: [u8; 16], limit: u32) -> Result<Vec<Token>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .list_documents_of_kind(DocumentKind::Token, after, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::TOKENS, found.at.seq));
        let open = |row| facts::open_token(&self.shared.keys, row).map_err(|_| Refusal::Tampered);
        found.value.iter().map(open).collect()
    }

    /// Living children of a token by id, after `after`, at most `limit`; expired ones are among them.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn list_children(
        &self,
        id: TokenId,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, Refusal> {
        let after = after.map_or_else(String::new, |after| after.to_string());
        let found = self
            .read(async |connection| {
                connection
                    .list_documents(DocumentKind::Token, *id.as_bytes(), "", &after, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::children(id), found.at.seq));
        let mut children = self.open_tokens(&found.value, found.at.seq)?;
        // Whose child a token is, its document says; the row's space is only where it was looked for.
        children.retain(|token| token.parent == Some(id));
        Ok(children)
    }

    /// Tokens that a look-up column says to have died by `until`, the longest dead first, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn list_due_tokens(
        &self,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Token>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .list_due_documents(DocumentKind::Token, LONGEST_DUE, until, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        // One that does not open is for `check` to name: it must not keep the others from being swept.
        let rows = found.value;
        let opens = |row: &DocumentRow| facts::open_token(&self.shared.keys, row).is_ok();
        let rows: Vec<DocumentRow> = rows.into_iter().filter(opens).collect();
        self.open_tokens(&rows, found.at.seq)
    }

    fn open_tokens(&self, rows: &[DocumentRow], seq: u64) -> Result<Vec<Token>, Refusal> {
        let mut tokens = Vec::with_capacity(rows.len());
        for row in rows {
            let token = facts::open_token(&self.shared.keys, row).map_err(|_| Refusal::Tampered)?;
            self.relied().refs.push((Ref::token(token.id), seq));
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// The principal of this id.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_principal(&self, id: PrincipalId) -> Result<Option<Arc<Principal>>, Refusal> {
        let at = Ref::principal(id);
        if let Some(entry) = self.known(at)
            && let Fact::Principal(principal) = &entry.fact
        {
            return Ok(principal.clone());
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_principal(connection, keys, id).await)
            .await?;
        self.learn(at, loaded, Fact::Principal)
    }

    /// The application of this name.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_application(&self, name: &Name) -> Result<Option<Arc<Principal>>, Refusal> {
        let at = Ref::application(name);
        let id = match self.known(at).map(|entry| entry.fact.clone()) {
            Some(Fact::Application(id)) => id,
            _ => {
                let keys = &self.shared.keys;
                let loaded = self
                    .load(async |connection| facts::load_application(connection, keys, name).await)
                    .await?;
                self.learn(at, loaded, Fact::Application)?
            }
        };
        match id {
            Some(id) => self.find_principal(id).await,
            None => Ok(None),
        }
    }
}
