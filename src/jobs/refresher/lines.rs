//! The lines in which what is due waits for its turn: one for each host and project, worked off by one task.
//! A line that is slow keeps nobody waiting but those in it, and goes on over the next looks at what is due.
//!
//! Invariant: there is at most one line of a host and project at a time, and one that ends, however it ends, is gone.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Name, SecretName};

/// Whose line it is: a host with its port, and a project.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Line {
    pub(super) host: String,
    pub(super) project: Name,
}

type Table = Arc<Mutex<HashSet<Line>>>;

/// See the module.
#[derive(Default)]
pub(super) struct Lines(Table);

/// A line, for the task that works it off.
pub(super) struct Held {
    pub(super) line: Line,
    table: Table,
}

impl Line {
    /// What is due, each in its line, the longest due first.
    pub(super) fn up(due: Vec<(SecretName, String)>) -> BTreeMap<Self, Vec<SecretName>> {
        let mut lines: BTreeMap<Self, Vec<SecretName>> = BTreeMap::new();
        for (name, host) in due {
            let project = name.place.project.clone();
            lines.entry(Self { host, project }).or_default().push(name);
        }
        lines
    }
}

impl Lines {
    /// The line, unless it is worked off already.
    pub(super) fn begin(&self, line: Line) -> Option<Held> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(line.clone()).then(|| Held {
            line,
            table: Arc::clone(&self.0),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&self.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EnvironmentName;

    #[test]
    fn each_host_and_project_has_one_line() {
        let name = |project: &str, path: &str| SecretName {
            place: EnvironmentName {
                project: project.parse().expect("a name"),
                environment: "e".parse().expect("a name"),
            },
            path: path.parse().expect("a path"),
        };
        let due = [
            ("p", "a", "x"),
            ("q", "b", "x"),
            ("p", "c", "y"),
            ("p", "d", "x"),
        ];
        let due = due.map(|(project, path, host)| (name(project, path), host.to_owned()));
        let up = Line::up(due.into());
        let paths: Vec<Vec<&str>> = up
            .values()
            .map(|names| names.iter().map(|name| name.path.as_str()).collect())
            .collect();
        assert_eq!(paths, [vec!["a", "d"], vec!["b"], vec!["c"]]);
        let (lines, line) = (Lines::default(), up.into_keys().next().expect("a line"));
        let held = lines.begin(line.clone()).expect("nobody is at it");
        assert!(lines.begin(line.clone()).is_none());
        drop(held);
        assert!(lines.begin(line).is_some());
    }
}
