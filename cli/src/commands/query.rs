//! `coffer audit query`: the records that fulfil every condition, the newest first, each as soon as it is found.
//! The conditions are the server's parameters; times are read here as people type them.
//!
//! Invariant: a record is printed once its line has come whole.

use crate::client::Client;
use crate::durations::Seconds;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::records::Record;
use crate::routes::Route;
use clap::{Args, ValueEnum};
use std::str::FromStr;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, Time};

/// The most that can be asked for.
const RECORDS_MAX: i64 = 100_000;

/// Print the records that fulfil every condition, the newest first.
#[derive(Args)]
pub struct Query {
    /// From this time on: how long ago (1h, 7d), a date, or an instant such as 2026-07-06T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// By this principal, as records name it.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// With the token of this id.
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// From this address.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// Of one of these actions, such as read or write,delete.
    #[arg(long, value_name = "ACTIONS")]
    action: Option<String>,
    /// On these resources, as in a scope: payments/prod/**.
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
    /// Only what was let in, or only what was refused.
    #[arg(long, value_enum)]
    verdict: Option<Verdict>,
    /// With this outcome: a status such as 404, or a code such as not-found.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Of the request of this id, where it was recorded; --since makes the search shorter.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// At most so many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=RECORDS_MAX))]
    limit: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Verdict {
    Allowed,
    Refused,
}

/// An instant, or how many seconds ago, as the server reads it.
#[derive(Clone)]
pub struct When(pub(crate) String);

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a time is how long ago (1h, 7d), a date (2026-07-06), or an instant in UTC (2026-07-06T12:00:00Z)";
        if let Ok(Seconds(ago)) = text.parse() {
            return Ok(Self(ago.to_string()));
        }
        let midnight = format!("{text}T00:00:00Z");
        let at = OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&midnight, &Rfc3339));
        at.ok().and_then(Self::of).ok_or(WRONG)
    }
}

impl When {
    /// Whether it is later than another; true where the server's clock would have to tell.
    fn is_after(&self, other: &Self) -> bool {
        let ago = |text: &str| text.parse::<u64>().ok();
        let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
        match (ago(&self.0), ago(&other.0)) {
            (Some(this), Some(other)) => this < other,
            (None, None) => at(&self.0) > at(&other.0),
            _ => true,
        }
    }

    /// In UTC, without what is finer than a microsecond.
    fn of(at: OffsetDateTime) -> Option<Self> {
        let at = at.checked_to_offset(time::UtcOffset::UTC)?;
        let (hour, minute, second, micro) = at.to_hms_micro();
        let at = at.replace_time(Time::from_hms_micro(hour, minute, second, micro).ok()?);
        at.format(&Rfc3339).ok().map(Self)
    }
}

impl Query {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        if let (Some(since), Some(until)) = (&self.since, &self.until)
            && !until.is_after(since)
        {
            return Err(Failure::usage(
                "No record is from --since on and before --until: give a later --until.",
            ));
        }
        let text = |when: Option<When>| when.map(|When(text)| text);
        let verdict = self.verdict.map(|verdict| match verdict {
            Verdict::Allowed => "allowed",
            Verdict::Refused => "refused",
        });
        let route = Route::new("audit")
            .part("records")
            .query("order", "newest")
            .query_if("limit", Some(self.limit))
            .query_if("since", text(self.since))
            .query_if("until", text(self.until))
            .query_if("principal", self.principal)
            .query_if("token", self.token)
            .query_if("source", self.source)
            .query_if("action", self.action)
            .query_if("resource", self.resource)
            .query_if("verdict", verdict)
            .query_if("outcome", self.outcome)
            .query_if("request", self.request);
        let (mut rest, mut printed) = (Vec::new(), 0_u32);
        Client::from_environment()?.stream(&route, |bytes| {
            rest.extend_from_slice(bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                Record::parse(&line[..end])?.print(output)?;
                printed += 1;
            }
            Ok(())
        })?;
        if printed == 0 {
            output::note("No record fulfils these conditions.");
        } else if printed == self.limit {
            output::note(
                "There may be more: ask with a larger --limit, or with --until the last time shown.",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_that_holds_no_time_is_told() {
        let when = |text: &str| text.parse::<When>().ok().unwrap();
        for (since, until, holds) in [
            ("2h", "1h", true),
            ("1h", "2h", false),
            ("1h", "1h", false),
            ("2026-07-06", "2026-07-07", true),
            ("2026-07-06T12:00:00Z", "2026-07-06T12:00:00.5Z", true),
            ("2026-07-06T12:00:00.5Z", "2026-07-06T12:00:00Z", false),
            ("2026-07-06", "2026-07-06", false),
            ("1h", "2026-07-06", true),
        ] {
            assert_eq!(when(until).is_after(&when(since)), holds, "{since} {until}");
        }
    }

    #[test]
    fn times_are_read_as_people_type_them() {
        let read = |text: &str| text.parse::<When>().map(|When(text)| text);
        assert_eq!(read("2026-07-06"), Ok("2026-07-06T00:00:00Z".into()));
        assert_eq!(
            read("2026-07-06T14:00:00.5+02:00"),
            Ok("2026-07-06T12:00:00.5Z".into())
        );
        assert_eq!(read("1h"), Ok("3600".into()));
        for wrong in [
            "",
            "yesterday",
            "1w",
            "2026-13-01",
            "12:00",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
