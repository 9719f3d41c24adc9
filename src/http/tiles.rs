//! A stream of the log as C2SP tlog-tiles: its checkpoint, the tiles of its tree, and bundles of its entries.
//! A path says which tile in the specification's one spelling, or it is refused.
//!
//! Invariant: what a tile's path says is what its record says.

use super::answer::Body;
use super::endpoint::{Answered, Asked, Captured, Endpoint};
use super::reply::Reply;
use crate::door::{TILE_WIDTH, Tile};
use crate::model::{Refusal, Resource, StreamId};
use crate::operations::audit::{ReadCheckpoint, ReadTile};

const CHECKPOINT: &str = "text/plain; charset=utf-8";
const TILE: &str = "application/octet-stream";
/// The highest level that the specification names.
const LEVEL_MAX: u8 = 63;

impl Endpoint for ReadCheckpoint {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            stream: asked.id()?,
        })
    }

    fn aims_at(_: Captured<'_>) -> Result<String, Refusal> {
        Ok(Resource::AUDIT.text())
    }

    async fn reply(stream: StreamId, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let mut heads = answered.door.heads().await?.into_iter();
        let head = heads.find(|head| head.stream == stream);
        let note = head.ok_or(Refusal::Tampered)?.note;
        Ok(Reply::stream(CHECKPOINT, Body::full(note.into())))
    }
}

impl Endpoint for ReadTile {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let [_, path, _] = asked.captured.0;
        Ok(Self {
            stream: asked.id()?,
            tile: tile(path).ok_or_else(|| Refusal::Malformed(A_TILE.to_owned()))?,
        })
    }

    fn aims_at(_: Captured<'_>) -> Result<String, Refusal> {
        Ok(Resource::AUDIT.text())
    }

    async fn reply((stream, tile): Self::Reply, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let bytes = answered.door.tile(stream, tile).await?;
        let bytes = bytes.ok_or(Refusal::NotFound)?;
        Ok(Reply::stream(TILE, Body::full(bytes.into())))
    }
}

const A_TILE: &str = "a tile is LEVEL/INDEX or entries/INDEX as in C2SP tlog-tiles: 0/x001/234, or 0/x001/234.p/17 for a partial one";

/// Reads `LEVEL/INDEX`, `LEVEL/INDEX.p/WIDTH`, and the same with `entries` for the level.
pub(super) fn tile(path: &str) -> Option<Tile> {
    let (level, rest) = path.split_once('/')?;
    let level = match level {
        "entries" => None,
        level => Some(number::<u8>(level).filter(|level| *level <= LEVEL_MAX)?),
    };
    let (index, width) = match rest.split_once(".p/") {
        None => (rest, TILE_WIDTH),
        Some((index, width)) => (
            index,
            number(width).filter(|width| (1..TILE_WIDTH).contains(width))?,
        ),
    };
    Some(Tile {
        level,
        index: tile_index(index)?,
        width,
    })
}

/// Three digits a part, each but the last behind an `x`, and none of them too many.
fn tile_index(text: &str) -> Option<u64> {
    let mut index = 0_u64;
    let mut parts = text.split('/').peekable();
    let mut is_first = true;
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let digits = if is_last {
            part
        } else {
            part.strip_prefix('x')?
        };
        let plain = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (is_first && !is_last && digits == "000") {
            return None;
        }
        index = index
            .checked_mul(1_000)?
            .checked_add(digits.parse().ok()?)?;
        is_first = false;
    }
    Some(index)
}

/// A decimal number without leading zeroes.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_spelling_of_the_specification() {
        let full = |level, index| Tile {
            level,
            index,
            width: TILE_WIDTH,
        };
        assert_eq!(tile("0/x001/x234/067"), Some(full(Some(0), 1_234_067)));
        assert_eq!(tile("63/000"), Some(full(Some(63), 0)));
        assert_eq!(tile("entries/999"), Some(full(None, 999)));
        let partial = Tile {
            width: 17,
            ..full(Some(1), 1_000)
        };
        assert_eq!(tile("1/x001/000.p/17"), Some(partial));
        for wrong in [
            "",
            "0",
            "0/",
            "/000",
            "0/0",
            "0/0000",
            "0/x000/001",
            "0/001/002",
            "0/x001",
            "0/X001/002",
            "00/000",
            "+1/000",
            "64/000",
            "256/000",
            "0/000.p",
            "0/000.p/",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/1/2",
            "0/000.p/1.p/1",
            "0/ 00",
            "0/0\u{660}0",
            "Entries/000",
            "0/000/",
            "0/x999/x999/x999/x999/x999/x999/999",
            "entries",
            "0/x001/.p/1",
        ] {
            assert_eq!(tile(wrong), None, "{wrong}");
        }
    }
}
