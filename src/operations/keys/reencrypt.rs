//! New data keys and new ciphertext for every version of an environment, its values untouched: the answer to a data key that
//! leaked. It begins with a term of its own, and that is the mark of how far it has come: what an older term wraps is left.
//!
//! Invariant: from its beginning to its end, no data key that is older than it is wrapped under its term or a later one.

use super::rewrap::{MOVED_GENTLY, MOVED_MAX, owners};
use super::{Census, new_key, with_new_term};
use crate::door::{Cx, Decision, Operation, Place, View, reseal_row};
use crate::model::{Action, Environment, EnvironmentName, Refusal, Resource, VersionRow};

/// Sealed bytes that one decision loads, about; the next begins behind them.
const LOADED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Versions loaded at first, so that the bound above is not passed by much.
const LOADED_ROWS: usize = 20;
/// What the largest of them has at most for the rest to be loaded at once, in bytes: the rest is then seldom larger.
const SMALL_BYTES_MAX: usize = 16 * 1024;

/// `POST /keys/{p}/{e}/reencrypt`, one step of it: to be asked again until nothing is left.
pub struct ReencryptKeys {
    place: EnvironmentName,
    /// Versions that the step takes at most.
    at_once: u32,
}

impl ReencryptKeys {
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
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reencrypted {
    /// Versions that have a new data key and new ciphertext now.
    pub renewed: u64,
    /// Versions that their documents no longer list, and that are gone now.
    pub dropped: u64,
    /// The census, from the step that found nothing left; without it there may be more.
    pub census: Option<Census>,
}

impl Operation for ReencryptKeys {
    const ACTION: Action = Action::Rotate;
    type Reply = Reencrypted;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Reencrypted>, Refusal> {
        let place = view.place(&self.place).await?;
        match place.environment.reencrypting {
            None => begin(cx, &place),
            Some(since) => {
                let rows = old_versions(view, &place, since, self.at_once).await?;
                go_on(cx, view, &self.place, &place, rows).await
            }
        }
    }
}

/// Begins a term: everything that is written from now on is wrapped under it, or a later one, with a data key that is newer
/// than this. A write that was decided before goes back, since the places are touched.
fn begin(cx: &Cx<'_>, place: &Place) -> Result<Decision<Reencrypted>, Refusal> {
    let environment = with_new_term(place)?;
    let environment = Environment {
        reencrypting: Some(environment.term),
        ..environment
    };
    let decision = Decision::new(Reencrypted::default())
        .status(202)
        .say("coffer.keys", "reencrypt")
        .put_environment(cx, &environment)?;
    Ok(decision.put_key(new_key(cx, &environment)?))
}

/// Seals these versions anew, or ends it when none is left.
async fn go_on(
    cx: &Cx<'_>,
    view: &View,
    name: &EnvironmentName,
    place: &Place,
    rows: Vec<VersionRow>,
) -> Result<Decision<Reencrypted>, Refusal> {
    if rows.is_empty() {
        let counts = view.count_versions_by_term(place).await?;
        let environment = Environment {
            reencrypting: None,
            ..place.environment.clone()
        };
        let reply = Reencrypted {
            census: Some(Census::of(name, place.terms(), &environment, &counts)),
            ..Reencrypted::default()
        };
        let decision = Decision::new(reply).say("coffer.keys", "reencrypt");
        return decision.put_environment(cx, &environment);
    }
    let mut owners = owners(view, place, rows.iter().map(|row| row.secret)).await?;
    let mut reply = Reencrypted::default();
    let mut decision = Decision::new(()).say("coffer.keys", "reencrypt");
    for row in rows {
        let owner = owners.get_mut(&row.secret).ok_or(Refusal::Tampered)?;
        let old = row.id;
        decision = decision.drop_versions([old]);
        let Some(named) = owner.names(old) else {
            reply.dropped += 1;
            continue;
        };
        let (row, renamed) = reseal_row(cx, place, owner.place(), &named, row)?;
        owner.replace_row(old, &renamed);
        decision = decision.put_version(row);
        reply.renewed += 1;
    }
    for owner in owners.values() {
        decision = decision.put_owner(cx, place, owner)?;
    }
    Ok(decision.with(reply))
}

/// Versions under terms before this one, so many or as one decision takes.
async fn old_versions(
    view: &View,
    place: &Place,
    term: u32,
    at_once: u32,
) -> Result<Vec<VersionRow>, Refusal> {
    let at_once = at_once as usize;
    let mut rows: Vec<VersionRow> = Vec::new();
    let (mut bytes, mut largest) = (0, usize::MAX);
    while rows.len() < at_once && bytes < LOADED_BYTES_MAX {
        let after = rows.last().map(|row| (row.term, row.id));
        let rest = at_once - rows.len();
        let wanted = if largest <= SMALL_BYTES_MAX {
            rest
        } else {
            rest.min(LOADED_ROWS)
        };
        let page = view
            .list_versions_before_term(place, term, after, wanted as u32)
            .await?;
        let last = page.len() < wanted;
        let lengths = || page.iter().map(|row| row.sealed.len());
        bytes += lengths().sum::<usize>();
        largest = lengths().max().unwrap_or(0);
        rows.extend(page);
        if last {
            break;
        }
    }
    Ok(rows)
}
