//! Everything a verifier can find wrong with a bundle, one sentence each, with the line it was found at.
//! The sentences name streams and numbers of the bundle, and never repeat a record.
//!
//! Invariant: a bundle in which nothing of this is found is exactly what the key's holder signed.

use crate::name::StreamId;
use crate::note::NoteError;
use crate::record::RecordError;

/// Why a bundle does not verify. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file could not be read to its end: nothing was found out about it.
    #[error("line {line}: the file cannot be read: {kind}")]
    Unreadable {
        /// The line being read.
        line: u64,
        /// What reading said.
        kind: std::io::ErrorKind,
    },
    /// The file ends too early, or a line has no newline.
    #[error("line {line}: the bundle ends in the middle")]
    Short {
        /// The line that is missing or cut.
        line: u64,
    },
    /// A line is longer than any line of a bundle.
    #[error("line {line}: the line is longer than a bundle's lines can be")]
    LongLine {
        /// The line.
        line: u64,
    },
    /// Something else than what a bundle has at this place.
    #[error("line {line}: {expected} was expected here")]
    Unexpected {
        /// The line.
        line: u64,
        /// What belongs there.
        expected: &'static str,
    },
    /// The bundle names a cluster or a key other than the key it is verified with.
    #[error("line {line}: the bundle belongs to another cluster or key than the one given")]
    OtherKey {
        /// The line.
        line: u64,
    },
    /// A signed head does not open.
    #[error("line {line}: {reason}")]
    Head {
        /// The head's first line.
        line: u64,
        /// Why not.
        reason: NoteError,
    },
    /// A head of another stream than the one it stands in.
    #[error("line {line}: the head is that of another stream")]
    OtherStream {
        /// The head's first line.
        line: u64,
    },
    /// The streams are not sorted, or one stands there twice.
    #[error("line {line}: the streams are not in order, or one stands there twice")]
    StreamOrder {
        /// The stream's first line.
        line: u64,
    },
    /// A line is not a record.
    #[error("line {line}: {reason}")]
    Record {
        /// The line.
        line: u64,
        /// Why not.
        reason: RecordError,
    },
    /// A record of another stream.
    #[error("line {line}: the record belongs to another stream")]
    RecordStream {
        /// The line.
        line: u64,
    },
    /// A record at another place than its own.
    #[error("line {line}: record {expected} was expected, and this one says {found}")]
    RecordIndex {
        /// The line.
        line: u64,
        /// Its position in the stream.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// A record that is older than the one before it.
    #[error("line {line}: the record is older than the one before it")]
    RecordTime {
        /// The line.
        line: u64,
    },
    /// A stream that does not begin with its claim.
    #[error(
        "line {line}: the stream does not begin with the record that claims it and names all streams"
    )]
    NoClaim {
        /// The line of its first record.
        line: u64,
    },
    /// An anchor record that cannot be read.
    #[error("line {line}: the anchor record does not map stream ids to heads")]
    Anchor {
        /// The line.
        line: u64,
    },
    /// A line says that records were pruned, and not as such a line does.
    #[error("line {line}: what was pruned is not written as it has to be")]
    Gap {
        /// The line.
        line: u64,
    },
    /// A record of a pruning cannot be read.
    #[error("line {line}: the record of a pruning does not map stream ids to ranges")]
    Pruning {
        /// The line.
        line: u64,
    },
    /// A record is missing that no pruning allows to be.
    #[error("stream {stream} lacks the record {index}, and no record of a pruning allows it to")]
    Unallowed {
        /// The stream.
        stream: StreamId,
        /// The first index that is missing so.
        index: u64,
    },
    /// A head that was kept elsewhere ends among records that were pruned, so it cannot be compared.
    #[error(
        "the head of stream {stream} at {size} records ends among records that were pruned: compare with a newer one"
    )]
    PrunedHead {
        /// The stream.
        stream: StreamId,
        /// The size of the head.
        size: u64,
    },
    /// The records of a stream are not those its head was signed over.
    #[error(
        "line {line}: the records of stream {stream} are not the ones its head was signed over"
    )]
    Root {
        /// The stream's first line.
        line: u64,
        /// The stream.
        stream: StreamId,
    },
    /// A stream that a record names is not in the bundle.
    #[error("line {line}: stream {stream}, which is named here, is missing")]
    MissingStream {
        /// The line of the anchor; 0 for a head kept elsewhere.
        line: u64,
        /// The stream.
        stream: StreamId,
    },
    /// A stream is shorter than a record says it was.
    #[error(
        "line {line}: stream {stream} had {anchored} records here, and the bundle holds {size}"
    )]
    ShortStream {
        /// The line of the anchor; 0 for a head kept elsewhere.
        line: u64,
        /// The stream.
        stream: StreamId,
        /// The size that was anchored.
        anchored: u64,
        /// The size in the bundle.
        size: u64,
    },
    /// A stream is another one than a record says it was.
    #[error("line {line}: stream {stream} had other records when its head was written down here")]
    OtherHistory {
        /// The line of the anchor; 0 for a head kept elsewhere.
        line: u64,
        /// The stream.
        stream: StreamId,
    },
    /// The number of records at the end is not the number there were.
    #[error("line {line}: the bundle says it ends after {said} records, and there were {found}")]
    Total {
        /// The line.
        line: u64,
        /// What the last line says.
        said: u64,
        /// How many there were.
        found: u64,
    },
    /// Something follows the end.
    #[error("line {line}: something follows the end of the bundle")]
    Trailing {
        /// The line.
        line: u64,
    },
}
