//! Every column of every table, listed from the live schema: swapped, moved, set back, cut, forged; every row deleted,
//! doubled, put back; and each time a door opened anew on what is left, and `check`.
//!
//! Invariant: a door on damaged ground says what is true, or was true when that was put back, or nothing; and `check`
//! names every damage but those of the columns whose lie nobody can know.

mod columns;
mod damages;
mod ground;
mod history;
mod questions;
mod restarted;
mod rewrap;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coffer::store::Engine;

use columns::{Class, classes};
use damages::{Damage, Victim};
use ground::{PATIENCE, Shut};
use history::History;
use questions::{OF_LOG, OF_SECRETS, OF_TOKENS, Question, ask, wrong};
use rows::{Cell, Knife, Row, Table};

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
    let mut tried = BTreeMap::new();
    let mut wrong = Vec::new();
    for table in history.tables.clone() {
        for case in history.cases(&table) {
            let tally: &mut Tally = tried
                .entry((table.name.clone(), case.damage.column.clone()))
                .or_default();
            match history.operate(&table, &case).await {
                Done::Impossible => tally.impossible += 1,
                Done::Fine => tally.fine += 1,
                Done::Wrong(why) => wrong.push(why),
            }
        }
    }
    eprintln!(
        "TIMES {:?} cases {}",
        history.ground.times.lock().unwrap(),
        tried.values().map(|t| t.fine + t.impossible).sum::<u32>()
    );
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    for ((table, column), tally) in &tried {
        let untouched =
            tally.fine == 0 && !UNTOUCHABLE.contains(&(table, column.as_deref().unwrap_or("")));
        assert!(
            !untouched,
            "{table}.{column:?} was never damaged: {tally:?}"
        );
    }
}

/// Columns that a constraint keeps as they are, on PostgreSQL.
const UNTOUCHABLE: [(&str, &str); 1] = [("world", "id")];

/// How long a start is waited for that may wait itself.
const SHORT_PATIENCE: Duration = Duration::from_millis(300);

#[derive(Default, Debug)]
struct Tally {
    fine: u32,
    impossible: u32,
}

/// A damage of a row of some group, and what it is called.
struct Case {
    name: String,
    damage: Damage,
    group: Cell,
}

enum Done {
    /// The database does not have it.
    Impossible,
    Fine,
    Wrong(String),
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
            for row in chosen(&rows, before) {
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
        cases.extend(lost.map(|row| Case {
            name: format!("{} {:?}", table.name, table.key_of(row)),
            damage: damages::put_back(row),
            group: group_of(table, row),
        }));
        cases
    }

    /// One damage: done, looked at by `check`, asked about through a door opened anew, and undone.
    async fn operate(&mut self, table: &Table, case: &Case) -> Done {
        let t0 = self.ground.clock.monotonic();
        let copy = self.ground.copy();
        let mut knife = Knife::at(&copy.url).await;
        self.ground.time("knife", t0);
        let Damage { gone, put, .. } = &case.damage;
        let done = match knife.replace(table, gone, put).await {
            Ok(()) => {
                if self.ground.engine == Engine::Sqlite {
                    knife.close().await;
                    let done = self.look_at(table, case, &copy).await;
                    knife = Knife::at(&copy.url).await;
                    done
                } else {
                    self.look_at(table, case, &copy).await
                }
            }
            Err(sqlx::Error::Database(_)) => Done::Impossible,
            Err(error) => panic!("{}: {error}", case.title()),
        };
        let t0 = self.ground.clock.monotonic();
        self.ground.restore(&mut knife, &self.tables, copy).await;
        self.ground.time("restore", t0);
        knife.close().await;
        done
    }

    async fn look_at(&self, table: &Table, case: &Case, copy: &ground::Copy) -> Done {
        let t0 = self.ground.clock.monotonic();
        let store = self.ground.store(&copy.url).await;
        self.ground.time("store", t0);
        let t0 = self.ground.clock.monotonic();
        let lines = self.ground.check(&store).await;
        self.ground.time("check", t0);
        let t0 = self.ground.clock.monotonic();
        if lines.is_empty() && case.must_be_named() {
            return Done::Wrong(format!("{}: check does not name it", case.title()));
        }
        // A stream whose owner is another is waited for: that is not sat out here.
        let waits = table.name == "stream";
        let patience = if waits { SHORT_PATIENCE } else { PATIENCE };
        let door = match self.ground.open_copy(store, copy, patience).await {
            Ok(door) => door,
            Err(Shut::Waits) if !waits => {
                return Done::Wrong(format!("{}: the start waits", case.title()));
            }
            Err(_) => return Done::Fine,
        };
        self.ground.time("open", t0);
        let t0 = self.ground.clock.monotonic();
        let answers = ask(&door, &self.tokens, case.questions(table)).await;
        self.ground.time("ask", t0);
        let t0 = self.ground.clock.monotonic();
        door.close().await;
        self.ground.time("close", t0);
        let then = case.damage.older.then_some(&self.answered_then);
        let found = answers.iter().find_map(|(question, answer)| {
            let wrong = wrong(*question, answer, &self.answered_now, then)?;
            Some(format!("{}, {question:?}: {wrong}", case.title()))
        });
        found.map_or(Done::Fine, Done::Wrong)
    }
}

impl Case {
    fn title(&self) -> String {
        let column = self.damage.column.as_deref().unwrap_or("the row");
        format!("{}, {column}: {}", self.name, self.damage.what)
    }

    fn must_be_named(&self) -> bool {
        let table = self.name.split(' ').next().unwrap_or_default().to_owned();
        let class = |column: &String| classes()[&(table.clone(), column.clone())];
        self.damage
            .column
            .as_ref()
            .is_none_or(|column| class(column) != Class::Plain)
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

/// Of each group the rows that have changed, two at most, and one that has not.
fn chosen<'a>(rows: &[&'a Row], before: impl Fn(&Row) -> Option<&'a Row>) -> Vec<&'a Row> {
    let changed = |row: &&&'a Row| before(row).is_some_and(|old| old != **row);
    let mut chosen: Vec<&Row> = rows.iter().filter(changed).take(2).copied().collect();
    chosen.extend(rows.iter().find(|row| !changed(row)));
    chosen
}
