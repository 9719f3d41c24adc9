//! Every column of every table, listed from the live schema: swapped, moved, set back, cut, forged; every row deleted,
//! doubled, put back; and each time a door opened anew on what is left, and `check`.
//!
//! Invariant: a door on damaged ground says what is true, or was true when that was put back, or nothing; and `check`
//! names every damage but those of the columns whose lie nobody can know.

pub mod columns;
mod cut_off;
pub mod damages;
mod destroyed;
mod ground;
mod history;
mod merged;
mod questions;
mod restarted;
mod retention;
mod rewrap;
pub mod rows;
pub mod structure;
mod truth;
mod turned_back;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coffer::store::{Engine, Store};

use columns::{Class, classes};
use damages::{Damage, Victim};
use ground::{Copy, PATIENCE, Shut};
use history::History;
use questions::{OF_LOG, OF_SECRETS, OF_TOKENS, Question, ask};
use rows::{Cell, Knife, Row, Table};
use truth::wrong;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    every_damage(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    every_damage(Engine::Postgres).await;
}

async fn every_damage(engine: Engine) {
    let mut history = History::new(engine).await;
    history.agrees_with_the_page();
    let mut bench = Bench::on(&history).await;
    let (mut tallies, mut wrong) = (Tallies::new(), Vec::new());
    for table in history.tables.clone() {
        for case in history.cases(&table) {
            let column = (table.name.clone(), case.damage.column.clone());
            let tally = tallies.entry(column).or_default();
            if let Err(why) = history.operate(&mut bench, &table, &case, tally).await {
                wrong.push(format!("{}: {why}", case.title()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_all_was_tried(&tallies);
}

/// Each column was damaged in some way, and on damaged ground of each table a door was opened that told something.
fn assert_all_was_tried(tallies: &Tallies) {
    let mut told: BTreeMap<&str, u32> = BTreeMap::new();
    for ((table, column), tally) in tallies {
        *told.entry(table).or_default() += tally.told;
        let kept = UNTOUCHABLE.contains(&(table, column.as_deref().unwrap_or_default()));
        assert!(
            tally.done > 0 || kept,
            "{table}.{column:?} was never damaged"
        );
    }
    told.retain(|table, told| *told == 0 && *table != "migration");
    assert!(
        told.is_empty(),
        "nothing was told on damaged ground: {told:?}"
    );
}

/// A column that a constraint keeps as it is, on PostgreSQL.
const UNTOUCHABLE: [(&str, &str); 1] = [("world", "id")];

/// What was tried, by table and column; without a column, of whole rows.
type Tallies = BTreeMap<(String, Option<String>), Tally>;

/// How long a start is waited for that may wait itself.
const SHORT_PATIENCE: Duration = Duration::from_millis(300);

#[derive(Default, Debug)]
struct Tally {
    /// Damages that the database has taken.
    done: u32,
    /// Answers that were no refusals.
    told: u32,
}

/// What is used for case after case, where the database is one and the same.
struct Bench {
    knife: Option<Knife>,
    store: Option<Store>,
}

/// A damage of a row of some group, and what it is called.
struct Case {
    name: String,
    damage: Damage,
    group: Cell,
}

impl Bench {
    async fn on(history: &History) -> Self {
        let ground = &history.ground;
        match ground.engine {
            Engine::Sqlite => Self {
                knife: None,
                store: None,
            },
            Engine::Postgres => Self {
                knife: Some(Knife::at(ground.url()).await),
                store: Some(ground.store(ground.url()).await),
            },
        }
    }
}

impl History {
    /// Every column has a class on the page, and every line of the page a column.
    fn agrees_with_the_page(&self) {
        let page: BTreeSet<_> = classes().into_keys().collect();
        let live = self.tables.iter().flat_map(|table| {
            let columns = table.columns.iter();
            columns.map(|column| (table.name.clone(), column.name.clone()))
        });
        assert_eq!(
            live.collect::<BTreeSet<_>>(),
            page,
            "the schema and docs/columns.md"
        );
    }

    fn cases(&self, table: &Table) -> Vec<Case> {
        let (now, then) = (&self.now[&table.name], &self.then[&table.name]);
        let before = |row: &Row| {
            then.iter()
                .find(|old| table.key_of(old) == table.key_of(row))
        };
        let mut cases = Vec::new();
        for (group, rows) in groups(table, now) {
            for row in chosen(&rows, group != Cell::Null, before) {
                let others = || rows.iter().copied().filter(|other| *other != row);
                let elsewhere = || now.iter().filter(|other| *other != row);
                let victim = Victim {
                    row,
                    partner: others().next_back().or_else(|| elsewhere().next()),
                    before: before(row),
                };
                let mut damages = damages::of_columns(table, &victim);
                damages.extend(damages::of_row(table, &victim));
                if self.ground.engine == Engine::Sqlite {
                    damages.extend(damages::retyped(table, &victim));
                }
                let named = |damage: Damage| Case {
                    name: format!("{} {:?}", table.name, table.key_of(row)),
                    damage,
                    group: group.clone(),
                };
                cases.extend(damages.into_iter().map(named));
            }
        }
        let present: BTreeSet<Row> = now.iter().map(|row| table.key_of(row)).collect();
        let lost = then
            .iter()
            .filter(|row| !present.contains(&table.key_of(row)));
        let lost: Vec<&Row> = lost.collect();
        // Of what was merged: those at the ends of the log and one of its middle.
        let few = table.name == "segment";
        let some = |at: &usize| !few || [0, lost.len() / 2, lost.len() - 1].contains(at);
        let lost = (0..lost.len()).filter(some).map(|at| lost[at]);
        cases.extend(lost.map(|row| Case {
            name: format!("{} {:?}", table.name, table.key_of(row)),
            damage: damages::put_back(row),
            group: group_of(table, row),
        }));
        cases
    }

    /// One damage: done, looked at by `check`, asked about through a door opened anew, and undone.
    async fn operate(
        &mut self,
        bench: &mut Bench,
        table: &Table,
        case: &Case,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let copy = self.ground.copy();
        let mut knife = match bench.knife.take() {
            Some(knife) => knife,
            None => Knife::at(&copy.url).await,
        };
        let Damage { gone, put, .. } = &case.damage;
        let done = knife.replace(table, gone, put).await;
        if self.ground.engine == Engine::Sqlite {
            knife.close().await;
        } else {
            bench.knife = Some(knife);
        }
        let fine = match done {
            Ok(()) => {
                tally.done += 1;
                self.look_at(bench, table, case, &copy, tally).await
            }
            // A constraint keeps it out.
            Err(sqlx::Error::Database(_)) => Ok(()),
            Err(error) => panic!("{}: {error}", case.title()),
        };
        self.ground
            .restore(bench.knife.as_mut(), &self.tables, copy)
            .await;
        fine
    }

    async fn look_at(
        &self,
        bench: &Bench,
        table: &Table,
        case: &Case,
        copy: &Copy,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let store = self.ground.store(&copy.url).await;
        let lines = self
            .ground
            .check(bench.store.as_ref().unwrap_or(&store))
            .await;
        if case.must_be_named(table) && !lines.iter().any(|line| names(table, line)) {
            return Err(format!("check does not name it: {lines:?}"));
        }
        // A stream whose owner is another is waited for: that is not sat out here.
        let waits = table.name == "stream";
        let patience = if waits { SHORT_PATIENCE } else { PATIENCE };
        let door = match self.ground.open_copy(store, copy, patience).await {
            Ok(door) => door,
            Err(Shut::Waits) if !waits => return Err("the start waits".to_owned()),
            Err(_) => return Ok(()),
        };
        let answers = ask(&door, &self.tokens, case.questions(table)).await;
        door.close().await;
        let then = case.damage.older.then_some(&self.answered_then);
        for (question, answer) in &answers {
            tally.told += u32::from(answer.is_ok());
            if let Some(why) = wrong(*question, answer, &self.answered_now, then) {
                return Err(format!("{question:?}: {why}"));
            }
        }
        Ok(())
    }
}

/// Whether a line of `check` is about a row of this table.
fn names(table: &Table, line: &str) -> bool {
    // Before the root key is known to be the cluster's, one sentence says that it is not.
    let other_key = line.starts_with("this root key is not the key of this store");
    let words: &[&str] = match table.name.as_str() {
        "world" => return other_key || line.starts_with("world"),
        "wrapped_key" => return other_key || line.starts_with("wrapped"),
        "note" => &["note"],
        "document" => &[
            "document",
            "cluster",
            "project",
            "environment",
            "secret",
            "principal",
            "token",
            "lease",
            "connection",
            "receipt",
        ],
        "stream" | "segment" => &["stream", "segment"],
        other => &[other],
    };
    words.iter().any(|word| line.starts_with(word))
}

impl Case {
    fn title(&self) -> String {
        let column = self.damage.column.as_deref().unwrap_or("the row");
        format!("{}, {column}: {}", self.name, self.damage.what)
    }

    fn must_be_named(&self, table: &Table) -> bool {
        let class = |column: &String| classes()[&(table.name.clone(), column.clone())];
        let column = self.damage.column.as_ref();
        column.is_none_or(|column| class(column) != Class::Plain)
    }

    /// What concerns the table, or the kind of row.
    fn questions(&self, table: &Table) -> &'static [Question] {
        const OF_PRINCIPALS: [Cell; 2] = [Cell::Number(5), Cell::Number(6)];
        match table.name.as_str() {
            "document" if OF_PRINCIPALS.contains(&self.group) => &OF_TOKENS,
            "document" | "version" | "wrapped_key" => &OF_SECRETS,
            _ => &OF_LOG,
        }
    }
}

/// Rows of one kind each, where a table has kinds.
fn groups<'a>(table: &Table, rows: &'a [Row]) -> BTreeMap<Cell, Vec<&'a Row>> {
    let mut groups: BTreeMap<Cell, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(group_of(table, row)).or_default().push(row);
    }
    groups
}

fn group_of(table: &Table, row: &Row) -> Cell {
    let kinds = table
        .columns
        .iter()
        .position(|column| column.name == "kind");
    kinds.map_or(Cell::Null, |at| row[at].clone())
}

/// Of each group as many rows that have changed as it takes to have every column that ever changes among them, and of those
/// that have not the first and, in a table without kinds, the last: the ends of a chain or of a log are looked at otherwise
/// than its middle.
fn chosen<'a>(
    rows: &[&'a Row],
    has_kinds: bool,
    before: impl Fn(&Row) -> Option<&'a Row>,
) -> Vec<&'a Row> {
    let changed = |row: &Row| {
        let old = before(row).unwrap_or(row);
        let differ = (0..row.len()).filter(|at| old[*at] != row[*at]);
        differ.collect::<BTreeSet<usize>>()
    };
    let (mut chosen, mut columns) = (Vec::new(), BTreeSet::new());
    for row in rows {
        let known = columns.len();
        columns.extend(changed(row));
        if columns.len() > known {
            chosen.push(*row);
        }
    }
    let mut unchanged = rows.iter().filter(|row| changed(row).is_empty()).copied();
    chosen.extend(unchanged.next());
    chosen.extend(unchanged.next_back().filter(|_| !has_kinds));
    chosen
}
