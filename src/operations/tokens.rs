//! Tokens: made, shown and revoked.
//! A child may never more than its maker, lives no longer and dies with it; an orphan carries its maker's refusals itself.
//!
//! Invariant: a token's text is in the reply to its making and nowhere else.

mod create;
mod list;
mod mint;
mod revoke;

pub use create::{CreateToken, CreatedToken};
pub use list::{ListTokens, ReadOwnToken, TokenFacts, TokensPage};
pub use mint::MintFirstToken;
pub use revoke::{RevokeToken, TokenNamed};

use crate::crypto::{Keyring, PlainToken};
use crate::model::TokenId;

/// The id that a token is kept under: the first sixteen bytes of its MAC.
fn id_of(keys: &Keyring, plain: &PlainToken) -> (TokenId, [u8; 32]) {
    let mac = *keys.token_mac().hash(plain).bytes();
    let mut id = [0; 16];
    id.copy_from_slice(&mac[..16]);
    (TokenId::from_bytes(id), mac)
}
