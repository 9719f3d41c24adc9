//! Envelope E1: how everything in Coffer is sealed. A fresh salt derives key, nonce and commitment by HKDF-SHA-256
//! (RFC 5869) under the context, so that no nonce limit exists, nothing opens elsewhere, and no ciphertext opens under two keys.
//!
//! ```text
//! (k, n, c) = HKDF-SHA-256(key, salt, info = "coffer/E1/" ‖ alg ‖ context)  → 32 ‖ 12 ‖ 32 bytes
//! envelope  = 0x01 ‖ alg ‖ term u32 ‖ salt 32 ‖ c 32 ‖ AEAD(k, n, aad = context, plaintext) ‖ tag 16
//! ```
//! The commitment `c` follows C2SP chunked-encryption; it stops partitioning oracles and invisible salamanders
//! (Len, Grubbs, Ristenpart 2021), against which neither AES-GCM nor ChaCha20-Poly1305 protects by itself.
//!
//! Invariant: nothing is decrypted before the commitment was compared, in constant time, and every failure looks the same.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    CryptoError, SecretBytes,
    aead::{self, NONCE_BYTES, TAG_BYTES},
    context::{Context, EncodedContext},
    locked::{KEY_BYTES, LockedKey},
};
use crate::entropy::Entropy;

const FORMAT: u8 = 0x01;
const SALT_BYTES: usize = 32;
const COMMITMENT_BYTES: usize = 32;
const DERIVED_BYTES: usize = KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES;
pub(super) const HEADER_BYTES: usize = 1 + 1 + 4 + SALT_BYTES + COMMITMENT_BYTES;

/// What an envelope adds to its plaintext, in bytes.
pub const ENVELOPE_OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// Longest plaintext of one envelope: far below the limits of both ciphers, far above a segment.
pub(super) const PLAINTEXT_BYTES_MAX: usize = 64 << 20;

/// The cipher of an envelope, its second byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Algorithm {
    Aes256Gcm = 1,
    /// Read always, written by no configuration yet: for machines without AES instructions.
    ChaCha20Poly1305 = 2,
}

impl Algorithm {
    fn parse(byte: u8) -> Result<Self, CryptoError> {
        match byte {
            1 => Ok(Self::Aes256Gcm),
            2 => Ok(Self::ChaCha20Poly1305),
            _ => Err(CryptoError),
        }
    }
}

/// Seals `plaintext` at a place, under a salt drawn here.
pub(super) fn seal(
    key: &LockedKey,
    algorithm: Algorithm,
    context: &Context<'_>,
    entropy: &dyn Entropy,
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    if plaintext.len() > PLAINTEXT_BYTES_MAX {
        return Err(CryptoError);
    }
    let (term, place) = (context.header_term()?, context.encode()?);
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    let derived = derive(key, algorithm, &salt, &place)?;

    let mut out = Vec::with_capacity(plaintext.len() + ENVELOPE_OVERHEAD_BYTES);
    out.extend_from_slice(&[FORMAT, algorithm as u8]);
    out.extend_from_slice(&term.to_be_bytes());
    out.extend_from_slice(&salt);
    out.extend_from_slice(derived.commitment());
    out.extend_from_slice(plaintext);
    let tag = aead::seal(
        algorithm,
        derived.key(),
        derived.nonce(),
        place.bytes(),
        &mut out[HEADER_BYTES..],
    )?;
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Opens an envelope that was sealed with this key at this place.
pub(super) fn open(
    key: &LockedKey,
    context: &Context<'_>,
    envelope: &[u8],
) -> Result<SecretBytes, CryptoError> {
    let (header, place) = (Header::parse(envelope)?, context.encode()?);
    let derived = committed(key, context, &header, &place)?;
    open_body(&header, derived.key(), derived.nonce(), place.bytes())
}

/// The term in an envelope's head: which key to open it with. It is a look-up only; the context proves it.
pub(super) fn term(envelope: &[u8]) -> Result<u32, CryptoError> {
    Header::parse(envelope).map(|header| header.term)
}

/// What one envelope's opening needs, derived once and kept: a later read pays for the AEAD alone.
pub(super) struct Opener {
    key: LockedKey,
    nonce: [u8; NONCE_BYTES],
    header: [u8; HEADER_BYTES],
    place: Box<[u8]>,
}

impl Opener {
    pub(super) fn new(
        key: &LockedKey,
        context: &Context<'_>,
        envelope: &[u8],
    ) -> Result<Self, CryptoError> {
        let (header, place) = (Header::parse(envelope)?, context.encode()?);
        let derived = committed(key, context, &header, &place)?;
        Ok(Self {
            key: LockedKey::cached(derived.key()),
            nonce: *derived.nonce(),
            header: *header.bytes,
            place: place.bytes().into(),
        })
    }

    /// Opens the envelope this was made from; another one, even of the same key, is refused by its head.
    pub(super) fn open(&self, envelope: &[u8]) -> Result<SecretBytes, CryptoError> {
        let header = Header::parse(envelope)?;
        if *header.bytes != self.header {
            return Err(CryptoError);
        }
        open_body(&header, self.key.expose(), &self.nonce, &self.place)
    }
}

fn committed(
    key: &LockedKey,
    context: &Context<'_>,
    header: &Header<'_>,
    place: &EncodedContext,
) -> Result<Derived, CryptoError> {
    if header.term != context.header_term()? {
        return Err(CryptoError);
    }
    let derived = derive(key, header.algorithm, header.salt, place)?;
    if bool::from(derived.commitment().as_slice().ct_eq(header.commitment)) {
        Ok(derived)
    } else {
        Err(CryptoError)
    }
}

fn open_body(
    header: &Header<'_>,
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    place: &[u8],
) -> Result<SecretBytes, CryptoError> {
    let mut text = Zeroizing::new(vec![0; header.body.len() - TAG_BYTES]);
    aead::open(header.algorithm, key, nonce, place, header.body, &mut text)?;
    Ok(SecretBytes::new(std::mem::take(&mut text)))
}

/// An envelope taken apart, strictly: a length below the smallest, another format or cipher is no envelope.
struct Header<'a> {
    bytes: &'a [u8; HEADER_BYTES],
    algorithm: Algorithm,
    term: u32,
    salt: &'a [u8],
    commitment: &'a [u8],
    body: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(envelope: &'a [u8]) -> Result<Self, CryptoError> {
        let (bytes, body) = envelope
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(CryptoError)?;
        if bytes[0] != FORMAT
            || body.len() < TAG_BYTES
            || body.len() > PLAINTEXT_BYTES_MAX + TAG_BYTES
        {
            return Err(CryptoError);
        }
        let algorithm = Algorithm::parse(bytes[1])?;
        let term = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        let (salt, commitment) = bytes[6..].split_at(SALT_BYTES);
        Ok(Self {
            bytes,
            algorithm,
            term,
            salt,
            commitment,
            body,
        })
    }
}

/// One HKDF output: key, nonce, commitment.
struct Derived(Zeroizing<[u8; DERIVED_BYTES]>);

impl Derived {
    fn key(&self) -> &[u8; KEY_BYTES] {
        self.0.first_chunk().expect("76 bytes begin with 32")
    }

    fn nonce(&self) -> &[u8; NONCE_BYTES] {
        self.0[KEY_BYTES..]
            .first_chunk()
            .expect("44 bytes begin with 12")
    }

    fn commitment(&self) -> &[u8; COMMITMENT_BYTES] {
        self.0.last_chunk().expect("76 bytes end with 32")
    }
}

fn derive(
    key: &LockedKey,
    algorithm: Algorithm,
    salt: &[u8],
    place: &EncodedContext,
) -> Result<Derived, CryptoError> {
    let mut out = Derived(Zeroizing::new([0; DERIVED_BYTES]));
    Hkdf::<Sha256>::new(Some(salt), key.expose())
        .expand_multi_info(
            &[b"coffer/E1/", &[algorithm as u8], place.bytes()],
            out.0.as_mut_slice(),
        )
        .map_err(|_| CryptoError)?;
    Ok(out)
}

#[cfg(test)]
#[path = "vectors.rs"]
mod vectors;
