//! The log as an auditor reads it: exported through the door, line by line.
//! The export's own record is its last line and is left out, so that `last` is what the story did.
//!
//! Invariant: a line counts only if it is a record in its one spelling.

use std::collections::BTreeMap;

use serde_json::Value;

/// One record.
#[derive(Clone, PartialEq, Debug)]
pub struct Record(Value);

impl Record {
    fn parse(line: &str) -> Self {
        coffer_audit_log::Record::parse(line.as_bytes()).expect("a record in its one spelling");
        Self(serde_json::from_str(line).expect("a record is JSON"))
    }

    /// A member that is text, or nothing.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0[key].as_str()
    }

    /// A member.
    pub fn member(&self, key: &str) -> &Value {
        &self.0[key]
    }

    /// The status that was answered.
    pub fn status(&self) -> u64 {
        let status = self.0["outcome"]["status"].as_u64();
        status.expect("an outcome has a status")
    }

    /// `allowed`, or the verdict and the code: `refused: token-expired`, `allowed: not-found`.
    pub fn outcome(&self) -> String {
        let verdict = self.text("verdict").expect("a verdict");
        match self.0["outcome"]["code"].as_str().expect("a code") {
            "ok" => verdict.to_owned(),
            code => format!("{verdict}: {code}"),
        }
    }
}

/// Principal (`-` for nobody known), action, resource and outcome.
pub type Kind = (String, String, String, String);

/// Every record up to the export.
#[derive(Debug)]
pub struct Records(Vec<Record>);

impl Records {
    /// The lines of an export, the last of which is its own record.
    pub fn of_export(text: &str) -> Self {
        let mut records: Vec<Record> = text.lines().map(Record::parse).collect();
        let own = records.pop().expect("an export holds its own record");
        assert_eq!(own.text("resource"), Some("sys/audit"));
        Self(records)
    }

    /// The records of a bundle, which [`coffer_audit_log::verify`] has looked at.
    pub fn of_bundle(text: &str) -> Self {
        let lines = text.lines().filter(|line| line.starts_with('{'));
        Self(lines.map(Record::parse).collect())
    }

    /// All of them, in their order.
    pub fn all(&self) -> &[Record] {
        &self.0
    }

    /// The last one.
    #[track_caller]
    pub fn last(&self) -> &Record {
        self.0.last().expect("a record")
    }

    /// The last one is of this action on this resource, with this outcome.
    #[track_caller]
    pub fn last_is(&self, action: &str, resource: &str, outcome: &str) -> &Record {
        let last = self.last();
        let found = (
            last.text("action").unwrap_or_default(),
            last.text("resource").unwrap_or_default(),
            last.outcome(),
        );
        assert_eq!(
            found,
            (action, resource, outcome.to_owned()),
            "{:?}",
            last.0
        );
        last
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for record in &self.0 {
            let text = |key| record.text(key).unwrap_or("-").to_owned();
            let kind = (
                text("principal"),
                text("action"),
                text("resource"),
                record.outcome(),
            );
            *counts.entry(kind).or_insert(0) += 1;
        }
        counts
    }

    /// How many are of this kind.
    pub fn count(&self, principal: &str, action: &str, resource: &str, outcome: &str) -> usize {
        let kind = [principal, action, resource, outcome].map(str::to_owned);
        let [principal, action, resource, outcome] = kind;
        let counts = self.counts();
        *counts
            .get(&(principal, action, resource, outcome))
            .unwrap_or(&0)
    }
}
