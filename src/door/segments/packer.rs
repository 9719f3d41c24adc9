//! What compresses segments, and what unpacks them again.
//!
//! Invariant: nothing unpacks to more than it says, nor to more than a segment may hold.

use zstd::zstd_safe::CParameter;

use crate::crypto::CryptoError;

/// zstd's level: higher ones save one or two bytes in a hundred.
const ZSTD_LEVEL: i32 = 3;
/// Entries of its tables for a batch, as a power of two: larger ones are out of the processor's cache when the next batch
/// comes, and one record is like the one before it.
const ZSTD_TABLE_LOG: u32 = 12;
/// The most bytes that one segment unpacks to.
const SEGMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A compressor; kept from one segment to the next, since making it costs more than using it.
pub(in crate::door) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// For batches as they come.
    pub(in crate::door) fn new() -> Self {
        Self::made(|packer| {
            packer.set_parameter(CParameter::HashLog(ZSTD_TABLE_LOG))?;
            packer.set_parameter(CParameter::ChainLog(ZSTD_TABLE_LOG))
        })
    }

    /// For thousands of records at once.
    pub(super) fn large() -> Self {
        Self::made(|_| Ok(()))
    }

    fn made(set: impl FnOnce(&mut zstd::bulk::Compressor<'static>) -> std::io::Result<()>) -> Self {
        let made = zstd::bulk::Compressor::new(ZSTD_LEVEL).and_then(|mut packer| {
            set(&mut packer)?;
            Ok(packer)
        });
        Self(made.expect("a compressor without a dictionary needs memory alone"))
    }

    /// The length as it will be again, then the compressed bytes.
    pub(super) fn pack(&mut self, plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if plain.len() > SEGMENT_BYTES_MAX {
            return Err(CryptoError);
        }
        let mut packed = u32::try_from(plain.len())
            .map_err(|_| CryptoError)?
            .to_be_bytes()
            .to_vec();
        packed.extend_from_slice(&self.0.compress(plain).map_err(|_| CryptoError)?);
        Ok(packed)
    }
}

/// What [`Packer::pack`] was given.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (length, packed) = packed.split_first_chunk::<4>().ok_or(CryptoError)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CryptoError)?;
    if length > SEGMENT_BYTES_MAX {
        return Err(CryptoError);
    }
    let plain = zstd::bulk::decompress(packed, length).map_err(|_| CryptoError)?;
    (plain.len() == length).then_some(plain).ok_or(CryptoError)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advisory H7: a few bytes that would unpack to very many, and a length that lies in either direction.
    #[test]
    fn replay_h07_a_segment_that_unpacks_to_more() {
        let plain = vec![0; 8 << 20];
        let packed = Packer::large().pack(&plain).expect("it is short enough");
        assert!(packed.len() < plain.len() / 1_000, "a bomb");
        assert_eq!(unpack(&packed).map(|plain| plain.len()).ok(), Some(8 << 20));
        let said = |length: u32| {
            let mut lying = packed.clone();
            lying[..4].copy_from_slice(&length.to_be_bytes());
            unpack(&lying)
        };
        for length in [0, 1, 1 << 10, (8 << 20) - 1, (8 << 20) + 1] {
            assert!(said(length).is_err(), "{length}");
        }
        // More than a segment may hold is not even begun.
        for length in [SEGMENT_BYTES_MAX as u32 + 1, u32::MAX] {
            assert!(said(length).is_err(), "{length}");
        }
        assert!(
            Packer::large()
                .pack(&vec![0; SEGMENT_BYTES_MAX + 1])
                .is_err()
        );
    }
}
