//! Fuzz targets of the nouns: one spelling each, and what scopes decide is what a plainer reader of them decides.
//!
//! Invariant: what is demanded here is written from the documentation, not from the parsers beside it.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Action, Alphabet, FieldName, Fields, Grant, Name, Pattern, Scope, SecretPath, Timestamp,
    TokenId, TokenUrl, UrlHost, Verdict,
};
use crate::fuzzing::{lines, text};

/// Projects, environments, paths and fields.
pub(crate) fn names(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    let place = one_spelling::<Name>(text);
    let lower = |byte: u8| byte.is_ascii_lowercase();
    let of_a_place = |byte: u8| lower(byte) || byte.is_ascii_digit() || byte == b'-';
    let is_place =
        (1..=63).contains(&text.len()) && lower(input[0]) && text.bytes().all(of_a_place);
    assert_eq!(place.is_some(), is_place && text != "sys");

    let path = one_spelling::<SecretPath>(text);
    let is_path = text.len() <= 512 && text.split('/').count() <= 16;
    assert_eq!(path.is_some(), is_path && text.split('/').all(is_part));
    if let Some(path) = &path {
        let folded: SecretPath = path.folded().parse().expect("a folded path is a path");
        assert!(path.folds_like(&folded) && folded.folded() == folded.as_str());
    }

    let field = one_spelling::<FieldName>(text);
    let first = |first: char| first.is_ascii_alphabetic() || first == '_';
    let of_a_field = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_field = text.len() <= 128 && text.starts_with(first) && text.bytes().all(of_a_field);
    assert_eq!(field.is_some(), is_field);

    if let Ok(alphabet) = Alphabet::try_from(text.to_owned()) {
        let characters = alphabet.characters();
        let is_drawn = |byte: &u8| (b'!'..=b'~').contains(byte);
        assert!(characters.len() > 1 && characters.iter().all(is_drawn));
        let once = |byte: &u8| characters.iter().filter(|other| *other == byte).count() == 1;
        assert!(characters.iter().all(once));
    }
}

fn is_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| word(byte) || b".@:=~+-".contains(&byte);
    part.len() <= 128 && part.bytes().next().is_some_and(word) && part.bytes().all(rest)
}

/// A scope, another one, and a resource: a line each.
pub(crate) fn scopes(input: &[u8]) {
    let Some([outer, inner, resource]) = lines::<3>(input) else {
        return;
    };
    let Some(outer) = one_spelling::<Scope>(outer) else {
        return;
    };
    let Some(inner) = one_spelling::<Scope>(inner) else {
        return;
    };
    let parts: Vec<&str> = resource.split('/').collect();
    for scope in [&outer, &inner] {
        let (_, pattern) = scope.as_str().split_once(':').expect("it was read");
        let pattern: Vec<&str> = pattern.split('/').collect();
        let covered = covers(&pattern, &parts, true);
        assert_eq!(scope.covers(resource), covered);
        for count in 1..=parts.len() {
            let place = parts[..count].join("/");
            assert!(
                !covered || scope.reaches(&place),
                "{scope} covers {resource} and not {place}"
            );
        }
        assert!(scope.contains_pattern(scope));
        let named = Action::ALL
            .iter()
            .filter(|action| scope.actions().contains(**action));
        assert_eq!(
            named.count(),
            scope
                .as_str()
                .split(':')
                .next()
                .unwrap_or_default()
                .split(',')
                .count()
        );
    }
    if outer.contains_pattern(&inner) && inner.covers(resource) {
        assert!(
            outer.covers(resource),
            "{outer} contains {inner} and not {resource}"
        );
    }
    grants(&outer, &inner, resource);
}

/// Lists in any order decide alike, every list must allow, and one refusal is enough.
fn grants(one: &Scope, other: &Scope, resource: &str) {
    let list = |scopes: &[&Scope]| -> Arc<[Scope]> {
        scopes.iter().map(|scope| (*scope).clone()).collect()
    };
    let both = Grant::new(vec![list(&[one, other])]);
    let turned = Grant::new(vec![list(&[other, one])]);
    let chain = Grant::new(vec![list(&[one]), list(&[other])]);
    let upside = Grant::new(vec![list(&[other]), list(&[one])]);
    for action in Action::ALL {
        let gives = |scope: &Scope| !scope.refuses() && scope.matches(action, resource);
        let takes = |scope: &Scope| scope.refuses() && scope.matches(action, resource);
        let any = (gives(one) || gives(other)) && !takes(one) && !takes(other);
        let all = gives(one) && gives(other);
        let allows =
            |grant: &Grant| matches!(grant.decide_text(action, resource), Verdict::Allowed(_));
        assert_eq!(
            [allows(&both), allows(&turned)],
            [any; 2],
            "{one} {other} {action} {resource}"
        );
        assert_eq!(
            [allows(&chain), allows(&upside)],
            [all; 2],
            "{one}, {other} {action} {resource}"
        );
        assert_eq!(both.allows(action, resource), any);
        // Whoever has the one may give away the other only if that is no more.
        let alone = Grant::new(vec![list(&[one])]);
        if alone.contains(other) && gives(other) {
            assert!(
                gives(one),
                "{one} gives {other}, which is more: {action} {resource}"
            );
        }
    }
}

/// A pattern and a resource, part by part.
fn covers(pattern: &[&str], resource: &[&str], is_first: bool) -> bool {
    let of_system = is_first && resource.first() == Some(&"sys");
    match (pattern.split_first(), resource.split_first()) {
        (None, None) => true,
        (Some((&"**", _)), _) => !of_system,
        (None, Some(_)) | (Some(_), None) => false,
        (Some((part, pattern)), Some((there, resource))) => {
            let fits = if *part == "*" {
                !of_system
            } else {
                part == there
            };
            fits && covers(pattern, resource, false)
        }
    }
}

/// Instants, ids and patterns, as a query has them.
pub(crate) fn instants(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        let printed = at.to_string();
        assert_eq!(printed.parse(), Ok(at), "what is printed is read again");
        assert_eq!(printed[..19], text[..19], "an instant is not repaired");
        let decimals = text[19..].trim_matches(['.', 'Z']);
        assert!(decimals.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(printed[20..26].starts_with(&decimals[..decimals.len().min(6)]));
    }
    if let Ok(id) = text.parse::<TokenId>() {
        assert_eq!(id.to_string(), text);
        assert_eq!(TokenId::from_bytes(*id.as_bytes()), id);
    }
    let pattern: Option<Pattern> = text.parse().ok();
    assert!(pattern.is_none() || text.len() < 18 * 130);
}

/// Where an OAuth provider's tokens are asked for.
pub(crate) fn token_url(input: &[u8]) {
    let Some(url) = text(input).and_then(one_spelling::<TokenUrl>) else {
        return;
    };
    let text = url.as_str();
    let scheme = if url.is_https() { "https" } else { "http" };
    assert_eq!(
        format!("{scheme}://{}{}", url.authority(), url.target()),
        text
    );
    assert!(url.target().starts_with('/') && !text.contains('#') && !url.authority().contains('@'));
    let host = url
        .authority()
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok());
    let host = host.map_or(url.authority(), |(host, _)| host);
    match url.host() {
        UrlHost::Address(address) => {
            let written = host.trim_start_matches('[').trim_end_matches(']');
            assert_eq!(written.parse(), Ok(address));
            assert_eq!(written, address.to_string(), "an address has one spelling");
        }
        UrlHost::Name(name) => {
            assert_eq!(name, host);
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(name.parse::<IpAddr>().is_err() && !name.ends_with('.'));
            // Whatever a resolver takes for an address in other digits ends in a number (WHATWG URL, 3.5).
            let last = name.rsplit('.').next().unwrap_or_default();
            let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
                || last.starts_with("0x") && last[2..].bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(!is_number, "{name}");
        }
    }
}

/// A version's fields under their data key.
pub(crate) fn fields(input: &[u8]) {
    let Some(fields) = Fields::decode(input) else {
        return;
    };
    assert_eq!(
        fields.expose_encoded().as_slice(),
        input,
        "a version has one spelling"
    );
    let held: usize = fields
        .iter()
        .map(|(name, value)| name.as_str().len() + value.expose().len())
        .sum();
    assert!(held < input.len() && (fields.len() < 257 || fields.check_limits().is_err()));
}

/// What the text says, which is printed as it was read, and read from JSON as from text.
fn one_spelling<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let read = text.parse::<T>().ok();
    let same = one_text::<T>(text);
    assert_eq!(read, same, "JSON and text are read alike");
    if let Some(read) = &read {
        assert_eq!(read.to_string(), text);
    }
    read
}

/// What a text of JSON says, which is written as it was.
fn one_text<T: Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    let json = serde_json::to_string(text).expect("text is JSON");
    let read = serde_json::from_str::<T>(&json).ok();
    if let Some(read) = &read {
        assert_eq!(serde_json::to_string(read).expect("it is JSON"), json);
    }
    read
}
