//! Whole streams, read up to heads that are signed: lines as they were hashed.
//! Every stream's root is rebuilt on the way, so an export is either what was recorded or breaks off.
//!
//! Invariant: no stream ends before its head.

use std::sync::Arc;

use coffer_audit_log::{BundleWriter, Frontier};

use super::aside;
use crate::door::Head;
use crate::door::accounts::Accounts;
use crate::door::segments::{Opened, Piece};
use crate::door::shared::Shared;
use crate::model::{Refusal, SegmentRow, StreamId};

const PRUNED_MEANWHILE: &str = "records were pruned while they were read; ask again";

/// Reads whole streams up to their heads, a chunk at a time.
pub struct LogReader {
    shared: Arc<Shared>,
    heads: std::vec::IntoIter<Head>,
    current: Option<(Head, Frontier)>,
    bundle: Option<Bundling>,
    ended: bool,
}

/// A bundle on its way, with what it has to account for.
struct Bundling {
    writer: BundleWriter,
    accounts: Accounts,
    ended: Vec<(StreamId, u64)>,
}

impl Bundling {
    /// Writes a piece of a stream.
    fn write(
        &mut self,
        stream: StreamId,
        piece: Piece<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        self.accounts.take(stream, &piece);
        let written = match piece {
            Piece::Line(_, line) => self.writer.record(line, out),
            Piece::Gap(gap) => self.writer.gap(&gap, out),
        };
        written.map_err(|_| Refusal::Tampered)
    }

    /// Ends it, unless something was pruned since its heads were read: what says so lies behind them.
    fn end(self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut streams = self.ended.iter();
        if streams.any(|(id, size)| self.accounts.first_unsaid(*id, *size).is_some()) {
            return Err(Refusal::Unavailable(PRUNED_MEANWHILE));
        }
        self.writer.end(out).map_err(|_| Refusal::Tampered)
    }
}

impl LogReader {
    /// Lines alone: JSONL.
    pub(super) fn lines(shared: Arc<Shared>, heads: Vec<Head>) -> Self {
        Self::new(shared, heads, None)
    }

    /// A bundle, whose header is in `out`.
    pub(super) fn bundle(
        shared: Arc<Shared>,
        mut heads: Vec<Head>,
        out: &mut Vec<u8>,
    ) -> Result<Self, Refusal> {
        heads.sort_by_key(|head| head.stream);
        let count = u64::try_from(heads.len()).map_err(|_| Refusal::Tampered)?;
        let writer =
            BundleWriter::begin(&shared.verifier, count, out).map_err(|_| Refusal::Tampered)?;
        let bundle = Bundling {
            writer,
            accounts: Accounts::default(),
            ended: Vec::new(),
        };
        Ok(Self::new(shared, heads, Some(bundle)))
    }

    fn new(shared: Arc<Shared>, heads: Vec<Head>, bundle: Option<Bundling>) -> Self {
        Self {
            shared,
            heads: heads.into_iter(),
            current: None,
            bundle,
            ended: false,
        }
    }

    /// The next bytes of the export; `None` once all of it is given.
    ///
    /// # Errors
    /// The store does not answer, or what it holds is not what the heads say.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.ended {
                return Ok(None);
            }
            match self.current.take() {
                None => self.begin_stream(&mut out)?,
                Some((head, tree)) => self.read_on(head, tree, &mut out).await?,
            }
        }
        Ok(Some(out))
    }

    fn begin_stream(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(head) = self.heads.next() else {
            self.ended = true;
            return match self.bundle.take() {
                Some(bundle) => bundle.end(out),
                None => Ok(()),
            };
        };
        if let Some(bundle) = &mut self.bundle {
            let stream = bundle.writer.stream(&head.note, out);
            stream.map_err(|_| Refusal::Tampered)?;
            bundle.ended.push((head.stream, head.checkpoint.size));
        }
        self.current = Some((head, Frontier::new()));
        Ok(())
    }

    async fn read_on(
        &mut self,
        head: Head,
        mut tree: Frontier,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let size = head.checkpoint.size;
        if tree.size() == size {
            return if tree.root() == head.checkpoint.root {
                Ok(())
            } else {
                Err(Refusal::Tampered)
            };
        }
        let rows = self.shared.segments_from(head.stream, tree.size()).await?;
        if rows.is_empty() {
            return Err(Refusal::Tampered);
        }
        let turn = self.shared.scan_turn().await;
        let (shared, mut bundle) = (Arc::clone(&self.shared), self.bundle.take());
        let (written, tree, bundle) = aside(move || {
            let mut written = Vec::new();
            let read = read_rows(
                &shared,
                &rows,
                size,
                &mut tree,
                bundle.as_mut(),
                &mut written,
            );
            read.map(|()| (written, tree, bundle))
        })
        .await?;
        drop(turn);
        self.bundle = bundle;
        out.extend_from_slice(&written);
        self.current = Some((head, tree));
        Ok(())
    }
}

/// Puts the lines of these segments behind the tree, up to `size`, and writes them.
fn read_rows(
    shared: &Shared,
    rows: &[SegmentRow],
    size: u64,
    tree: &mut Frontier,
    mut bundle: Option<&mut Bundling>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    for row in rows {
        // What others have recorded since the head lies behind it, and has its own.
        if tree.size() == size {
            break;
        }
        if row.first > tree.size() {
            return Err(Refusal::Tampered);
        }
        let opened = Opened::open(&shared.keys, row).map_err(|_| Refusal::Tampered)?;
        let begin = tree.size();
        // What was read of it is whole, and the rest no longer is: no pruning says so.
        if opened.is_pruned() && row.first != begin {
            return Err(Refusal::Unavailable(PRUNED_MEANWHILE));
        }
        for piece in opened.pieces().skip_while(|piece| piece.end() <= begin) {
            if tree.size() == size {
                break;
            }
            if !piece.grow(tree) {
                return Err(Refusal::Tampered);
            }
            match (&mut bundle, piece) {
                (Some(bundle), piece) => bundle.write(row.stream, piece, out)?,
                (None, Piece::Line(_, line)) => {
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
                (None, Piece::Gap(_)) => {}
            }
        }
    }
    Ok(())
}
