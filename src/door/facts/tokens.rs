//! Tokens and principals as facts.
//! The row's id and name say only where to look; the document under them must carry the same.
//!
//! Invariant: a token is believed only under the head of its own MAC.

use std::sync::Arc;

use super::{LoadError, Loaded, opened};
use crate::crypto::{CryptoError, Keyring};
use crate::door::documents::{self, NO_SPACE, Within};
use crate::model::{DocumentKind, DocumentRow, Name, Principal, PrincipalId, Token, TokenId};
use crate::store::{Connection, Seen};

pub(in crate::door) fn open_token(keys: &Keyring, row: &DocumentRow) -> Result<Token, CryptoError> {
    let token: Token = documents::open(keys, row, Within::default(), "")?;
    (*token.id.as_bytes() == row.id && token.mac[..16] == row.id)
        .then_some(token)
        .ok_or(CryptoError)
}

pub(in crate::door) async fn load_token(
    connection: &mut Connection,
    keys: &Keyring,
    id: TokenId,
) -> Result<Loaded<Option<Arc<Token>>>, LoadError> {
    let Seen { at, value } = connection
        .find_document(DocumentKind::Token, *id.as_bytes())
        .await?;
    let token = value
        .map(|row| open_token(keys, &row))
        .transpose()
        .map(|token| token.map(Arc::new));
    opened(at, token)
}

pub(in crate::door) fn open_principal(
    keys: &Keyring,
    row: &DocumentRow,
) -> Result<Principal, CryptoError> {
    let principal: Principal = documents::open(keys, row, Within::default(), &row.name)?;
    let same = *principal.id.as_bytes() == row.id && principal.name.as_str() == row.name;
    same.then_some(principal).ok_or(CryptoError)
}

pub(in crate::door) async fn load_principal(
    connection: &mut Connection,
    keys: &Keyring,
    id: PrincipalId,
) -> Result<Loaded<Option<Arc<Principal>>>, LoadError> {
    let Seen { at, value } = connection
        .find_document(DocumentKind::Principal, *id.as_bytes())
        .await?;
    opened(
        at,
        value
            .map(|row| open_principal(keys, &row))
            .transpose()
            .map(|found| found.map(Arc::new)),
    )
}

pub(in crate::door) async fn load_application(
    connection: &mut Connection,
    keys: &Keyring,
    name: &Name,
) -> Result<Loaded<Option<PrincipalId>>, LoadError> {
    let Seen { at, value } = connection
        .find_document_named(DocumentKind::Principal, NO_SPACE, name.as_str())
        .await?;
    let found = value.map(|row| open_principal(keys, &row)).transpose();
    let found = found.and_then(|found| match found {
        Some(principal) if principal.name != *name => Err(CryptoError),
        found => Ok(found.map(|principal| principal.id)),
    });
    opened(at, found)
}
