//! Whether the caller may know more of a node than whether it is sealed.
//! What there is to know (version, node, store, locked memory) belongs to the server and is filled in by it.
//!
//! Invariant: without `manage` on `sys/status` a node tells one bit.

use crate::door::{Cx, Decision, Operation, View};
use crate::model::{Action, Refusal, Resource};

/// `GET /status` with a token.
pub struct ReadStatus;

impl Operation for ReadStatus {
    const ACTION: Action = Action::Manage;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::STATUS
    }

    async fn decide(&self, _: &Cx<'_>, _: &View) -> Result<Decision<()>, Refusal> {
        Ok(Decision::new(()))
    }
}
