//! Receipts, as a view shows them: one by its id, and those whose day is over.
//!
//! Invariant: that there is none is relied on like any other answer, so two requests of one key are never both the first.

use super::View;
use super::tokens::LONGEST_DUE;
use crate::door::facts;
use crate::model::{DocumentKind, Receipt, ReceiptId, Ref, Refusal, Timestamp};

impl View {
    /// The receipt of this id, whether or not its day is over.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_receipt(&self, id: ReceiptId) -> Result<Option<Receipt>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .find_document(DocumentKind::Receipt, *id.as_bytes())
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::receipt(id), found.at.seq));
        let receipt = found
            .value
            .map(|row| facts::open_receipt(&self.shared.keys, &row));
        receipt.transpose().map_err(|_| Refusal::Tampered)
    }

    /// Receipts that a look-up column says to be over by `until`, the oldest first, at most `limit`. One that does not open
    /// is passed over: it is for `check` to name, and must not keep the others from being swept.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list_due_receipts(
        &self,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Receipt>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .list_due_documents(DocumentKind::Receipt, LONGEST_DUE, until, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        let opened = found.value.iter();
        let opened = opened.filter_map(|row| facts::open_receipt(&self.shared.keys, row).ok());
        let receipts: Vec<Receipt> = opened.collect();
        let refs = receipts.iter().map(|receipt| Ref::receipt(receipt.id));
        self.relied().refs.extend(refs.map(|at| (at, found.at.seq)));
        Ok(receipts)
    }
}
