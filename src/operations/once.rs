//! A request that is made once, by the `Idempotency-Key` that its client chose: what it comes to is kept for a day by the
//! commit that does it, and a repeat is told that and does nothing. Two at once are serial like any two that rely on one
//! place: the second is decided again, and finds the first.
//!
//! Invariant: a receipt answers only who shows the token it was made for, and only the very request it was made for.

use subtle::ConstantTimeEq;

use crate::door::{Cx, Decision, RequestId, View};
use crate::model::{Kept, Receipt, ReceiptId, Refusal, Ttl};

/// How long a repeat is told.
pub const RECEIPTS_KEPT: Ttl = Ttl::days(1);

/// What makes a request one that is made once.
pub struct Ticket {
    key: String,
    fingerprint: [u8; 32],
    request: String,
}

impl Ticket {
    /// The client's key, the fingerprint of all that is asked, and the id of this very request.
    pub fn new(key: String, fingerprint: [u8; 32], request: RequestId) -> Self {
        Self {
            key,
            fingerprint,
            request: request.to_string(),
        }
    }

    /// What the request came to when it was made before; the record then names that one.
    ///
    /// # Errors
    /// 422 when the key was used for another request.
    pub async fn find(&self, cx: &Cx<'_>, view: &View) -> Result<Option<Decision<Kept>>, Refusal> {
        let found = view.find_receipt(self.id(cx)?).await?;
        // By its own time, whatever the look-up column says, and whether or not it was swept.
        let Some(receipt) = found.filter(|receipt| receipt.until > cx.now) else {
            return Ok(None);
        };
        if !bool::from(receipt.fingerprint.ct_eq(&self.fingerprint)) {
            return Err(Refusal::KeyReused);
        }
        let decision = Decision::new(receipt.kept);
        Ok(Some(decision.say("coffer.repeats", receipt.request)))
    }

    /// Keeps what the request comes to, with all that it changes.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn keep<R>(
        &self,
        cx: &Cx<'_>,
        decision: Decision<R>,
        kept: Kept,
    ) -> Result<Decision<R>, Refusal> {
        let receipt = Receipt {
            id: self.id(cx)?,
            fingerprint: self.fingerprint,
            request: self.request.clone(),
            until: cx.now.after(RECEIPTS_KEPT),
            kept,
        };
        decision.put_receipt(cx, &receipt)
    }

    /// By the token and not by its principal: two tokens of one principal may do different things.
    fn id(&self, cx: &Cx<'_>) -> Result<ReceiptId, Refusal> {
        let token = cx.caller.bearer()?.token.id;
        Ok(cx.keys.receipt_mac().name(token, &self.key))
    }
}
