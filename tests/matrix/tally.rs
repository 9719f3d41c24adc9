//! Records counted by everything that the matrix can foretell: who, with which token, what, and how it ended.
//! What the system writes of its own streams is left out; a request leaves no such record.
//!
//! Invariant: nothing else of the log is left out, so a record too many is found like one too few.

use std::collections::BTreeMap;

use serde_json::Value;

use super::column::{Column, Shown};
use super::rows::Row;

/// What is counted of a record: principal, token, action, resource, verdict, status and code.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Line(String);

/// How many lines there are of each kind.
#[derive(Default)]
pub struct Tally(BTreeMap<Line, i64>);

impl Line {
    /// The records that this cell must leave, if it must leave any.
    pub fn expected(row: &Row, column: Column, shown: &Shown) -> Vec<Self> {
        let expected = column.expected(row);
        let Some(verdict) = expected.verdict else {
            return Vec::new();
        };
        let token = match shown {
            Shown::Token(token) if !token.id.is_empty() => token.id.as_str(),
            _ => "-",
        };
        let principal = match expected.status {
            401 => "-",
            _ => "app/root",
        };
        let resource = match expected.status {
            401 => row.resource_of_path(),
            _ => row.resource,
        };
        let (action, code) = (row.action, expected.code);
        let of = |principal: &str, token: &str, status: u16| {
            Self(format!(
                "{principal} {token} {action} {resource} {verdict} {status} {code}"
            ))
        };
        let mut lines = vec![of(principal, token, expected.status)];
        if row.is_begun_apart() && code == "ok" {
            lines.push(of(principal, token, 202));
        }
        if row.imports() && code == "ok" {
            // In between it is sent and concluded by the system.
            lines.extend([200, 200].map(|status| of("system/refresher", "-", status)));
        }
        lines
    }

    /// The record with which a server that is told to stop closes its log.
    pub fn closed() -> Self {
        Self("system/ledger - audit sys/status allowed 200 closed".to_owned())
    }

    /// A record of the log, unless it is of the system's own streams.
    fn found(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).expect("a record is JSON");
        let text = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
        if text("principal") == "system/streams" {
            return None;
        }
        let words = ["principal", "token", "action", "resource", "verdict"].map(text);
        let outcome = &record["outcome"];
        let code = outcome["code"].as_str().expect("a code");
        Some(Self(format!(
            "{} {} {code}",
            words.join(" "),
            outcome["status"]
        )))
    }
}

impl Tally {
    /// Counts the lines of an export.
    pub fn of_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut tally = Self::default();
        for line in lines.filter_map(Line::found) {
            tally.add(line);
        }
        tally
    }

    /// Counts one more.
    pub fn add(&mut self, line: Line) {
        *self.0.entry(line).or_insert(0) += 1;
    }

    /// What is not there as often as expected, a line each.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut all = self.0.clone();
        for (line, count) in &expected.0 {
            *all.entry(line.clone()).or_insert(0) -= count;
        }
        let wrong = all.into_iter().filter(|(_, count)| *count != 0);
        wrong
            .map(|(Line(line), count)| format!("{count:+} {line}"))
            .collect()
    }

    /// How many there are of all kinds.
    pub fn len(&self) -> i64 {
        self.0.values().sum()
    }
}
