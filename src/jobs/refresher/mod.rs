//! Refreshing OAuth connections: those that are due, and those that somebody waits for.
//! Of one connection there is one flight at a time in this process; between nodes the attempt in its document decides.
//!
//! Invariant: nothing is sent before what an earlier run of this node had spooled is concluded.

mod attempt;
mod calls;
mod flights;
mod lines;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::Beat;
use super::setbacks::Setbacks;
use crate::door::Door;
use crate::metrics::Now;
use crate::model::{Connection, Refreshing, Refusal, SecretName, Ttl};
use crate::operations::connections::{
    CameTo, Concluded, IntendRefresh, Intended, ReadAccessToken, Wanted, may_begin,
};
use crate::outbound::Outbound;
use calls::Calls;
pub use calls::Permit;
use flights::{Flights, Landed};
use lines::{Held, Line, Lines};

/// From one look at what is due to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// The principal's part in records.
const PART: &str = "refresher";
/// Connections asked for at a time.
const DUE_MAX: u32 = 1_000;
/// How often they are asked for in one turn.
const PAGES_MAX: u32 = 10;
/// How long a flight waits for another node, or for its turn.
const FLIGHT_MAX: Duration = Duration::from_secs(10);
/// Between two looks at an attempt of another node.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What refreshes. Cheap to clone.
#[derive(Clone)]
pub struct Refresher(Arc<Parts>);

struct Parts {
    door: Door,
    outbound: Outbound,
    flights: Flights,
    calls: Calls,
    lines: Lines,
    setbacks: Mutex<Setbacks>,
    replayed: OnceCell<()>,
}

pub(super) async fn run(refresher: Refresher, mut beat: Beat) {
    loop {
        refresher.turn().await;
        if !beat.next().await {
            return;
        }
    }
}

impl Refresher {
    /// What refreshes the connections behind a door.
    pub fn new(door: Door, outbound: Outbound) -> Self {
        Self(Arc::new(Parts {
            door,
            outbound,
            flights: Flights::default(),
            calls: Calls::default(),
            lines: Lines::default(),
            setbacks: Mutex::default(),
            replayed: OnceCell::new(),
        }))
    }

    /// Sees that a connection is refreshed for somebody who waits until `deadline`: by this node, or by whichever is at it.
    /// `false` when nothing can come of it by then.
    pub async fn freshen(&self, wish: &ReadAccessToken, deadline: Instant) -> bool {
        loop {
            let Some((mut landed, first)) = self.0.flights.join(&wish.name) else {
                return false;
            };
            if let Some(flight) = first {
                let (refresher, wish) = (self.clone(), wish.clone());
                // A task of its own: whoever waits may hang up, and the provider has rotated by then.
                tokio::spawn(async move {
                    let outcome = refresher.fly(&wish).await;
                    flight.land(outcome);
                });
            }
            let landing = landed.wait_for(Option::is_some);
            match tokio::time::timeout_at(deadline, landing).await {
                Ok(Ok(landed)) if *landed == Some(Landed::Changed) => return true,
                // Whoever came late to it waits for the next.
                Ok(Ok(landed)) if *landed == Some(Landed::TimeOver) => {}
                // Nothing can come of it; or it ended without a word, which only a panic does; or the wait is over.
                Ok(_) | Err(_) => return false,
            }
        }
    }

    /// Waits for an import's turn, so that once it is begun its refresh is made at once; nothing if it does not come.
    pub async fn turn_of_import(&self) -> Option<Permit> {
        self.0.calls.import().await
    }

    /// Makes the refresh that proves an imported grant, and tells what it came to.
    pub async fn prove(&self, refreshing: Refreshing, permit: Permit) -> CameTo {
        let (refresher, connection) = (self.clone(), refreshing.connection);
        let proof = tokio::spawn(async move {
            let Parts { door, outbound, .. } = &*refresher.0;
            attempt::carry_out(door, outbound, refreshing, permit).await
        });
        match proof.await {
            // A conclusion that was stored though the store did not confirm it finds itself superseded: the caller's own
            // decision looks whether the connection is there.
            Ok(Ok(Concluded::Refreshed | Concluded::Superseded)) => CameTo::Proven(connection),
            Ok(Ok(Concluded::Refused(code))) => CameTo::Refused(code),
            Ok(Ok(Concluded::Failed(why))) => CameTo::Unproven(why),
            Ok(Err(_)) | Err(_) => CameTo::Nothing,
        }
    }

    /// Tells what there is now.
    pub fn look(&self, now: &mut Now) {
        (now.refreshing, now.refresh_waiters) = self.0.flights.count();
    }

    /// Waits until no call is on its way whose answer is not safe yet.
    pub async fn drain(&self) {
        self.0.calls.drain().await;
    }

    /// Begins to refresh what is due.
    async fn turn(&self) {
        if !self.replay().await {
            return;
        }
        let door = &self.0.door;
        let due = match self.due().await {
            Ok(due) => due,
            Err(refusal) => {
                return tracing::warn!(code = refusal.code(), "what is due could not be read");
            }
        };
        door.metrics().refreshes.due.set(due.len() as u64);
        let ready = self.setbacks().ready(due, door.now());
        for (line, names) in Line::up(ready) {
            // The last turn's is still at it, and they stay due.
            let Some(held) = self.0.lines.begin(line) else {
                continue;
            };
            let refresher = self.clone();
            tokio::spawn(async move { refresher.work_off(held, names).await });
        }
    }

    /// Refreshes those of a line one after another, as many at a time as its host, its project and all may have.
    async fn work_off(&self, held: Held, names: Vec<SecretName>) {
        let Line { host, project } = &held.line;
        for name in names {
            let permit = self.0.calls.refresh(host, project).await;
            // Somebody waits for it already, and that flight is enough.
            let Some((_, Some(flight))) = self.0.flights.join(&name) else {
                continue;
            };
            let refresher = self.clone();
            tokio::spawn(async move {
                refresher.refresh_due(name, permit).await;
                flight.land(Landed::Changed);
            });
        }
    }

    /// What is due: enough of it that those whose host is slow do not hide the others.
    async fn due(&self) -> Result<Vec<(SecretName, String)>, Refusal> {
        let (mut due, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.0.door.list_due_connections(after, DUE_MAX).await?;
            due.extend(page.0);
            after = page.1;
            if after.is_none() {
                break;
            }
        }
        Ok(due)
    }

    /// Refreshes one that is due. One whose decisions are refused, and would be again, waits.
    async fn refresh_due(&self, name: SecretName, permit: Permit) {
        let Parts { door, outbound, .. } = &*self.0;
        let refreshed = match self.intend(&name, Wanted::Due).await {
            Ok(Intended::Attempt(refreshing)) => {
                attempt::carry_out(door, outbound, refreshing, permit)
                    .await
                    .map(drop)
            }
            Ok(Intended::Dropped) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        match refreshed {
            Ok(()) => self.setbacks().forget(&name),
            // Another node was faster, or it is gone.
            Err(Refusal::Refreshing(_) | Refusal::NotFound) => {}
            Err(Refusal::Unavailable(why)) => {
                tracing::warn!(connection = %name, why, "a refresh was not made");
            }
            Err(refusal) => {
                tracing::warn!(connection = %name, code = refusal.code(), "a refresh was not made");
                self.setbacks().note(name, door.now());
            }
        }
    }

    /// Refreshes one that somebody waits for, or sees another node do it.
    async fn fly(&self, wish: &ReadAccessToken) -> Landed {
        let Parts {
            door,
            outbound,
            calls,
            ..
        } = &*self.0;
        let until = Instant::now() + FLIGHT_MAX;
        if !self.replay().await {
            return Landed::Later;
        }
        let mut first = None;
        loop {
            let Ok(Some(found)) = door.look_at(&wish.name).await else {
                // Gone, or not to be read: whoever waits is told so by their own decision.
                return Landed::Changed;
            };
            let seen = (found.revision, found.failures, found.standing);
            let served = found.serves(door.now(), wish.since, wish.min_ttl);
            if served || *first.get_or_insert(seen) != seen {
                return Landed::Changed;
            }
            let wanted = Wanted::InsteadOf(found.revision);
            if may_begin(&found, door.now(), door.runner(), wanted) {
                // Waited for before it is intended, since an intention is soon over.
                let host = found.client.token_url.authority();
                let permit = calls.refresh(host, &wish.name.place.project).await;
                match self.intend(&wish.name, wanted).await {
                    Ok(Intended::Attempt(refreshing)) => {
                        // Whatever came of it, those who wait decide on what is there now.
                        let _ = attempt::carry_out(door, outbound, refreshing, permit).await;
                        return Landed::Changed;
                    }
                    Ok(Intended::Dropped) => return Landed::Changed,
                    Err(Refusal::Refreshing(_)) => {}
                    Err(refusal) => {
                        tracing::warn!(connection = %wish.name, code = refusal.code(), "a refresh was not begun");
                        return Landed::Later;
                    }
                }
            } else if found.attempt.is_none() && !may_begin_by(&found, door, wanted, until) {
                return Landed::Later;
            }
            if Instant::now() + LOOK_EVERY >= until {
                return Landed::TimeOver;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn intend(&self, name: &SecretName, wanted: Wanted) -> Result<Intended, Refusal> {
        let door = &self.0.door;
        let intend = IntendRefresh {
            name: name.clone(),
            runner: door.runner(),
            wanted,
        };
        let intended = door.run_system(PART, intend).await?;
        Ok(intended.reply)
    }

    fn setbacks(&self) -> MutexGuard<'_, Setbacks> {
        self.0
            .setbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Concludes what an earlier run had spooled, once; `false` while the spool cannot be read.
    async fn replay(&self) -> bool {
        let replaying = async {
            let spooled = self.0.door.list_spooled().await.map_err(|error| {
                tracing::error!(%error, "the spool cannot be read: nothing is refreshed until it can");
            })?;
            for answer in spooled {
                tracing::info!(connection = %answer.refreshing.name, "an answer from before the start is concluded");
                // One that cannot be concluded is told of, and stays.
                let _ = attempt::conclude_spooled(&self.0.door, answer).await;
            }
            Ok::<(), ()>(())
        };
        self.0.replayed.get_or_try_init(|| replaying).await.is_ok()
    }
}

/// Whether a refresh may begin before the flight is over.
fn may_begin_by(found: &Connection, door: &Door, wanted: Wanted, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let then = door.now().after(Ttl::seconds(left.as_secs()));
    may_begin(found, then, door.runner(), wanted)
}
