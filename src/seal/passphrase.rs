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
    crypto::{Context, KEY_BYTES, Label, LockedKey, RootKey, SecretBytes, open_envelope},
    entropy::Entropy,
    model::ClusterId,
};

pub(super) const PASSPHRASE_BYTES_MIN: usize = 8;
pub(super) const PASSPHRASE_BYTES_MAX: usize = 1_024;
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

pub(super) fn create(
    entropy: &dyn Entropy,
    cluster: ClusterId,
    passphrase: &SecretBytes,
) -> Result<(RootKey, SealRecord), SealError> {
    if !(PASSPHRASE_BYTES_MIN..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
        return Err(SealError::PassphraseLength);
    }
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    let key = NEW.stretch(passphrase, &salt)?;
    let root = RootKey::generate(entropy);
    let name = NEW.name();
    let wrapped = root
        .seal_under(&key, &context(cluster, &name), entropy)
        .map_err(|_| SealError::Damaged)?;
    let Work {
        memory_kib,
        passes,
        lanes,
    } = NEW;
    let provider = Provider::Passphrase(PassphraseRecord {
        memory_kib,
        passes,
        lanes,
        salt: encode(&salt),
        wrapped: encode(&wrapped),
    });
    let record = SealRecord::new(&root, cluster, provider);
    Ok((root, record))
}

pub(super) fn open(
    record: &SealRecord,
    cluster: ClusterId,
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
    let key = work.stretch(passphrase, &salt)?;
    let opened = open_envelope(&key, &context(cluster, &work.name()), &wrapped)
        .map_err(|_| SealError::WrongPassphrase)?;
    let root = RootKey::from_secret(&opened).map_err(|_| SealError::Damaged)?;
    record.checked(root, cluster).ok_or(SealError::WrongKey)
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

/// No term: the wrap has one key, and the object id names the cluster and the work.
fn context(cluster: ClusterId, work: &str) -> Context<'_> {
    Context::new(Label::Seal, cluster, "root-key").object(cluster.as_bytes(), work)
}
