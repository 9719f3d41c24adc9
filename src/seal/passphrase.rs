//! The passphrase seal: Argon2id (RFC 9106) turns a passphrase into a key that wraps a random root key.
//! Parameters are stored with the record; OWASP's floor holds on reading too, so that a database writer cannot make guessing cheap.
//!
//! Invariant: parameters outside floor and ceiling are refused before any work is done, and those inside are bound into the wrap.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::{
    SealError,
    record::{PassphraseRecord, Provider, SealRecord, decode, encode},
};
use crate::{
    crypto::{KEY_BYTES, LockedKey, RootKey, RootPlace, SecretBytes},
    entropy::Entropy,
};

/// Shortest passphrase that a seal is made with, in bytes.
pub const PASSPHRASE_BYTES_MIN: usize = 8;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;
const SALT_BYTES: usize = 16;

/// RFC 9106's second choice (64 MiB, 3 passes) with one lane, since lanes run one after another here.
const NEW: Work = Work {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 1,
};
/// OWASP Password Storage: 46 MiB with one pass is the weakest setting of the table that we accept.
const FLOOR: Work = Work {
    memory_kib: 46 << 10,
    passes: 1,
    lanes: 1,
};
/// A record that asks for more was made by somebody who wants the server busy.
const CEILING: Work = Work {
    memory_kib: 512 << 10,
    passes: 10,
    lanes: 4,
};
const _: () = assert!(
    NEW.memory_kib >= FLOOR.memory_kib && NEW.passes >= FLOOR.passes && NEW.lanes >= FLOOR.lanes
);

#[derive(Clone, Copy)]
struct Work {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A random root key wrapped under a passphrase, and the record to store. Takes some 150 ms and 64 MiB: run it on a pool.
///
/// # Errors
/// The passphrase is too short or too long.
pub fn create(
    entropy: &dyn Entropy,
    place: RootPlace,
    passphrase: &SecretBytes,
) -> Result<(RootKey, SealRecord), SealError> {
    if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
        return Err(SealError::PassphraseLength);
    }
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    let sealing = NEW.stretch(passphrase, &salt)?;
    let root = RootKey::generate(entropy);
    let wrapped = root
        .wrap_under(&sealing, place, &NEW.name(), entropy)
        .expect("the parameters' name is far shorter than a context");
    let Work {
        memory_kib,
        passes,
        lanes,
    } = NEW;
    let (salt, wrapped) = (encode(&salt), encode(&wrapped));
    let stored = PassphraseRecord {
        memory_kib,
        passes,
        lanes,
        salt,
        wrapped,
    };
    let record = SealRecord::new(&root, place, Provider::Passphrase(stored));
    Ok((root, record))
}

/// The root key by its passphrase. Takes what the record's parameters ask for, at most 512 MiB: run it on a pool.
///
/// # Errors
/// The passphrase is wrong, or the record is another provider's, damaged, or asks for too little or too much work.
pub fn open(
    record: &SealRecord,
    place: RootPlace,
    passphrase: &SecretBytes,
) -> Result<RootKey, SealError> {
    let stored = record.expect_passphrase()?;
    let work = Work {
        memory_kib: stored.memory_kib,
        passes: stored.passes,
        lanes: stored.lanes,
    };
    if !work.permitted() {
        return Err(SealError::Parameters);
    }
    let (salt, wrapped) = (decode(&stored.salt)?, decode(&stored.wrapped)?);
    if salt.len() != SALT_BYTES {
        return Err(SealError::Damaged);
    }
    if passphrase.len() > PASSPHRASE_BYTES_MAX {
        return Err(SealError::WrongPassphrase);
    }
    let sealing = work.stretch(passphrase, &salt)?;
    let root = RootKey::unwrap_under(&sealing, place, &work.name(), &wrapped)
        .map_err(|_| SealError::WrongPassphrase)?;
    record.checked(root, place)
}

impl Work {
    fn permitted(self) -> bool {
        (FLOOR.memory_kib..=CEILING.memory_kib).contains(&self.memory_kib)
            && (FLOOR.passes..=CEILING.passes).contains(&self.passes)
            && (FLOOR.lanes..=CEILING.lanes).contains(&self.lanes)
    }

    /// The parameters in the context of the wrap.
    fn name(self) -> String {
        format!(
            "argon2id m={} t={} p={}",
            self.memory_kib, self.passes, self.lanes
        )
    }

    fn stretch(self, passphrase: &SecretBytes, salt: &[u8]) -> Result<LockedKey, SealError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES))
            .map_err(|_| SealError::Parameters)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose(), salt, key.as_mut_slice())
            .map_err(|_| SealError::NoMemory(self.memory_kib >> 10))?;
        Ok(LockedKey::copy_of(&key))
    }
}
