//! Taking a connection away, with its tokens: the name is free at once. The provider is not told.
//! A refresh that is on its way concludes nothing any more; an import that never ended can be cleared away so.
//!
//! Invariant: no row of a connection outlives its document.

use super::find;
use crate::door::{Cx, Decision, Operation, View};
use crate::model::{Action, Ref, Refusal, Resource, SecretName};

/// `DELETE /connections/…`
pub struct DeleteConnection {
    /// Which connection.
    pub name: SecretName,
}

impl Operation for DeleteConnection {
    const ACTION: Action = Action::Connect;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<()>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let connection = find(view, &place, &self.name).await?;
        Ok(Decision::new(())
            .status(204)
            .drop_connection(&place, &connection)
            .touch(Ref::listing(place.environment.id)))
    }
}
