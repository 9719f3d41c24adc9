//! Receipts as they are opened: none is kept in memory, since few are ever asked for again.
//!
//! Invariant: a receipt is believed only under its own id.

use crate::crypto::{CryptoError, Keyring};
use crate::door::documents::{self, Within};
use crate::model::{DocumentRow, Receipt};

pub(in crate::door) fn open_receipt(
    keys: &Keyring,
    row: &DocumentRow,
) -> Result<Receipt, CryptoError> {
    let receipt: Receipt = documents::open(keys, row, Within::default(), "")?;
    (*receipt.id.as_bytes() == row.id)
        .then_some(receipt)
        .ok_or(CryptoError)
}
