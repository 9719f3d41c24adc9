//! The summary of what never reached the door: malformed requests, missing tokens, too many at once.
//! The system writes it at most once a minute, a line a source and reason.
//!
//! Invariant: a request that is turned away costs no record of its own.

use std::collections::BTreeMap;

use crate::door::{Access, Cx, Decision, Operation, View};
use crate::model::{Action, Refusal, Resource};

/// Records how many requests were turned away. Run by the system part `door`.
pub struct RecordTurnedAway {
    /// Source and reason, to a number.
    pub counts: BTreeMap<String, String>,
}

impl Operation for RecordTurnedAway {
    const ACTION: Action = Action::Audit;
    const ACCESS: Access = Access::System;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::DOOR
    }

    async fn decide(&self, _: &Cx<'_>, _: &View) -> Result<Decision<()>, Refusal> {
        Ok(Decision::new(()).metadata(self.counts.clone()))
    }
}
