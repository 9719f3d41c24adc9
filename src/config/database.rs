//! `[database]`: where the store is, and by which roles of PostgreSQL it is used.
//! Each URL may come from the environment instead, since it may hold a password.
//!
//! Invariant: a URL is never printed, and roles are refused where the database has none.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::key;

/// Replaces `database.url`.
pub const DATABASE_URL_VARIABLE: &str = "COFFER_DATABASE_URL";
/// Replaces `database.keeper_url`.
pub const KEEPER_URL_VARIABLE: &str = "COFFER_DATABASE_KEEPER_URL";
/// Replaces `database.owner_url`.
pub const OWNER_URL_VARIABLE: &str = "COFFER_DATABASE_OWNER_URL";
/// The most connections that read at once.
const READERS_MAX: u32 = 256;
/// Connections that read, unless the file says otherwise.
pub const READERS_DEFAULT: NonZeroU32 = NonZeroU32::new(8).expect("eight is not zero");

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Where it is, by the role that serves.
    pub url: DatabaseUrl,
    /// By which other roles it is used.
    pub roles: DatabaseRoles,
    /// Connections that read.
    pub readers: NonZeroU32,
}

/// Where the store is. It may hold a password and does not print it.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:///absolute/path` or `sqlite:relative/path`.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "Sqlite({})", path.display()),
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}

/// URLs of the same PostgreSQL database for other roles; without one, the role that serves does its work.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DatabaseRoles {
    /// Of the role that replaces and deletes segments.
    pub keeper: Option<String>,
    /// Of the role that owns the tables.
    pub owner: Option<String>,
}

impl fmt::Debug for DatabaseRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keeper, owner) = (self.keeper.is_some(), self.owner.is_some());
        write!(f, "DatabaseRoles {{ keeper: {keeper}, owner: {owner} }}")
    }
}

/// What the environment says of the database: each value replaces its key.
#[derive(Clone, Default)]
pub struct DatabaseVariables {
    /// [`DATABASE_URL_VARIABLE`].
    pub url: Option<String>,
    /// [`KEEPER_URL_VARIABLE`].
    pub keeper_url: Option<String>,
    /// [`OWNER_URL_VARIABLE`].
    pub owner_url: Option<String>,
}

/// `[database]`, as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseSection {
    url: Option<String>,
    keeper_url: Option<String>,
    owner_url: Option<String>,
    readers: Option<NonZeroU32>,
}

impl DatabaseSection {
    /// The store, of what is written and what the environment says instead.
    pub(super) fn database(
        self,
        variables: &DatabaseVariables,
        directory: &Path,
    ) -> Result<Database, String> {
        let url = match (&variables.url, &self.url) {
            (Some(url), _) => parse_database(url, directory)
                .map_err(|why| format!("is replaced by {DATABASE_URL_VARIABLE}, which {why}"))?,
            (None, Some(url)) => {
                parse_database(url, directory).map_err(|why| key("database.url", &why))?
            }
            (None, None) => return Err(key("database.url", "is missing")),
        };
        let role = |variable: &Option<String>, replaced, written: Option<String>, name| {
            let wrong = |why: &str| match variable {
                Some(_) => format!("is completed by {replaced}, which {why}"),
                None => key(name, why),
            };
            match (variable.clone().or(written), &url) {
                (None, _) => Ok(None),
                (Some(_), DatabaseUrl::Sqlite(_)) => Err(wrong(
                    "is for PostgreSQL, and SQLite has no roles: leave it out",
                )),
                (Some(url), _) if is_postgres(&url) => Ok(Some(url)),
                (Some(_), _) => Err(wrong("takes postgres://…")),
            }
        };
        let (keeper, owner) = (&variables.keeper_url, &variables.owner_url);
        let roles = DatabaseRoles {
            keeper: role(
                keeper,
                KEEPER_URL_VARIABLE,
                self.keeper_url,
                "database.keeper_url",
            )?,
            owner: role(
                owner,
                OWNER_URL_VARIABLE,
                self.owner_url,
                "database.owner_url",
            )?,
        };
        let readers = self.readers.unwrap_or(READERS_DEFAULT);
        if readers.get() > READERS_MAX {
            let most = format!("takes at most {READERS_MAX}");
            return Err(key("database.readers", &most));
        }
        Ok(Database {
            url,
            roles,
            readers,
        })
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn parse_database(url: &str, directory: &Path) -> Result<DatabaseUrl, String> {
    if is_postgres(url) {
        return Ok(DatabaseUrl::Postgres(url.to_owned()));
    }
    let path = url
        .strip_prefix("sqlite://")
        .filter(|path| path.starts_with('/'))
        .or_else(|| {
            url.strip_prefix("sqlite:")
                .filter(|path| !path.starts_with("//"))
        });
    match path {
        Some(path)
            if !path.is_empty() && !path.contains(['?', '#', '\0']) && path != ":memory:" =>
        {
            Ok(DatabaseUrl::Sqlite(directory.join(path)))
        }
        _ => Err("takes sqlite:///absolute/path, sqlite:relative/path or postgres://…".to_owned()),
    }
}
