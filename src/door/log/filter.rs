//! Which records are asked for: every condition that is given must hold.
//! A summary is asked first whether its segment could hold one.
//!
//! Invariant: a segment that holds a record which the filter takes is never left out by its summary.

use std::borrow::Cow;
use std::fmt;

use coffer_audit_log::{Record, Verdict};

use crate::door::segments::Summary;
use crate::model::{Action, Actions, Pattern, Timestamp};

/// What is asked of records. Without any condition it takes all.
#[derive(Clone, Default, Debug)]
pub struct RecordFilter {
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// By this principal.
    pub principal: Option<String>,
    /// With the token of this id.
    pub token: Option<String>,
    /// From this address.
    pub source: Option<String>,
    /// Of one of these actions.
    pub actions: Option<Actions>,
    /// On a resource that this pattern covers, with the pattern as it was typed.
    pub resource: Option<(String, Pattern)>,
    /// Whether the door let it in.
    pub allowed: Option<bool>,
    /// What was answered.
    pub outcome: Option<OutcomeFilter>,
    /// Of the request of this id.
    pub request: Option<String>,
}

/// An outcome, by either of its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutcomeFilter {
    /// The HTTP status.
    Status(u16),
    /// `ok`, or the code of a problem.
    Code(String),
}

impl RecordFilter {
    /// Whether a segment of this summary may hold a record that is taken.
    pub(super) fn may_find(&self, summary: &Summary) -> bool {
        let within = self.since.is_none_or(|since| summary.to >= since)
            && self.until.is_none_or(|until| summary.from < until);
        within
            && self
                .principal
                .as_ref()
                .is_none_or(|text| summary.principals.contains(text))
            && self.actions.is_none_or(|actions| {
                actions
                    .iter()
                    .any(|action| summary.actions.contains(action.as_str()))
            })
            && self.resource.as_ref().is_none_or(|(_, pattern)| {
                summary.places.iter().any(|place| pattern.reaches(place))
            })
            && self.outcome.as_ref().is_none_or(|outcome| match outcome {
                OutcomeFilter::Code(code) => summary.outcomes.contains(code),
                OutcomeFilter::Status(_) => true,
            })
    }

    /// Whether the record is taken.
    pub(super) fn takes(&self, record: &Record<'_>) -> bool {
        let time = Timestamp::from_micros(record.time);
        let is = |wanted: Option<&String>, text: Option<&Cow<'_, str>>| {
            wanted.is_none_or(|wanted| text.is_some_and(|text| text == wanted))
        };
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && is(self.principal.as_ref(), record.principal.as_ref())
            && is(self.token.as_ref(), record.token.as_ref())
            && is(self.source.as_ref(), record.source.as_ref())
            && is(self.request.as_ref(), record.request.as_ref())
            && self.actions.is_none_or(|actions| {
                record
                    .action
                    .parse()
                    .is_ok_and(|action| actions.contains(action))
            })
            && self
                .resource
                .as_ref()
                .is_none_or(|(_, pattern)| pattern.covers(&record.resource))
            && self
                .allowed
                .is_none_or(|allowed| (record.verdict == Verdict::Allowed) == allowed)
            && self.outcome.as_ref().is_none_or(|outcome| match outcome {
                OutcomeFilter::Code(code) => record.outcome.code == *code,
                OutcomeFilter::Status(status) => record.outcome.status == *status,
            })
    }

    /// Bytes that stand in the line of each record that is taken, where that can be known: those of the condition that
    /// most likely leaves records out.
    pub(super) fn needle(&self) -> Option<Vec<u8>> {
        // An escaped character has two spellings here and one there.
        let plain = |text: &&String| {
            let quiet = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            text.bytes().all(quiet)
        };
        let exactly = |key: &str, text: &String| format!("\"{key}\":\"{text}\"").into_bytes();
        let spelt = |text: &&String| !text.contains('*');
        None.or_else(|| Some(exactly("request", self.request.as_ref().filter(plain)?)))
            .or_else(|| Some(exactly("token", self.token.as_ref().filter(plain)?)))
            .or_else(|| {
                let resource = self.resource.as_ref().map(|(text, _)| text);
                Some(exactly("resource", resource.filter(plain).filter(spelt)?))
            })
            .or_else(|| Some(exactly("principal", self.principal.as_ref().filter(plain)?)))
            .or_else(|| Some(exactly("source", self.source.as_ref().filter(plain)?)))
            .or_else(|| {
                let (text, _) = self.resource.as_ref()?;
                let begin = text.split_once('*')?.0.trim_end_matches('/');
                let begin = Some(begin.to_owned()).filter(|begin| !begin.is_empty());
                let begin = begin.as_ref().filter(plain)?;
                Some(format!("\"resource\":\"{begin}").into_bytes())
            })
            .or_else(|| match self.outcome.as_ref()? {
                OutcomeFilter::Code(code) => {
                    Some(code).filter(plain).map(|code| exactly("code", code))
                }
                OutcomeFilter::Status(status) => {
                    Some(format!("\"status\":{status}}}").into_bytes())
                }
            })
            .or_else(|| (!self.allowed?).then(|| b"\"verdict\":\"refused\"".to_vec()))
    }
}

/// The conditions as they are recorded: those of the route's parameters.
impl fmt::Display for RecordFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.since.map(|since| format!("since={since}")),
            self.until.map(|until| format!("until={until}")),
            self.principal
                .as_ref()
                .map(|text| format!("principal={text}")),
            self.token.as_ref().map(|text| format!("token={text}")),
            self.source.as_ref().map(|text| format!("source={text}")),
            self.actions.map(|actions| {
                let words: Vec<&str> = actions.iter().map(Action::as_str).collect();
                format!("action={}", words.join(","))
            }),
            self.resource
                .as_ref()
                .map(|(text, _)| format!("resource={text}")),
            self.allowed
                .map(|allowed| format!("verdict={}", if allowed { "allowed" } else { "refused" })),
            self.outcome.as_ref().map(|outcome| match outcome {
                OutcomeFilter::Code(code) => format!("outcome={code}"),
                OutcomeFilter::Status(status) => format!("outcome={status}"),
            }),
            self.request.as_ref().map(|id| format!("request={id}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_pattern_is_looked_for() {
        let needle = |text: &str| {
            let pattern = text.parse().expect("a pattern");
            let filter = RecordFilter {
                resource: Some((text.to_owned(), pattern)),
                ..RecordFilter::default()
            };
            let needle = filter.needle();
            needle.map(|needle| String::from_utf8(needle).expect("text"))
        };
        assert_eq!(needle("a/b").as_deref(), Some("\"resource\":\"a/b\""));
        // It covers `a/b` as well.
        assert_eq!(needle("a/b/**").as_deref(), Some("\"resource\":\"a/b"));
        assert_eq!(needle("a/*/c").as_deref(), Some("\"resource\":\"a"));
        assert_eq!(needle("*/c"), None);
        assert_eq!(needle("**"), None);
    }
}
