//! The damages that one who may write to the database can do to a column or a row, as rows taken away and rows put.
//!
//! Invariant: each damage leaves something else than what was there, and comes with its name.

use super::rows::{Cell, Row, Shape, Table};

/// What is done to the rows of a table.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The column, unless it is the whole row.
    pub column: Option<String>,
    /// What it is called in a failure.
    pub what: &'static str,
    /// Whether something that was true once is put back.
    pub older: bool,
    pub gone: Vec<Row>,
    pub put: Vec<Row>,
}

/// A row to be damaged, one to mix it up with, and what it was before.
pub struct Victim<'a> {
    pub row: &'a Row,
    pub partner: Option<&'a Row>,
    pub before: Option<&'a Row>,
}

/// Every damage of every column of a row.
pub fn of_columns(table: &Table, victim: &Victim<'_>) -> Vec<Damage> {
    let mut damages = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let mut add = |what, older, gone: Vec<Row>, put: Vec<Row>| {
            if gone != put {
                let column = Some(column.name.clone());
                damages.push(Damage {
                    column,
                    what,
                    older,
                    gone,
                    put,
                });
            }
        };
        let row = victim.row;
        let with = |cell: Cell| {
            let mut other = row.clone();
            other[at] = cell;
            other
        };
        if let Some(partner) = victim.partner {
            let mut swapped = partner.clone();
            swapped[at] = row[at].clone();
            let both = vec![row.clone(), partner.clone()];
            add(
                "swapped",
                false,
                both,
                vec![with(partner[at].clone()), swapped],
            );
            add(
                "moved",
                false,
                vec![row.clone()],
                vec![with(partner[at].clone())],
            );
        }
        if let Some(before) = victim.before {
            add(
                "set back",
                true,
                vec![row.clone()],
                vec![with(before[at].clone())],
            );
        }
        for (what, cell) in forgeries(&row[at], column.shape) {
            add(what, false, vec![row.clone()], vec![with(cell)]);
        }
    }
    damages
}

/// Every damage of a row as a whole.
pub fn of_row(table: &Table, victim: &Victim<'_>) -> Vec<Damage> {
    let row = victim.row;
    let damage = |what, older, put: Vec<Row>| Damage {
        column: None,
        what,
        older,
        gone: vec![row.clone()],
        put,
    };
    let mut damages = vec![damage("deleted", false, Vec::new())];
    for (at, column) in table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.key)
    {
        let forged = forgeries(&row[at], column.shape)
            .into_iter()
            .find(|(what, _)| *what == "forged");
        let (_, cell) = forged.expect("each shape can be forged");
        let mut double = row.clone();
        double[at] = cell;
        damages.push(damage("doubled", false, vec![row.clone(), double]));
    }
    if let Some(before) = victim.before.filter(|before| *before != row) {
        damages.push(damage("set back", true, vec![before.clone()]));
    }
    damages
}

/// A row that was there once and is not any more.
pub fn put_back(row: &Row) -> Damage {
    Damage {
        column: None,
        what: "put back",
        older: true,
        gone: Vec::new(),
        put: vec![row.clone()],
    }
}

/// Other values in a cell's place.
fn forgeries(cell: &Cell, shape: Shape) -> Vec<(&'static str, Cell)> {
    match (cell, shape) {
        (Cell::Number(number), _) => vec![
            ("truncated", Cell::Number(number >> 8)),
            ("forged", Cell::Number(number + 1)),
            ("made negative", Cell::Number(-1 - number)),
        ],
        (Cell::Text(text), _) => {
            let half = text
                .char_indices()
                .nth(text.chars().count() / 2)
                .map_or(0, |(at, _)| at);
            let mut forged = text.clone();
            let last = forged.pop();
            forged.push(if last == Some('x') { 'y' } else { 'x' });
            vec![
                ("truncated", Cell::Text(text[..half].to_owned())),
                ("forged", Cell::Text(forged)),
            ]
        }
        (Cell::Bytes(bytes), _) => {
            let mut forged = bytes.clone();
            match forged.last_mut() {
                Some(last) => *last ^= 1,
                None => forged.push(1),
            }
            let half = bytes[..bytes.len() / 2].to_vec();
            vec![
                ("truncated", Cell::Bytes(half)),
                ("forged", Cell::Bytes(forged)),
            ]
        }
        (Cell::Null, Shape::Number) => vec![("forged", Cell::Number(1))],
        (Cell::Null, Shape::Text) => vec![("forged", Cell::Text("x".to_owned()))],
        (Cell::Null, Shape::Bytes) => vec![("forged", Cell::Bytes(vec![1]))],
    }
}

/// What only SQLite takes: a value of another type than the column's.
pub fn retyped(table: &Table, victim: &Victim<'_>) -> Vec<Damage> {
    let columns = table.columns.iter().enumerate();
    let damage = |(at, column): (usize, &super::rows::Column)| {
        let mut other = victim.row.clone();
        other[at] = match column.shape {
            Shape::Number => Cell::Text("x".to_owned()),
            Shape::Text => Cell::Bytes(vec![0xff]),
            Shape::Bytes => Cell::Number(7),
        };
        Damage {
            column: Some(column.name.clone()),
            what: "of another type",
            older: false,
            gone: vec![victim.row.clone()],
            put: vec![other],
        }
    };
    columns.map(damage).collect()
}
