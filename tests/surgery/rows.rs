//! The rows of any table, read from a live schema and written past every node, as who may write to the database does.
//!
//! Invariant: nothing in here knows the name of a table or of a column.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row as _, SqliteConnection};

use coffer::store::DatabaseUrl;

/// One value, of whatever type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cell {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One row, its columns in the table's order.
pub type Row = Vec<Cell>;

/// All rows of all tables.
pub type Rows = BTreeMap<String, Vec<Row>>;

/// What a column's type holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Number,
    Text,
    Bytes,
}

/// A column of a live schema.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub shape: Shape,
    /// Whether it is part of the primary key.
    pub key: bool,
}

/// A table of a live schema.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

/// A connection past every node.
pub enum Knife {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs one expression on whichever connection it is.
macro_rules! on {
    ($knife:expr, |$conn:ident| $body:expr) => {
        match $knife {
            Knife::Sqlite($conn) => $body,
            Knife::Postgres($conn) => $body,
        }
    };
}

impl Table {
    /// What tells a row from the others.
    pub fn key_of(&self, row: &Row) -> Row {
        let cells = self.columns.iter().zip(row);
        cells
            .filter(|(column, _)| column.key)
            .map(|(_, cell)| cell.clone())
            .collect()
    }
}

impl Knife {
    /// A connection to this database. On SQLite it does not look at CHECK constraints either.
    pub async fn at(url: &DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let options = options
                    .pragma("ignore_check_constraints", "ON")
                    .pragma("synchronous", "OFF");
                Self::Sqlite(options.connect().await.expect("the file opens"))
            }
            DatabaseUrl::Postgres(url) => Self::Postgres(
                PgConnection::connect(url)
                    .await
                    .expect("PostgreSQL answers"),
            ),
        }
    }

    /// Lets go of it; on SQLite everything is in the one file then.
    pub async fn close(self) {
        on!(self, |conn| conn.close().await.expect("it ends"));
    }

    /// Runs a script.
    pub async fn run(&mut self, script: &str) -> Result<(), sqlx::Error> {
        let script = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        on!(self, |conn| script.execute(conn).await.map(|_| ()))
    }

    /// The tables of the live schema.
    pub async fn tables(&mut self) -> Vec<Table> {
        let text = match self {
            Self::Sqlite(_) => SQLITE_COLUMNS,
            Self::Postgres(_) => POSTGRES_COLUMNS,
        };
        type Listed = (String, String, String, bool);
        let listed: Result<Vec<Listed>, _> =
            on!(self, |conn| sqlx::query_as(text).fetch_all(conn).await);
        let mut tables: Vec<Table> = Vec::new();
        for (table, name, kind, key) in listed.expect("the schema can be read") {
            let shape = match kind.to_ascii_lowercase().as_str() {
                "bigint" | "integer" => Shape::Number,
                "text" => Shape::Text,
                "blob" | "bytea" => Shape::Bytes,
                other => {
                    panic!("{table}.{name} is of a type that the surgery does not know: {other}")
                }
            };
            let column = Column { name, shape, key };
            match tables.last_mut().filter(|last| last.name == table) {
                Some(last) => last.columns.push(column),
                None => tables.push(Table {
                    name: table,
                    columns: vec![column],
                }),
            }
        }
        tables
    }

    /// All rows of these tables, each table's in the order of its key.
    pub async fn rows(&mut self, tables: &[Table]) -> Rows {
        let mut all = Rows::new();
        for table in tables {
            let text = format!("SELECT {} FROM {}", names(table), table.name);
            let query = sqlx::query(AssertSqlSafe(text));
            let mut rows: Vec<Row> = match self {
                Self::Sqlite(conn) => {
                    let rows = query.fetch_all(conn).await.expect("the rows can be read");
                    rows.iter().map(|row| sqlite_row(table, row)).collect()
                }
                Self::Postgres(conn) => {
                    let query = sqlx::query(AssertSqlSafe(format!(
                        "SELECT {} FROM {}",
                        names(table),
                        table.name
                    )));
                    let rows = query.fetch_all(conn).await.expect("the rows can be read");
                    rows.iter().map(|row| postgres_row(table, row)).collect()
                }
            };
            rows.sort_by_key(|row| table.key_of(row));
            all.insert(table.name.clone(), rows);
        }
        all
    }

    /// Takes rows away and puts others; all of it or, when the database does not have it, nothing.
    pub async fn replace(
        &mut self,
        table: &Table,
        gone: &[Row],
        put: &[Row],
    ) -> Result<(), sqlx::Error> {
        self.replace_all(&[(table, gone, put)]).await
    }

    /// The same in some tables at once.
    pub async fn replace_all(
        &mut self,
        parts: &[(&Table, &[Row], &[Row])],
    ) -> Result<(), sqlx::Error> {
        self.run("BEGIN").await?;
        let mut done = Ok(());
        for (table, gone, put) in parts {
            if done.is_ok() {
                done = self.try_replace(table, gone, put).await;
            }
        }
        self.run(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })
            .await?;
        done
    }

    /// Sees to it that these tables hold these rows and no others.
    pub async fn set(&mut self, tables: &[Table], rows: &Rows) -> Result<(), sqlx::Error> {
        let now = self.rows(tables).await;
        let parts = tables.iter().map(|table| {
            let [now, then] = [&now, rows].map(|rows| rows[&table.name].iter().collect());
            (table, lacking(&now, &then), lacking(&then, &now))
        });
        let parts: Vec<_> = parts.collect();
        let parts = parts
            .iter()
            .map(|(table, gone, put)| (*table, &gone[..], &put[..]));
        self.replace_all(&parts.collect::<Vec<_>>()).await
    }

    async fn try_replace(
        &mut self,
        table: &Table,
        gone: &[Row],
        put: &[Row],
    ) -> Result<(), sqlx::Error> {
        let keys = table.columns.iter().filter(|column| column.key);
        let keys: Vec<String> = keys
            .zip(1..)
            .map(|(key, at)| format!("{} = ${at}", key.name))
            .collect();
        let delete = format!("DELETE FROM {} WHERE {}", table.name, keys.join(" AND "));
        for row in gone {
            if self.execute(&delete, &table.key_of(row)).await? != 1 {
                return Err(sqlx::Error::RowNotFound);
            }
        }
        let places: Vec<String> = (1..=table.columns.len())
            .map(|at| format!("${at}"))
            .collect();
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.name,
            names(table),
            places.join(", ")
        );
        for row in put {
            self.execute(&insert, row).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, text: &str, cells: &[Cell]) -> Result<u64, sqlx::Error> {
        macro_rules! bound {
            () => {{
                let mut query = sqlx::query(AssertSqlSafe(text.to_owned()));
                for cell in cells {
                    query = match cell {
                        Cell::Null => query.bind(None::<i64>),
                        Cell::Number(number) => query.bind(*number),
                        Cell::Text(text) => query.bind(text.clone()),
                        Cell::Bytes(bytes) => query.bind(bytes.clone()),
                    };
                }
                query
            }};
        }
        match self {
            Self::Sqlite(conn) => Ok(bound!().execute(conn).await?.rows_affected()),
            Self::Postgres(conn) => Ok(bound!().execute(conn).await?.rows_affected()),
        }
    }
}

/// What some rows have and others have not.
pub fn lacking(some: &BTreeSet<&Row>, others: &BTreeSet<&Row>) -> Vec<Row> {
    some.difference(others).map(|row| (*row).clone()).collect()
}

fn names(table: &Table) -> String {
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    names.join(", ")
}

macro_rules! read_row {
    ($name:ident, $row:ty) => {
        fn $name(table: &Table, row: &$row) -> Row {
            let cell = |(at, column): (usize, &Column)| {
                let read = match column.shape {
                    Shape::Number => row
                        .try_get::<Option<i64>, _>(at)
                        .map(|read| read.map(Cell::Number)),
                    Shape::Text => row
                        .try_get::<Option<String>, _>(at)
                        .map(|read| read.map(Cell::Text)),
                    Shape::Bytes => row
                        .try_get::<Option<Vec<u8>>, _>(at)
                        .map(|read| read.map(Cell::Bytes)),
                };
                read.expect("a column of its type").unwrap_or(Cell::Null)
            };
            table.columns.iter().enumerate().map(cell).collect()
        }
    };
}
read_row!(sqlite_row, SqliteRow);
read_row!(postgres_row, PgRow);

const SQLITE_COLUMNS: &str = "
    SELECT t.name, c.name, c.type, c.pk > 0
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
    ORDER BY t.name, c.cid";

const POSTGRES_COLUMNS: &str = "
    SELECT c.table_name::TEXT, c.column_name::TEXT, c.data_type::TEXT, EXISTS (
        SELECT 1 FROM information_schema.key_column_usage k
        JOIN information_schema.table_constraints p USING (constraint_schema, constraint_name)
        WHERE p.constraint_type = 'PRIMARY KEY' AND k.table_schema = c.table_schema
          AND k.table_name = c.table_name AND k.column_name = c.column_name
    )
    FROM information_schema.columns c
    WHERE c.table_schema = 'public'
    ORDER BY c.table_name, c.ordinal_position";
