//! Asking for the log, and writing down where all of its streams stand.
//! A reply is nothing yet: heads are read when this record is stored, so that the export contains its own beginning.
//!
//! Invariant: every look at the log is in the log, and says what was asked for.

use std::collections::BTreeMap;

use crate::door::{Access, Cut, Cx, Decision, Head, Operation, RecordFilter, Tile, View, anchors};
use crate::model::{Action, Refusal, Resource, StreamId};

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

/// `GET /audit/streams/{stream}/checkpoint`
pub struct ReadCheckpoint {
    /// The stream.
    pub stream: StreamId,
}

impl Operation for ReadCheckpoint {
    const ACTION: Action = Action::Audit;
    /// Which stream: its head is read when this record is stored.
    type Reply = StreamId;

    fn resource(&self) -> Resource<'_> {
        Resource::AUDIT
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<StreamId>, Refusal> {
        let head = head_of(view, self.stream).await?;
        Ok(Decision::new(head.stream)
            .say("coffer.audit", "checkpoint")
            .say("coffer.stream", self.stream))
    }
}

/// `GET /audit/streams/{stream}/tile/{tile}`
pub struct ReadTile {
    /// The stream.
    pub stream: StreamId,
    /// Which tile of its tree.
    pub tile: Tile,
}

impl Operation for ReadTile {
    const ACTION: Action = Action::Audit;
    /// What was asked for: it is read when this record is stored.
    type Reply = (StreamId, Tile);

    fn resource(&self) -> Resource<'_> {
        Resource::AUDIT
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<Self::Reply>, Refusal> {
        let head = head_of(view, self.stream).await?;
        if !self.tile.is_within(head.checkpoint.size) {
            return Err(Refusal::NotFound);
        }
        let Tile {
            level,
            index,
            width,
        } = self.tile;
        let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
        Ok(Decision::new((self.stream, self.tile))
            .say("coffer.audit", "tile")
            .say("coffer.stream", self.stream)
            .say("coffer.tile", format!("{level}/{index} {width}")))
    }
}

async fn head_of(view: &View, stream: StreamId) -> Result<Head, Refusal> {
    let heads = view.list_heads().await?;
    let found = heads.into_iter().find(|head| head.stream == stream);
    found.ok_or(Refusal::NotFound)
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

/// Says what is to be left of a range of old records, before anything of it goes. Run by the system part `retention`.
pub struct PruneRecords {
    metadata: BTreeMap<String, String>,
}

impl PruneRecords {
    /// Of a range that was cut.
    #[must_use]
    pub fn of(cut: &Cut) -> Self {
        Self {
            metadata: cut.metadata(),
        }
    }
}

impl Operation for PruneRecords {
    const ACTION: Action = Action::Audit;
    const ACCESS: Access = Access::System;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::RETENTION
    }

    async fn decide(&self, _: &Cx<'_>, _: &View) -> Result<Decision<()>, Refusal> {
        Ok(Decision::new(()).metadata(self.metadata.clone()))
    }
}
