//! A fuzz target of queries: what looks at whole segments never leaves out what looks at records would take.
//!
//! Invariant: a filter is made of the record's own parts, so that it takes it.

use coffer_audit_log::{Record, Verdict};

use super::filter::{OutcomeFilter, RecordFilter};
use crate::door::segments::Summary;
use crate::model::{Action, Actions, Pattern, Timestamp};

/// A record, with a byte before it that says which of its parts are asked for.
pub(crate) fn log_filter(input: &[u8]) {
    let Some((asked, line)) = input.split_first() else {
        return;
    };
    let Ok(record) = Record::parse(line) else {
        return;
    };
    let is_asked = |bit: u8| asked & 1 << bit != 0;
    let time = Timestamp::from_micros(record.time);
    let text = |bit, text: &Option<std::borrow::Cow<'_, str>>| {
        let text = text.as_deref().filter(|_| is_asked(bit));
        text.map(str::to_owned)
    };
    let resource = record
        .resource
        .parse::<Pattern>()
        .ok()
        .filter(|_| is_asked(4));
    let action = record.action.parse::<Action>().ok().filter(|_| is_asked(5));
    let filter = RecordFilter {
        since: is_asked(0).then_some(time),
        until: is_asked(0).then(|| time.after_micros(1)),
        principal: text(1, &record.principal),
        token: text(2, &record.token),
        source: text(3, &record.source),
        request: text(0, &record.request),
        actions: action.map(|action| Actions::default().with(action)),
        resource: resource.map(|pattern| (record.resource.to_string(), pattern)),
        allowed: is_asked(6).then_some(record.verdict == Verdict::Allowed),
        outcome: is_asked(7).then(|| match record.outcome.status.is_multiple_of(2) {
            true => OutcomeFilter::Status(record.outcome.status),
            false => OutcomeFilter::Code(record.outcome.code.to_string()),
        }),
    };
    assert!(filter.takes(&record), "{filter}");
    let mut summary = Summary::new(time);
    summary.add(&record);
    assert!(filter.may_find(&summary), "{filter}");
    if let Some(needle) = filter.needle() {
        let found = memchr::memmem::find(line, &needle);
        assert!(
            found.is_some(),
            "{filter}: {}",
            String::from_utf8_lossy(&needle)
        );
    }
    let later = RecordFilter {
        since: Some(time.after_micros(1)),
        ..filter
    };
    assert!(!later.takes(&record));
}
