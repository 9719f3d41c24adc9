//! What is due: for the jobs, which ask without deciding anything.
//! The index is only a hint; the operation that follows believes the sealed document alone.
//!
//! Invariant: nothing here is recorded, since nothing here is shown or changed.

use super::view::STORE_LOST;
use super::{Door, View, facts};
use crate::model::{
    DocumentKind, EnvironmentId, EnvironmentName, Refusal, SecretName, TokenId, Ttl,
};

impl Door {
    /// Secrets whose rotation is due, the longest due first, at most `limit`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_due(&self, limit: u32) -> Result<Vec<SecretName>, Refusal> {
        let now = self.now();
        let found = self
            .shared
            .reader()
            .await?
            .list_due_documents(DocumentKind::Secret, now, limit)
            .await;
        let found = found.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        if found.value.is_empty() {
            return Ok(Vec::new());
        }
        let places = View::cached(std::sync::Arc::clone(&self.shared))
            .places()
            .await?;
        let mut due = Vec::with_capacity(found.value.len());
        for row in &found.value {
            let Some(place) = places.place_of(EnvironmentId::from_bytes(row.space)) else {
                continue;
            };
            // A row that does not open is for `check` to name; it must not keep the others from rotating.
            let Ok(secret) = facts::open_secret(&self.shared.keys, place, row) else {
                continue;
            };
            let environment = EnvironmentName {
                project: place.project.name.clone(),
                environment: place.environment.name.clone(),
            };
            due.push(SecretName {
                place: environment,
                path: secret.path,
            });
        }
        Ok(due)
    }

    /// Tokens that have been expired for `ttl`, at most `limit`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_long_expired_tokens(
        &self,
        ttl: Ttl,
        limit: u32,
    ) -> Result<Vec<TokenId>, Refusal> {
        let before =
            crate::model::Timestamp::from_micros(self.now().micros().saturating_sub(ttl.micros()));
        let found = self
            .shared
            .reader()
            .await?
            .list_due_documents(DocumentKind::Token, before, limit)
            .await;
        let found = found.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        Ok(found
            .value
            .iter()
            .map(|row| TokenId::from_bytes(row.id))
            .collect())
    }
}
