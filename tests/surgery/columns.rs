//! What `docs/columns.md` says of each column: the page is the list that the surgery goes by, so that both stay one.
//!
//! Invariant: a column that is not on the page, and a row of the page without its column, fail the test.

use std::collections::BTreeMap;

/// What a column may be believed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An envelope.
    Sealed,
    /// In the context of one, or in a MAC.
    Bound,
    /// Harmless when it lies, and `check` names it.
    Compared,
    /// Harmless when it lies, and `check` cannot know.
    Plain,
}

/// Tables and columns with their classes, as the page has them.
pub fn classes() -> BTreeMap<(String, String), Class> {
    let page = include_str!("../../docs/columns.md");
    let mut classes = BTreeMap::new();
    let mut table = None;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## `") {
            table = title.split_once('`').map(|(name, _)| name.to_owned());
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, column, class, why, _] = cells[..] else {
            continue;
        };
        let Some(column) = column
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        let table = table
            .clone()
            .expect("a table's title stands above its columns");
        assert!(
            !why.is_empty(),
            "{table}.{column}: the page gives no reason"
        );
        let class = match class {
            "sealed" => Class::Sealed,
            "bound" => Class::Bound,
            "compared" => Class::Compared,
            "plain" => Class::Plain,
            other => panic!("{table}.{column}: {other} is no class"),
        };
        let twice = classes.insert((table, column.to_owned()), class);
        assert_eq!(twice, None, "{column} is there twice");
    }
    classes
}
