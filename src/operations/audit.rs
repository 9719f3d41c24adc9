//! Asking for the log, and writing down where all of its streams stand.
//! A reply is nothing yet: heads are read when this record is stored, so that the export contains its own beginning.
//!
//! Invariant: every look at the log is in the log, and says what was asked for.

use crate::door::{Access, Cx, Decision, Operation, RecordFilter, View, anchors};
use crate::model::{Action, Refusal, Resource};

macro_rules! looks {
    ($($(#[$doc:meta])* $name:ident says $what:literal),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name;

        impl Operation for $name {
            const ACTION: Action = Action::Audit;
            type Reply = ();

            fn resource(&self) -> Resource<'_> {
                Resource::AUDIT
            }

            async fn decide(&self, _: &Cx<'_>, _: &View) -> Result<Decision<()>, Refusal> {
                Ok(Decision::new(()).say("coffer.audit", $what))
            }
        }
    )+};
}

looks! {
    /// `GET /audit/export`
    ExportLog says "export",
    /// `GET /audit/bundle`
    BundleLog says "bundle",
    /// `GET /audit/head`
    ReadHeads says "head",
    /// `GET /audit/key`
    ReadVerifierKey says "key",
}

/// `GET /audit/records`
pub struct ReadRecords {
    /// Which of them.
    pub filter: RecordFilter,
    /// How many of the newest.
    pub limit: u32,
    /// Whether the newest comes first, as soon as it is found.
    pub newest_first: bool,
}

impl Operation for ReadRecords {
    const ACTION: Action = Action::Audit;
    /// What was asked for.
    type Reply = (RecordFilter, u32, bool);

    fn resource(&self) -> Resource<'_> {
        Resource::AUDIT
    }

    async fn decide(&self, _: &Cx<'_>, _: &View) -> Result<Decision<Self::Reply>, Refusal> {
        let reply = (self.filter.clone(), self.limit, self.newest_first);
        let decision = Decision::new(reply).say("coffer.audit", "records");
        let asked = self.filter.to_string();
        Ok(if asked.is_empty() {
            decision
        } else {
            decision.say("coffer.query", asked)
        })
    }
}

/// Records the heads of all streams in this node's own, so that none can vanish. Run by the system part `streams`.
pub struct AnchorStreams;

impl Operation for AnchorStreams {
    const ACTION: Action = Action::Audit;
    const ACCESS: Access = Access::System;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::STREAMS
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<()>, Refusal> {
        let heads = view.list_heads().await?;
        Ok(Decision::new(()).metadata(anchors(&heads)))
    }
}
