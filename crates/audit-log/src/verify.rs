//! Verifies a bundle with nothing but the public key: every line is read strictly, every record is hashed, every
//! head is rebuilt, and every head that one stream wrote down of another is demanded. What is missing must be what the
//! log itself says it pruned.
//!
//! Invariant: nothing the bundle says of itself is believed; only the caller's key is.

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::anchor::anchors;
use crate::bundle::{BUNDLE_FORMAT, STREAMS_MAX};
use crate::canonical::decimal;
use crate::damage::Damage;
use crate::gap::Gap;
use crate::key::VerifierKey;
use crate::lines::Lines;
use crate::name::{ClusterId, StreamId};
use crate::note::{Checkpoint, NOTE_BYTES_MAX, open_note};
use crate::pruning::{Missing, Pruning, prunings};
use crate::record::{RECORD_BYTES_MAX, Record};
use crate::report::{Report, StreamReport};
use crate::tree::{Frontier, Hash, leaf_hash};

/// Verifies a bundle. Memory: 32 bytes a record and 96 an anchored head. Do not wrap the reader in a decompressor
/// that repairs anything: every byte counts.
///
/// # Errors
/// The first [`Damage`] found. [`Damage::Unreadable`] alone says nothing about the bundle.
pub fn verify(bundle: impl BufRead, key: &VerifierKey) -> Result<Report, Damage> {
    verify_against(bundle, key, &[])
}

/// Verifies a bundle, and demands that it continues heads kept elsewhere (opened by [`open_note`]): what a witness
/// or an earlier export saw can then not have been cut off.
///
/// # Errors
/// As [`verify`]; damage against a kept head is at line 0.
pub fn verify_against(
    bundle: impl BufRead,
    key: &VerifierKey,
    kept: &[Checkpoint],
) -> Result<Report, Damage> {
    let mut lines = Lines::new(bundle);
    let (cluster, count) = header(&mut lines, key)?;
    let mut demands = Demands::default();
    for head in kept {
        demands.add(
            &head.origin.stream,
            Demand {
                line: 0,
                size: head.size,
                root: head.root,
            },
        );
    }
    let mut streams: Vec<Stream> = Vec::new();
    for _ in 0..count {
        let next = stream(&mut lines, key, &mut demands)?;
        if streams
            .last()
            .is_some_and(|last| last.report.stream >= next.report.stream)
        {
            return Err(Damage::StreamOrder { line: next.line });
        }
        streams.push(next);
    }
    let records = streams.iter().map(|stream| stream.report.size).sum();
    end(&mut lines, records)?;
    for stream in &streams {
        demands.allow(stream)?;
    }
    let anchors = demands.meet(&streams)?;
    let streams = streams.into_iter().map(|stream| stream.report).collect();
    Ok(Report {
        cluster,
        streams,
        records,
        anchors,
    })
}

/// A stream that was read, and what it takes to know its root at any size.
struct Stream {
    line: u64,
    report: StreamReport,
    /// A hash for each record that is there and for each gap.
    nodes: Vec<Hash>,
    /// The gaps, each with its place among the nodes.
    gaps: Vec<(usize, u8)>,
    missing: Missing,
}

impl Stream {
    /// The nodes, each with its level.
    fn nodes(&self) -> impl Iterator<Item = (u8, Hash)> {
        let mut gaps = self.gaps.iter().peekable();
        self.nodes.iter().enumerate().map(move |(at, hash)| {
            let gap = gaps.next_if(|(place, _)| *place == at);
            (gap.map_or(0, |(_, level)| *level), *hash)
        })
    }
}

/// A head that some record, or the caller, says a stream had.
struct Demand {
    line: u64,
    size: u64,
    root: Hash,
}

#[derive(Default)]
struct Demands {
    by_stream: BTreeMap<StreamId, Vec<Demand>>,
    prunings: BTreeMap<StreamId, Vec<Pruning>>,
}

impl Demands {
    fn add(&mut self, stream: &StreamId, demand: Demand) {
        match self.by_stream.get_mut(stream) {
            Some(demands) => demands.push(demand),
            None => drop(self.by_stream.insert(stream.clone(), vec![demand])),
        }
    }

    /// Nothing is missing of a stream that was not allowed to be.
    fn allow(&self, stream: &Stream) -> Result<(), Damage> {
        let id = &stream.report.stream;
        let prunings = self.prunings.get(id).map_or(&[][..], Vec::as_slice);
        match stream.missing.first_unallowed(prunings, stream.report.size) {
            None => Ok(()),
            Some(index) => Err(Damage::Unallowed {
                stream: id.clone(),
                index,
            }),
        }
    }

    /// Grows every demanded stream once more from its nodes, and compares it at each demanded size. A size within a
    /// gap has no root any more: of such a one the stream's length is all that an anchor can still demand.
    fn meet(self, streams: &[Stream]) -> Result<u64, Damage> {
        let mut met = 0;
        for (id, mut demands) in self.by_stream {
            demands.sort_by_key(|demand| (demand.size, demand.line));
            let found = streams.binary_search_by(|stream| stream.report.stream.cmp(&id));
            let stream = match found {
                Ok(at) => &streams[at],
                Err(_) => {
                    return Err(Damage::MissingStream {
                        line: demands[0].line,
                        stream: id,
                    });
                }
            };
            let mut tree = Frontier::new();
            let mut nodes = stream.nodes();
            for Demand { line, size, root } in demands {
                if size > stream.report.size {
                    return Err(Damage::ShortStream {
                        line,
                        stream: id,
                        anchored: size,
                        size: stream.report.size,
                    });
                }
                while tree.size() < size {
                    let (level, hash) = nodes.next().expect("a stream has a node for each record");
                    grow(&mut tree, level, hash);
                }
                if tree.size() > size && line == 0 {
                    return Err(Damage::PrunedHead { stream: id, size });
                }
                if tree.size() == size && tree.root() != root {
                    return Err(Damage::OtherHistory { line, stream: id });
                }
                met += 1;
            }
        }
        Ok(met)
    }
}

/// Reads the four lines before the streams; gives the cluster and the number of streams.
fn header(lines: &mut Lines<impl BufRead>, key: &VerifierKey) -> Result<(ClusterId, u64), Damage> {
    let first = lines.next(NOTE_BYTES_MAX)?;
    if first != BUNDLE_FORMAT.as_bytes() {
        return Err(lines.unexpected("the first line of an audit bundle"));
    }
    let cluster: ClusterId = lines
        .next_field("cluster ")?
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| lines.unexpected("the cluster"))?;
    if cluster.key_name() != key.name() {
        return Err(Damage::OtherKey { line: lines.line() });
    }
    let named = lines
        .next_field("key ")?
        .map(|text| text == key.to_string());
    if !named.ok_or_else(|| lines.unexpected("the key"))? {
        return Err(Damage::OtherKey { line: lines.line() });
    }
    let streams = lines
        .next_field("streams ")?
        .and_then(decimal)
        .filter(|count| (1..=STREAMS_MAX).contains(count));
    Ok((
        cluster,
        streams.ok_or_else(|| lines.unexpected("the number of streams"))?,
    ))
}

/// Reads one stream: its line, its signed head and its records; collects what its anchors demand.
fn stream(
    lines: &mut Lines<impl BufRead>,
    key: &VerifierKey,
    demands: &mut Demands,
) -> Result<Stream, Damage> {
    let id: StreamId = lines
        .next_field("stream ")?
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| lines.unexpected("a stream"))?;
    let line = lines.line();
    let head = head(lines, key)?;
    if head.origin.stream != id {
        return Err(Damage::OtherStream { line: line + 1 });
    }
    let mut report = StreamReport {
        stream: id,
        size: head.size,
        pruned: 0,
        root: head.root,
        first: None,
        last: None,
    };
    let (mut nodes, mut gaps, mut missing) = (Vec::new(), Vec::new(), Missing::default());
    let mut tree = Frontier::new();
    let mut before: Option<Gap> = None;
    while tree.size() < head.size {
        let (line, bytes) = lines.next_numbered(RECORD_BYTES_MAX)?;
        let index = tree.size();
        let Some(gap) = Gap::parse(index, bytes) else {
            record(line, bytes, index, &mut report, demands)?;
            let leaf = leaf_hash(bytes);
            tree.push(leaf);
            nodes.push(leaf);
            before = None;
            continue;
        };
        let gap = gap.filter(|gap| gap.end() <= head.size);
        let gap = gap.ok_or(Damage::Gap { line })?;
        if index == 0 {
            return Err(Damage::NoClaim { line });
        }
        if before.is_some_and(|before| before.joined(&gap).is_some()) {
            return Err(Damage::Gap { line });
        }
        gaps.push((nodes.len(), gap.level));
        nodes.push(gap.hash);
        missing.add(&gap);
        grow(&mut tree, gap.level, gap.hash);
        before = Some(gap);
    }
    report.pruned = missing.count();
    if tree.root() != head.root {
        return Err(Damage::Root {
            line,
            stream: report.stream,
        });
    }
    Ok(Stream {
        line,
        report,
        nodes,
        gaps,
        missing,
    })
}

/// Appends a node that was found to begin where the tree ends.
fn grow(tree: &mut Frontier, level: u8, hash: Hash) {
    let grown = tree.push_subtree(level, hash);
    assert!(grown, "a gap was parsed at its place");
}

/// Reads the five lines of a signed head and opens it.
fn head(lines: &mut Lines<impl BufRead>, key: &VerifierKey) -> Result<Checkpoint, Damage> {
    let line = lines.line() + 1;
    let mut note = Vec::new();
    for _ in 0..5 {
        note.extend_from_slice(lines.next(NOTE_BYTES_MAX)?);
        note.push(b'\n');
    }
    let note = std::str::from_utf8(&note).map_err(|_| Damage::Unexpected {
        line,
        expected: "a signed head",
    })?;
    open_note(note, key).map_err(|reason| Damage::Head { line, reason })
}

/// Checks one record against its place, and notes what it anchors.
fn record(
    line: u64,
    bytes: &[u8],
    index: u64,
    of: &mut StreamReport,
    demands: &mut Demands,
) -> Result<(), Damage> {
    let record = Record::parse(bytes).map_err(|reason| Damage::Record { line, reason })?;
    if record.stream != of.stream.as_str() {
        return Err(Damage::RecordStream { line });
    }
    if record.index != index {
        return Err(Damage::RecordIndex {
            line,
            expected: index,
            found: record.index,
        });
    }
    if of.last.is_some_and(|last| record.time < last) {
        return Err(Damage::RecordTime { line });
    }
    of.first.get_or_insert(record.time);
    of.last = Some(record.time);
    for pruning in prunings(&record)
        .map_err(|_| Damage::Pruning { line })?
        .unwrap_or_default()
    {
        let all = demands.prunings.entry(pruning.stream.clone());
        all.or_default().push(pruning);
    }
    match anchors(&record).map_err(|_| Damage::Anchor { line })? {
        None if index == 0 => return Err(Damage::NoClaim { line }),
        None => {}
        Some(anchored) => {
            for anchor in anchored {
                demands.add(
                    &anchor.stream,
                    Demand {
                        line,
                        size: anchor.size,
                        root: anchor.root,
                    },
                );
            }
        }
    }
    Ok(())
}

/// Reads the last line, and that nothing follows.
fn end(lines: &mut Lines<impl BufRead>, found: u64) -> Result<(), Damage> {
    let said = lines
        .next_field("end ")?
        .and_then(decimal)
        .ok_or_else(|| lines.unexpected("the end"))?;
    if said != found {
        return Err(Damage::Total {
            line: lines.line(),
            said,
            found,
        });
    }
    lines.end()
}
