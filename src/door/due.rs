//! What is due, for the scheduler: read beside the decisions, believed by none of them.
//! Each rotation is decided on its own document; this list only says where to look.
//!
//! Invariant: nothing here is recorded or answered to anybody outside.

use std::sync::Arc;

use super::facts;
use super::view::STORE_LOST;
use super::{Door, View};
use crate::model::{BootId, DocumentKind, EnvironmentId, EnvironmentName, Refusal, SecretName};

impl Door {
    /// This run of the server.
    pub fn boot(&self) -> BootId {
        self.shared.boot
    }

    /// Living secrets whose rotation is due now, the longest due first, at most `limit`.
    /// A row that does not open is passed over: who reads it is told, and so is `check`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_due(&self, limit: u32) -> Result<Vec<SecretName>, Refusal> {
        let lost = |_| Refusal::Unavailable(STORE_LOST);
        let now = self.now();
        let mut reader = self.shared.reader().await?;
        let found = reader
            .list_due_documents(DocumentKind::Secret, now, limit)
            .await
            .map_err(lost)?;
        drop(reader);
        if found.value.is_empty() {
            return Ok(Vec::new());
        }
        let places = View::cached(Arc::clone(&self.shared)).places().await?;
        let mut due = Vec::with_capacity(found.value.len());
        for row in &found.value {
            let Some(place) = places.place_of(EnvironmentId::from_bytes(row.space)) else {
                continue;
            };
            let Ok(secret) = facts::open_secret(&self.shared.keys, place, row) else {
                continue;
            };
            let rotates = secret
                .rotation
                .as_ref()
                .is_some_and(|policy| policy.next_at <= now);
            if rotates && secret.deleted_at.is_none() {
                due.push(SecretName {
                    place: EnvironmentName {
                        project: place.project.name.clone(),
                        environment: place.environment.name.clone(),
                    },
                    path: secret.path,
                });
            }
        }
        Ok(due)
    }
}
