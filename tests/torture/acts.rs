//! What the adversary does to the database: any row and any column of any table, alone or together, now and then whole
//! tables or all of them set back.
//!
//! Invariant: an act is rows taken away and rows put, and says which.

use std::collections::{BTreeMap, BTreeSet};

use coffer::store::Engine;

use super::Chance;
use crate::support::cluster::Cluster;
use crate::surgery::columns::{Class, classes};
use crate::surgery::damages::{self, Damage, Victim};
use crate::surgery::rows::{Cell, Knife, Row, Rows, Table, lacking};
use crate::surgery::structure::Aside;

/// An act, as rows of tables that go and rows that come.
pub struct Act {
    /// What it is called.
    pub kind: &'static str,
    /// Of which rows.
    pub what: String,
    parts: Vec<(Table, Vec<Row>, Vec<Row>)>,
}

/// What an adversary can know: the schema, what is there, and what was there.
pub struct Sight<'a> {
    pub tables: &'a [Table],
    pub now: &'a Rows,
    pub olds: &'a [Rows],
}

/// Tables that tell something only together.
const TOGETHER: [&[&str]; 5] = [
    &["world", "note"],
    &["stream", "segment"],
    &["document", "version"],
    &["document", "version", "wrapped_key"],
    &["world", "note", "document", "version", "wrapped_key"],
];
/// Of so many acts on one cell or row, one is on more.
const KINDS: usize = 16;
/// Of so many acts between starts, one is hidden from an index.
const ASIDE_EACH: usize = 3;
/// Rows that are deleted in one go, at most.
const RUN_MAX: usize = 12;
/// Bytes that are put behind others, at most.
const MORE_MAX: usize = 64;

impl Act {
    /// One that chance decides; nothing where there is nothing to be done in that way.
    pub fn of(chance: &mut Chance, sight: &Sight<'_>) -> Option<Self> {
        let old = (!sight.olds.is_empty()).then(|| &sight.olds[chance.below(sight.olds.len())]);
        let act = match chance.below(KINDS) {
            0..=4 => one_damage(chance, sight, old),
            5..=6 => some_bytes(chance, sight),
            7 => crossed(chance, sight),
            8 => run_deleted(chance, sight),
            9 => put_back(chance, sight, old?),
            10 => {
                let table = &sight.tables[chance.below(sight.tables.len())];
                set_back("a table set back", sight, old?, &[&table.name])
            }
            11..=12 => set_back(
                "tables set back",
                sight,
                old?,
                TOGETHER[chance.below(TOGETHER.len())],
            ),
            13 => {
                let all = sight.tables.iter().map(|table| table.name.as_str());
                let some: Vec<&str> = all.filter(|_| chance.below(2) == 0).collect();
                set_back("tables set back", sight, old?, &some)
            }
            14 => {
                let all: Vec<&str> = sight.tables.iter().map(|table| &*table.name).collect();
                set_back("the database set back", sight, old?, &all)
            }
            _ => return Self::together(chance, sight),
        }?;
        act.parts
            .iter()
            .any(|(_, gone, put)| gone != put)
            .then_some(act)
    }

    /// Two damages at a time, of different tables.
    fn together(chance: &mut Chance, sight: &Sight<'_>) -> Option<Self> {
        let mut first = one_damage(chance, sight, sight.olds.first())?;
        let second = one_damage(chance, sight, sight.olds.last())?;
        if first.parts[0].0.name == second.parts[0].0.name {
            return None;
        }
        first.parts.extend(second.parts);
        Some(Self {
            kind: "two damages",
            what: format!("{}; {}", first.what, second.what),
            parts: first.parts,
        })
    }

    /// Whether it sets all tables back.
    pub fn is_whole(&self) -> bool {
        self.kind == "the database set back"
    }

    /// Does it, table by table; false where the database has not taken all of it.
    pub async fn on(&self, knife: &mut Knife) -> bool {
        let parts: Vec<_> = { self.parts.iter() }
            .map(|(table, gone, put)| (table, &gone[..], &put[..]))
            .collect();
        knife.replace_all(&parts).await.is_ok()
    }
}

/// An index of SQLite's, now and then, that does not learn what is done to its table.
pub async fn lay_aside(cluster: &Cluster, chance: &mut Chance) -> Option<Aside> {
    if cluster.engine == Engine::Postgres || chance.below(ASIDE_EACH) > 0 {
        return None;
    }
    let index = chance.one_of(&Aside::INDEXES);
    eprintln!("{index} does not learn it:");
    Some(Aside::lay(&cluster.url, index).await)
}

/// Whether `check` has to name what became of the rows: not where only columns differ whose lie nobody can know, and not
/// where all that is there was there once.
pub fn must_be_named(sight: &Sight<'_>, after: &Rows) -> bool {
    let known = [sight.now].into_iter().chain(sight.olds);
    !{ known }.any(|known| same(sight.tables, known, after))
}

/// Whether rows say the same but for columns whose lie nobody can know.
fn same(tables: &[Table], some: &Rows, others: &Rows) -> bool {
    let classes = classes();
    tables.iter().all(|table| {
        let told = |row: &Row| -> Row {
            let cells = table.columns.iter().zip(row);
            let told = cells.filter(|(column, _)| {
                classes[&(table.name.clone(), column.name.clone())] != Class::Plain
            });
            told.map(|(_, cell)| cell.clone()).collect()
        };
        let of = |rows: &Rows| rows[&table.name].iter().map(told).collect::<Vec<_>>();
        of(some) == of(others)
    })
}

/// A table that has rows, and one of them, of any kind.
fn row<'a>(chance: &mut Chance, sight: &'a Sight<'_>) -> Option<(&'a Table, &'a Row)> {
    let table = &sight.tables[chance.below(sight.tables.len())];
    let mut groups: BTreeMap<Cell, Vec<&Row>> = BTreeMap::new();
    for row in &sight.now[&table.name] {
        groups.entry(kind_of(table, row)).or_default().push(row);
    }
    let groups: Vec<_> = groups.into_values().collect();
    let rows = groups.get(chance.below(groups.len().max(1)))?;
    Some((table, rows[chance.below(rows.len())]))
}

fn kind_of(table: &Table, row: &Row) -> Cell {
    let mut columns = table.columns.iter().zip(row);
    let kind = columns.find(|(column, _)| column.name == "kind");
    kind.map_or(Cell::Null, |(_, cell)| cell.clone())
}

/// Another row of the table, if there is one: of the same kind, if there is one.
fn partner<'a>(
    chance: &mut Chance,
    sight: &'a Sight<'_>,
    table: &Table,
    row: &Row,
) -> Option<&'a Row> {
    let all = &sight.now[&table.name];
    let mut others: Vec<&Row> = all.iter().filter(|other| *other != row).collect();
    let kind = kind_of(table, row);
    if others.iter().any(|other| kind_of(table, other) == kind) {
        others.retain(|other| kind_of(table, other) == kind);
    }
    others.get(chance.below(others.len().max(1))).copied()
}

fn one_damage(chance: &mut Chance, sight: &Sight<'_>, old: Option<&Rows>) -> Option<Act> {
    let (table, row) = row(chance, sight)?;
    let key = table.key_of(row);
    let victim = Victim {
        row,
        partner: partner(chance, sight, table, row),
        before: old.and_then(|old| old[&table.name].iter().find(|old| table.key_of(old) == key)),
    };
    let mut damages = damages::of_columns(table, &victim);
    damages.extend(damages::of_row(table, &victim));
    let at = chance.below(damages.len());
    let Damage {
        column,
        what,
        gone,
        put,
        ..
    } = damages.swap_remove(at);
    let column = column.unwrap_or_else(|| "the row".to_owned());
    Some(Act {
        kind: what,
        what: format!("{} {key:?}, {column}", table.name),
        parts: vec![(table.clone(), gone, put)],
    })
}

/// Any bit of any bytes flipped, bytes cut off anywhere, or more put behind them.
fn some_bytes(chance: &mut Chance, sight: &Sight<'_>) -> Option<Act> {
    let (table, row) = row(chance, sight)?;
    let cells = row.iter().enumerate();
    let of_bytes = cells.filter_map(|(at, cell)| match cell {
        Cell::Bytes(bytes) if !bytes.is_empty() => Some((at, bytes.clone())),
        _ => None,
    });
    let of_bytes: Vec<_> = of_bytes.collect();
    let (at, mut bytes) = of_bytes.get(chance.below(of_bytes.len().max(1)))?.clone();
    let column = &table.columns[at].name;
    let (kind, what) = match chance.below(3) {
        0 => {
            let (byte, bit) = (chance.below(bytes.len()), chance.below(8));
            bytes[byte] ^= 1 << bit;
            (
                "a bit flipped",
                format!("{column}, bit {bit} of byte {byte}"),
            )
        }
        1 => {
            bytes.truncate(chance.below(bytes.len()));
            ("cut", format!("{column}, to {} bytes", bytes.len()))
        }
        _ => {
            let more = 1 + chance.below(MORE_MAX);
            bytes.extend((0..more).map(|_| u8::try_from(chance.below(256)).unwrap_or(0)));
            ("extended", format!("{column}, by {more} bytes"))
        }
    };
    let mut put = row.clone();
    put[at] = Cell::Bytes(bytes);
    Some(Act {
        kind,
        what: format!("{} {:?}, {what}", table.name, table.key_of(row)),
        parts: vec![(table.clone(), vec![row.clone()], vec![put])],
    })
}

/// Two rows under each other's keys.
fn crossed(chance: &mut Chance, sight: &Sight<'_>) -> Option<Act> {
    let (table, one) = row(chance, sight)?;
    let other = partner(chance, sight, table, one)?;
    let under = |key: &Row, rest: &Row| -> Row {
        let cells = table.columns.iter().zip(key.iter().zip(rest));
        let cells = cells.map(|(column, (key, rest))| if column.key { key } else { rest });
        cells.cloned().collect()
    };
    let keys = (table.key_of(one), table.key_of(other));
    Some(Act {
        kind: "crossed",
        what: format!("{} {keys:?}", table.name),
        parts: vec![(
            table.clone(),
            vec![one.clone(), other.clone()],
            vec![under(one, other), under(other, one)],
        )],
    })
}

fn run_deleted(chance: &mut Chance, sight: &Sight<'_>) -> Option<Act> {
    let table = &sight.tables[chance.below(sight.tables.len())];
    let rows = &sight.now[&table.name];
    let begin = chance.below(rows.len().max(1));
    let end = rows.len().min(begin + 1 + chance.below(RUN_MAX));
    let gone = rows.get(begin..end)?.to_vec();
    Some(Act {
        kind: "a run deleted",
        what: format!("{}, {} rows from {begin}", table.name, gone.len()),
        parts: vec![(table.clone(), gone, Vec::new())],
    })
}

/// A row that was there once and is not any more; on a table that has none, another's.
fn put_back(chance: &mut Chance, sight: &Sight<'_>, old: &Rows) -> Option<Act> {
    let lost = sight.tables.iter().filter_map(|table| {
        let now = &sight.now[&table.name];
        let keys: BTreeSet<Row> = now.iter().map(|row| table.key_of(row)).collect();
        let old = old[&table.name].iter();
        let lost: Vec<_> = old
            .filter(|row| !keys.contains(&table.key_of(row)))
            .collect();
        (!lost.is_empty()).then_some((table, lost))
    });
    let lost: Vec<_> = lost.collect();
    let (table, rows) = lost.get(chance.below(lost.len().max(1)))?;
    let row = rows[chance.below(rows.len())];
    Some(Act {
        kind: "put back",
        what: format!("{} {:?}", table.name, table.key_of(row)),
        parts: vec![((*table).clone(), Vec::new(), vec![row.clone()])],
    })
}

fn set_back(kind: &'static str, sight: &Sight<'_>, old: &Rows, names: &[&str]) -> Option<Act> {
    let tables = sight.tables.iter();
    let tables = tables.filter(|table| names.contains(&table.name.as_str()));
    let parts = tables.map(|table| {
        let [now, old] = [sight.now, old].map(|rows| rows[&table.name].iter().collect());
        (table.clone(), lacking(&now, &old), lacking(&old, &now))
    });
    Some(Act {
        kind,
        what: names.join(", "),
        parts: parts.collect(),
    })
}
