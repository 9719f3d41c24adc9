//! Who asks, found out before a request's body is read: whoever shows no living token gets no byte of it into memory.
//! The decision looks again, since a token may die while a body arrives; by then its bearer is in the cache.
//!
//! Invariant: a request is either let in here without a record, or refused here with the one record that it gets.

use super::authenticate::authenticate;
use super::counted::Turned;
use super::draft::{Decided, DraftRecord, Outcome, finish};
use super::{ATTEMPTS_MAX, BUSY, Door, Operation, Request};
use crate::model::Refusal;

impl Door {
    /// Whether the request's token lives. `resource` is what the request is about as far as its head says.
    ///
    /// # Errors
    /// The refusal that [`Self::run`] would come to, recorded as it would be.
    pub async fn admit<O: Operation>(
        &self,
        request: &Request,
        resource: &str,
    ) -> Result<(), Refusal> {
        self.may_ask(request)?;
        let shared = &self.shared;
        for tried in 0..ATTEMPTS_MAX {
            let view = self.view(tried).await?;
            let now = shared.now();
            let (refusal, token) = match authenticate(shared, request, &view, now).await {
                Ok(_) => return Ok(()),
                Err((Refusal::TooMany(wait), _)) => {
                    shared.counted.count(request.source, Turned::TooMany);
                    return Err(Refusal::TooMany(wait));
                }
                Err((Refusal::Unavailable(why), _)) => return Err(Refusal::Unavailable(why)),
                Err(refused) => refused,
            };
            let mut record = DraftRecord::new(request, O::ACTION, now, resource.to_owned());
            record.token = token;
            let (mut draft, answer): Decided<()> = finish(record, view.into_relied(), Err(refusal));
            if tried > 0 {
                // All of it was true at once, in one snapshot after the request began.
                draft.relied.refs.clear();
            }
            match shared.queue.read(draft).await {
                Outcome::Stored => return answer.map(drop),
                unstored => self.may_go_on(unstored, tried)?,
            }
        }
        Err(Refusal::Unavailable(BUSY))
    }
}
