//! Listing the secrets of an environment, like `ls`: what is at this level, and the folders below it, or everything.
//! A page shows only what the caller may list; one that filters all it has looked at is empty and still goes on.
//!
//! Invariant: a cursor carries an id and never the name of something that was not shown.

use std::fmt;
use std::str::FromStr;

use crate::door::{Access, Cx, Decision, Operation, Place, View};
use crate::model::{
    Action, EnvironmentName, Refusal, Resource, Secret, SecretId, SecretPath, State, Timestamp,
};
use crate::operations::PageSize;

/// Rows that one decision looks at, shown or not: with a ref each, below the thousand of a decision.
const ROWS_MAX: u32 = 900;
/// Rows fetched at a time while folders are folded: the rest of a folder is passed over, not read.
const FOLDING_ROWS: u32 = 20;

/// `GET /secrets/{p}/{e}`
pub struct ListSecrets {
    /// Where.
    pub place: EnvironmentName,
    /// Only paths that begin so.
    pub prefix: Prefix,
    /// Everything below, and no folders.
    pub recursive: bool,
    /// Behind what an earlier page ended with.
    pub after: Option<Position>,
    /// How much at once.
    pub limit: PageSize,
}

/// One page: `items` and `folders` together are at most the limit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SecretsPage {
    /// By path, in any case.
    pub items: Vec<ListedSecret>,
    /// `project/environment/…/`: deeper paths, without `recursive`.
    pub folders: Vec<String>,
    /// Where the next page begins, if there is one; it may turn out empty.
    pub next: Option<Position>,
}

/// One secret, without values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedSecret {
    /// `project/environment/path`.
    pub path: String,
    /// The newest version.
    pub version: u64,
    /// That version's state.
    pub state: State,
    /// When the secret was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
    /// When the next rotation is due.
    pub rotates_at: Option<Timestamp>,
}

impl Operation for ListSecrets {
    const ACTION: Action = Action::List;
    const ACCESS: Access = Access::Reach;
    type Reply = SecretsPage;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<SecretsPage>, Refusal> {
        let place = view.place(&self.place).await?;
        let mut walk = Walk {
            after: self.begin(view, &place).await?,
            ..Walk::default()
        };
        let chunk = if self.recursive {
            self.limit.items() + 1
        } else {
            FOLDING_ROWS
        };
        loop {
            let count = chunk.min(ROWS_MAX - walk.rows);
            let rows = view
                .list_secrets(&place, &self.prefix.folded(), &walk.after, count)
                .await?;
            let last = rows.len() < count as usize;
            walk.rows += count;
            if self.walk(cx, &mut walk, &rows) || last {
                return Ok(Decision::new(walk.page));
            }
            if walk.rows == ROWS_MAX {
                walk.page.next = walk.seen;
                return Ok(Decision::new(walk.page));
            }
        }
    }
}

/// How far a decision has come.
#[derive(Default)]
struct Walk {
    page: SecretsPage,
    /// Folded: rows are looked at behind it.
    after: String,
    /// Rows asked for.
    rows: u32,
    /// Behind the last row looked at.
    seen: Option<Position>,
    /// Behind the last one shown.
    shown: Option<Position>,
}

impl ListSecrets {
    async fn begin(&self, view: &View, place: &Place) -> Result<String, Refusal> {
        let Some(position) = self.after else {
            return Ok(String::new());
        };
        // Documents of secrets are never taken away, so only a cursor of an environment that is gone leads nowhere.
        let secret = view
            .find_secret_by_id(place, position.secret)
            .await?
            .ok_or_else(|| {
                Refusal::Malformed(
                    "the cursor leads nowhere any more: list again from the beginning".to_owned(),
                )
            })?;
        let folder = position
            .folder
            .then(|| self.folder_of(&secret.path))
            .flatten();
        Ok(folder.map_or_else(|| secret.path.folded(), end_of_folder))
    }

    /// Shows what may be shown of these rows; `true` when the page is full and something is left.
    fn walk(&self, cx: &Cx<'_>, walk: &mut Walk, rows: &[Secret]) -> bool {
        for secret in rows {
            let folded = secret.path.folded();
            if folded <= walk.after {
                continue;
            }
            let name = format!("{}/{}", self.place, secret.path);
            walk.seen = Some(Position {
                secret: secret.id,
                folder: false,
            });
            walk.after = folded;
            if !cx.caller.allows(Action::List, &name) {
                continue;
            }
            if walk.page.items.len() + walk.page.folders.len() == self.limit.items() as usize {
                walk.page.next = walk.shown;
                return true;
            }
            match self.folder_of(&secret.path) {
                Some(folder) => {
                    walk.page.folders.push(format!("{}/{folder}", self.place));
                    walk.after = end_of_folder(folder);
                    walk.seen = Some(Position {
                        secret: secret.id,
                        folder: true,
                    });
                }
                None => walk.page.items.push(ListedSecret::of(name, secret, cx.now)),
            }
            walk.shown = walk.seen;
        }
        false
    }

    /// The folder that stands for this path, up to and with the first `/` behind the prefix.
    fn folder_of<'a>(&self, path: &'a SecretPath) -> Option<&'a str> {
        if self.recursive {
            return None;
        }
        let behind = path.as_str().get(self.prefix.0.len()..)?;
        let slash = behind.find('/')?;
        path.as_str().get(..=self.prefix.0.len() + slash)
    }
}

impl ListedSecret {
    fn of(path: String, secret: &Secret, now: Timestamp) -> Self {
        let newest = secret.versions.last();
        Self {
            path,
            version: newest.map_or(0, |version| version.number),
            state: newest.map_or(State::Destroyed, |version| Secret::state_of(version, now)),
            created_at: secret.created_at,
            updated_at: secret.updated_at,
            rotates_at: secret.rotation.as_ref().map(|policy| policy.next_at),
        }
    }
}

/// Behind every folded path in a folder, and before all that follow it: no path has a character above `~`.
fn end_of_folder(folder: &str) -> String {
    format!("{}\u{7f}", folder.to_ascii_lowercase())
}

/// How the paths of a list begin, in any case: canonical text that some path could begin with.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Prefix(String);

impl Prefix {
    fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if !text.is_empty() && text.parse::<SecretPath>().is_err() {
            format!("{text}x").parse::<SecretPath>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// Where a page ended: behind a secret, or behind the folder it is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    secret: SecretId,
    folder: bool,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.secret, if self.folder { "/" } else { "" })
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, folder) = text
            .strip_suffix('/')
            .map_or((text, false), |id| (id, true));
        Ok(Self {
            secret: id.parse()?,
            folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(prefix: &str, recursive: bool) -> ListSecrets {
        let name = |text: &str| text.parse().expect("a name");
        ListSecrets {
            place: EnvironmentName {
                project: name("p"),
                environment: name("e"),
            },
            prefix: prefix.parse().expect("a prefix"),
            recursive,
            after: None,
            limit: PageSize::default(),
        }
    }

    #[test]
    fn deeper_paths_fold_into_their_folder() {
        let path = |text: &str| text.parse::<SecretPath>().expect("a path");
        for (prefix, at, folder) in [
            ("", "a", None),
            ("", "a/b/c", Some("a/")),
            ("a", "a/b", Some("a/")),
            ("a/", "a/b", None),
            ("A/", "a/b/c", Some("a/b/")),
            ("a/b", "a/bc/d", Some("a/bc/")),
        ] {
            assert_eq!(
                list(prefix, false).folder_of(&path(at)),
                folder,
                "{prefix} {at}"
            );
            assert_eq!(list(prefix, true).folder_of(&path(at)), None);
        }
    }

    #[test]
    fn the_end_of_a_folder_is_before_what_follows() {
        for inside in ["db/~", "db/zzz", "db/a/b"] {
            // `~` begins no part; it is the highest character a path can hold.
            assert!(inside < end_of_folder("DB/").as_str(), "{inside}");
        }
        for behind in ["db0", "dba", "dc"] {
            assert!(behind > end_of_folder("DB/").as_str(), "{behind}");
        }
    }

    #[test]
    fn prefixes_are_canonical() {
        for good in ["", "a", "a/", "a/b", "A-", &"a".repeat(128)] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in [
            "/",
            "/a",
            "a//",
            "a/.",
            "..",
            "a b",
            "a%2f",
            "ä",
            "-",
            &"a".repeat(129),
        ] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn positions_print_as_they_parse() {
        for folder in [false, true] {
            let position = Position {
                secret: SecretId::from_bytes([9; 16]),
                folder,
            };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert!("x".parse::<Position>().is_err());
    }
}
