//! Old versions moved to the newest term of their environment's key: their data keys are wrapped anew, no value is touched,
//! nor read.
//!
//! Invariant: a version leaves its term only into the newest one, or because its document no longer lists it.

use std::collections::{BTreeSet, HashMap};

use super::Census;
use crate::crypto::VersionContext;
use crate::door::{Cx, Decision, Operation, Owner, Place, View};
use crate::model::{
    Action, DataKeyRow, EnvironmentName, Ref, Refusal, Resource, SecretId, VersionId,
};

/// Versions that one decision moves. With a ref each, they are well below the thousand of a decision.
pub(super) const MOVED_MAX: u32 = 100;
/// The same while others ask: whoever reads meanwhile waits for the commit of so many.
pub(super) const MOVED_GENTLY: u32 = 25;

/// `POST /keys/{p}/{e}/rewrap`, one step of it: to be asked again until nothing is left.
pub struct RewrapKeys {
    place: EnvironmentName,
    /// Versions that the step moves at most.
    at_once: u32,
}

impl RewrapKeys {
    /// A step in this environment.
    pub const fn of(place: EnvironmentName) -> Self {
        let at_once = MOVED_MAX;
        Self { place, at_once }
    }

    /// A smaller one.
    pub fn gently(self) -> Self {
        let at_once = MOVED_GENTLY;
        Self { at_once, ..self }
    }
}

/// What one step did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewrapped {
    /// Versions that are under the newest term now.
    pub moved: u64,
    /// Versions that their documents no longer list, and that are gone now.
    pub dropped: u64,
    /// The census, from the step that found nothing to do; without it there may be more.
    pub census: Option<Census>,
}

impl Operation for RewrapKeys {
    const ACTION: Action = Action::Rotate;
    type Reply = Rewrapped;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Rewrapped>, Refusal> {
        let place = view.place(&self.place).await?;
        if place.environment.reencrypting.is_some() {
            let sentence = "versions are being encrypted anew, which moves them as well: go on with `coffer key reencrypt`";
            return Err(Refusal::Conflict("reencrypting", sentence.to_owned()));
        }
        let rows = view.list_data_keys_before_term(&place, place.environment.term, self.at_once);
        let rows = rows.await?;
        if rows.is_empty() {
            let counts = view.count_versions_by_term(&place).await?;
            let census = Census::of(&self.place, place.terms(), &place.environment, &counts);
            let census = Some(census);
            return Ok(Decision::new(Rewrapped {
                moved: 0,
                dropped: 0,
                census,
            }));
        }
        let owners = owners(view, &place, rows.iter().map(|row| row.secret)).await?;
        let mut steps = Vec::with_capacity(rows.len());
        for row in rows {
            let owner = owners.get(&row.secret).ok_or(Refusal::Tampered)?;
            steps.push(Step::of(cx, &place, owner, row)?);
        }
        let moved = steps
            .iter()
            .filter(|step| matches!(step, Step::Move(_)))
            .count() as u64;
        let reply = Rewrapped {
            moved,
            dropped: steps.len() as u64 - moved,
            census: None,
        };
        let touched = owners
            .values()
            .map(|owner| Ref::secret(place.environment.id, owner.place().1));
        let decision = touched.fold(
            Decision::new(reply).say("coffer.keys", "rewrap"),
            Decision::touch,
        );
        Ok(steps
            .into_iter()
            .fold(decision, |decision, step| step.take(decision)))
    }
}

/// What becomes of one version.
enum Step {
    Move(DataKeyRow),
    Drop(VersionId),
}

impl Step {
    fn of(cx: &Cx<'_>, place: &Place, owner: &Owner, row: DataKeyRow) -> Result<Self, Refusal> {
        let Some(named) = owner.names(row.id) else {
            return Ok(Self::Drop(row.id));
        };
        let old = place.key(row.term).ok_or(Refusal::Tampered)?;
        let new = place.current_key().ok_or(Refusal::Tampered)?;
        let (id, path) = owner.place();
        let context = VersionContext {
            secret: id,
            path: path.as_str(),
            version: named.number,
        };
        let wrapped = new
            .rewrap(cx.entropy, old, &context, &row.wrapped)
            .map_err(|_| Refusal::Tampered)?;
        Ok(Self::Move(DataKeyRow {
            term: new.term(),
            wrapped,
            ..row
        }))
    }

    fn take<R>(self, decision: Decision<R>) -> Decision<R> {
        match self {
            Self::Move(row) => decision.put_data_key(row),
            Self::Drop(id) => decision.drop_versions([id]),
        }
    }
}

/// The secrets and connections these versions belong to: each is a ref of the decision.
/// A version without its owner's document is none of Coffer's doing, and is not thrown away on a database's word.
pub(super) async fn owners(
    view: &View,
    place: &Place,
    owners: impl Iterator<Item = SecretId>,
) -> Result<HashMap<SecretId, Owner>, Refusal> {
    let ids: BTreeSet<SecretId> = owners.collect();
    let ids: Vec<SecretId> = ids.into_iter().collect();
    let found = view.find_owners(place, &ids).await?;
    let owners: HashMap<SecretId, Owner> = found
        .into_iter()
        .map(|owner| (owner.place().0, owner))
        .collect();
    if owners.len() != ids.len() {
        return Err(Refusal::Tampered);
    }
    Ok(owners)
}
