//! Every parser of the command line as a fuzz target: arguments, files, and what a server answers.
//! `scripts/torture fuzz` runs them under libFuzzer, the tests over what that kept and over what proptest makes.
//!
//! Invariant: no target reads the environment or the disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::commands::When;
use crate::defaults::Defaults;
use crate::durations::Seconds;
use crate::failure::{Again, Failure};
use crate::fields::FieldArgument;
use crate::names;
use crate::output::{printable, steers};
use crate::records::Record;
use crate::routes::Route;
use crate::variables::{Variables, may_name, variable};
use crate::wire::Reply;

/// A target's name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Each target's name, which is its corpus' folder in `fuzz/corpus`, and what it does with an input.
pub const TARGETS: &[Target] = &[
    ("cli-answers", answers),
    ("cli-arguments", arguments),
    ("cli-defaults", defaults),
    ("cli-names", references),
    ("cli-records", records),
    ("cli-times", times),
    ("cli-variables", variables),
];

/// Spans and instants as they are typed, and as they are shown and sent.
fn times(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    if let Ok(seconds) = text.parse::<Seconds>() {
        assert_eq!(
            seconds.to_string().parse(),
            Ok(seconds),
            "what is shown parses back"
        );
    }
    let Ok(When(sent)) = text.parse() else {
        return;
    };
    if sent.bytes().all(|byte| byte.is_ascii_digit()) {
        assert_eq!(text.parse(), Ok(Seconds(sent.parse().expect("a number"))));
        return;
    }
    assert!(sent.ends_with('Z'));
    let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let typed = read(text).or_else(|| read(&format!("{text}T00:00:00Z")));
    let (typed, sent) = (typed.expect("an instant"), read(&sent).expect("an instant"));
    assert_eq!(
        typed.unix_timestamp_nanos().div_euclid(1000),
        sent.unix_timestamp_nanos() / 1000
    );
}

/// References to places, secrets and connections, all of them whole, and the URLs that they lead to.
fn references(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    let slashes = text.matches('/').count();
    if slashes >= 2 {
        if let Ok(secret) = names::secret(text) {
            assert_eq!(secret.to_string(), text);
            assert!(secret.environment.name != "sys" && secret.environment.project != "sys");
            is_segments(&Route::of_secret("secrets", &secret), text);
        }
        if let Ok(connection) = names::connection(text) {
            assert_eq!(connection.to_string(), text);
            is_segments(&Route::of_connection(&connection), text);
        }
    }
    if slashes == 1
        && let Ok(environment) = names::environment(Some(text))
    {
        assert_eq!(environment.to_string(), text);
        is_segments(&Route::of_environment("secrets", &environment), text);
    }
    for name in [names::project(text), names::field(text), names::id(text)]
        .into_iter()
        .flatten()
    {
        assert_eq!(name, text);
        assert!(!name.contains(['/', '%', '?', '#', ' ']));
    }
    // Whatever a part or a parameter holds, it ends where it ends.
    let route = Route::new("x").part(text).query("q", text);
    let (path, query) = route.as_str().split_once('?').expect("a parameter");
    assert_eq!(
        path.matches('/').count(),
        Route::new("x").as_str().matches('/').count() + 1
    );
    assert!(!path.contains(['#', ' ']) && query.matches(['&', '=', '#', '+']).count() == 1);
}

fn is_segments(route: &Route, name: &str) {
    let path = route.as_str();
    assert!(path.ends_with(name), "{path}");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains(['?', '#', '%']));
}

/// An argument of `set`: no failure tells a value.
fn arguments(input: &[u8]) {
    match FieldArgument::parse(OsStr::from_bytes(input)) {
        Ok(argument) => {
            assert!(input.starts_with(argument.name.as_bytes()));
            assert_eq!(names::field(&argument.name).ok(), Some(argument.name));
        }
        Err(failure) => {
            let told = format!("{failure:?}");
            let value = input.split(|byte| *byte == b'=').nth(1).and_then(text);
            let value = value
                .filter(|value| value.len() > 8 && value.bytes().any(|byte| byte.is_ascii_digit()));
            assert!(value.is_none_or(|value| !told.contains(value)), "{told}");
        }
    }
}

/// A prefix, a path and a field: a line each.
fn variables(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let (Some(prefix), Some(path), Some(field)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let name = variable(prefix, path, field);
    assert!(may_name(prefix, path, &name));
    let mut variables = Variables::default();
    if variables.add(&name, path, field).is_ok() {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        assert!(!name.is_empty() && name.bytes().all(word) && !name.as_bytes()[0].is_ascii_digit());
        let steers = [
            "PATH",
            "IFS",
            "ENV",
            "BASH_ENV",
            "COFFER_TOKEN",
            "COFFER_ADDR",
            "COFFER_CACERT",
        ];
        assert!(!steers.contains(&&*name) && !name.starts_with("LD_"));
        assert!(
            variables.add(&name, path, "other").is_err(),
            "one variable, one field"
        );
    }
}

/// `.coffer.toml`.
fn defaults(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    match Defaults::parse(text) {
        Ok(defaults) => {
            for name in [defaults.project, defaults.environment]
                .into_iter()
                .flatten()
            {
                assert!(names::is_place(&name));
            }
        }
        Err(why) => assert!(!why.contains('\n'), "{why}"),
    }
}

/// An answer: two bytes of a status and a body, as a refusal and as each thing that it could be.
fn answers(input: &[u8]) {
    let Some((status, body)) = input.split_first_chunk::<2>() else {
        return;
    };
    let status = 100 + u16::from_be_bytes(*status) % 500;
    let failure = Failure::refusal(status, body, "0a-1");
    if let Again::After(wait) = failure.again() {
        assert!(
            wait.as_secs() <= 5,
            "no server makes a command wait for long"
        );
    }
    let told = printable(&format!("{failure:?}"));
    let reorders = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(
        !told
            .chars()
            .any(|c| steers(c) || reorders(c) || c.is_control())
    );
    let reply = Reply {
        body: body.to_vec().into(),
        request_id: String::new(),
    };
    let understood = [
        reply.parse::<coffer_api::Secret>().map(drop),
        reply.parse::<coffer_api::SecretList>().map(drop),
        reply.parse::<coffer_api::History>().map(drop),
        reply.parse::<coffer_api::WrittenSecret>().map(drop),
        reply.parse::<coffer_api::CreatedToken>().map(drop),
        reply.parse::<coffer_api::TokenList>().map(drop),
        reply.parse::<coffer_api::AccessToken>().map(drop),
        reply.parse::<coffer_api::ConnectionList>().map(drop),
        reply.parse::<coffer_api::Keys>().map(drop),
        reply.parse::<coffer_api::AuditHeads>().map(drop),
    ];
    for refused in understood.into_iter().filter_map(Result::err) {
        let told = format!("{refused:?}");
        assert!(told.len() < 300, "{told}");
    }
}

/// A line of the log, as it reads.
fn records(input: &[u8]) {
    let Ok(record) = Record::parse(input) else {
        return;
    };
    let shown = printable(&record.shown());
    assert!(
        !shown.chars().any(steers) && !shown.contains('\n'),
        "{shown}"
    );
    let _ = record.text("time");
}

fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_that_was_kept_passes() {
        replay::every_input_that_was_kept(TARGETS);
        replay::no_corpus_without_a_target(TARGETS, |name| name.starts_with("cli-"));
    }

    #[test]
    fn inputs_that_nobody_wrote_pass() {
        replay::inputs_nobody_wrote(TARGETS);
    }
}
