//! Fuzz targets of what clients send: targets and queries, headers, bodies.
//!
//! Invariant: no target looks at anything but the bytes it is given.

use std::net::IpAddr;

use ::url::form_urlencoded;
use coffer_api as api;
use hyper::Version;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::{check_content_type, check_shape};
use super::lengths::Lengths;
use super::limits::{JSON_DEPTH_MAX, JSON_KEYS_MAX, METADATA_KEYS_MAX};
use super::source::{network_of, source_of};
use super::url::{Query, decode_path};
use super::{audit, headers, once, tiles};
use crate::config::Network;
use crate::door::{Credential, Request, TILE_WIDTH};
use crate::fuzzing::text;
use crate::model::{Refusal, Timestamp};
use crate::operations::secrets::Expected;

/// The shortest stretch of an input that is looked for in a refusal.
const TOLD_BYTES_MIN: usize = 40;

/// Which tile of a stream a path asks for: it has one spelling.
pub(crate) fn tile(input: &[u8]) {
    let Some((path, tile)) = text(input).and_then(|text| Some((text, tiles::tile(text)?))) else {
        return;
    };
    let (mut parts, mut rest) = (
        vec![format!("{:03}", tile.index % 1_000)],
        tile.index / 1_000,
    );
    while rest > 0 {
        parts.insert(0, format!("x{:03}", rest % 1_000));
        rest /= 1_000;
    }
    let level = tile
        .level
        .map_or("entries".to_owned(), |level| level.to_string());
    let partial = if tile.width < TILE_WIDTH {
        format!(".p/{}", tile.width)
    } else {
        String::new()
    };
    assert_eq!(format!("{level}/{}{partial}", parts.join("/")), path);
    assert!(!tile.is_within(0));
    if tile.is_within(1 << 40) {
        assert!(tile.is_within(u64::MAX), "a tree never loses a tile");
    }
}

/// A request target: the path and, behind the first `?`, the query.
pub(crate) fn url(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    if let Some(decoded) = quiet(path, decode_path(path)) {
        let again = decode_path(&decoded);
        assert_eq!(
            again.as_deref(),
            Ok(&*decoded),
            "a decoded path is its own spelling"
        );
        assert_eq!(decoded.matches('/').count(), path.matches('/').count());
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.contains(['%', '\\', ';', '?', '#'])
        };
        assert!(
            *decoded == *"/" || decoded[1..].split('/').all(plain),
            "{decoded}"
        );
        assert_eq!(*decoded, *decoded_by_another(path));
    }
    let Some(mut parameters) = quiet(query.unwrap_or_default(), Query::parse(query)) else {
        return;
    };
    let query = query.filter(|query| !query.is_empty());
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let (key, value) = pair.split_once('=').expect("a parameter has a value");
        let (key, value) = (decoded_by_another(key), decoded_by_another(value));
        assert_eq!(parameters.take(&key), Some(value));
        assert_eq!(parameters.take(&key), None, "each parameter once");
    }
    assert_eq!(parameters.finish(), Ok(()), "no parameter is made up");
}

/// Percent-decoded by the reader of forms, which repairs what it does not like.
fn decoded_by_another(text: &str) -> String {
    let form = text
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut pairs = form_urlencoded::parse(form.as_bytes());
    let pair = pairs.next();
    pair.map(|(key, _)| key.into_owned()).unwrap_or_default()
}

/// The conditions of a query of the log, which are recorded as a query that says the same.
pub(crate) fn conditions(input: &[u8]) {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let Some(text) = text(input) else {
        return;
    };
    let read = |text: &str| {
        let mut query = Query::parse(Some(text)).ok()?;
        let filter = audit::filter(&mut query, now).ok()?;
        query.finish().ok().map(|()| filter)
    };
    let Some(filter) = read(text) else {
        return;
    };
    let said = filter.to_string();
    // A principal may hold what divides parameters, which would be escaped in a query.
    let divided = said.matches('&').count() > text.matches('&').count();
    if divided || said.contains(['%', '+']) {
        return;
    }
    let again = read(&said).expect("what is recorded can be asked again");
    assert_eq!(again.to_string(), said);
    // One spelling of everything but instants, which may be so long ago, and names.
    for key in ["token", "source", "action", "verdict", "outcome", "request"] {
        let of_key = |text: &str| {
            let mut pairs = form_urlencoded::parse(text.as_bytes());
            pairs
                .find(|(found, _)| found == key)
                .map(|(_, value)| value.into_owned())
        };
        let (typed, recorded) = (of_key(text), of_key(&said));
        let words = |text: Option<String>| {
            let text = text.unwrap_or_default();
            let mut words: Vec<String> = text.split(',').map(str::to_owned).collect();
            words.sort_unstable();
            words
        };
        assert_eq!(words(typed), words(recorded), "{key}");
    }
}

/// Headers, a line each: `name: value`.
pub(crate) fn heads(input: &[u8]) {
    let mut map = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(64) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves
            .next()
            .and_then(|name| HeaderName::from_bytes(name).ok());
        let value = halves.next().map(<[u8]>::trim_ascii);
        let value = value.and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            map.append(name, value);
        }
    }
    let count = |name: &HeaderName| map.get_all(name).iter().count();
    if let Credential::Token(token) = headers::credential(&map) {
        assert_eq!(count(&AUTHORIZATION), 1);
        let shown = map[AUTHORIZATION].as_bytes();
        assert_eq!(shown[7..], *token.expose().as_bytes());
    }
    let hosts = count(&hyper::header::HOST);
    assert_eq!(
        headers::check_host(&map, Version::HTTP_11).is_ok(),
        hosts == 1
    );
    assert_eq!(
        headers::check_host(&map, Version::HTTP_2).is_ok(),
        hosts < 2
    );
    if let Some(agent) = headers::user_agent(&map) {
        assert!(agent.len() <= Request::USER_AGENT_BYTES_MAX);
    }
    let metadata = HeaderName::from_static("coffer-metadata");
    if let Ok(Some(strings)) = headers::metadata(&map) {
        let json: Value = serde_json::from_slice(map[&metadata].as_bytes()).expect("it is JSON");
        assert_eq!(serde_json::to_value(&strings).ok(), Some(json));
        assert!(strings.len() <= METADATA_KEYS_MAX && count(&metadata) == 1);
        assert!(strings.keys().all(|key| !key.starts_with("coffer.")));
    }
    conditions_of(&map);
    let key = HeaderName::from_static("idempotency-key");
    if let Ok(Some(read)) = once::key(&map) {
        let sent = map[&key].as_bytes();
        assert!(sent == read.as_bytes() || sent == format!("\"{read}\"").as_bytes());
        assert!((1..=128).contains(&read.len()) && !read.contains(['"', '\\', ' ']));
        assert_eq!(count(&key), 1);
    }
    if check_content_type(&map).is_ok() {
        let kind = map[CONTENT_TYPE].to_str().expect("it was read");
        let kind = kind.to_ascii_lowercase();
        assert!(kind.trim().starts_with("application/json") && count(&CONTENT_TYPE) == 1);
    }
    sources(&map);
}

/// The conditions that name versions, which are printed as they are read.
fn conditions_of(map: &HeaderMap) {
    let printed = |tags: &[crate::operations::secrets::Etag]| {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        tags.join(",")
    };
    let plain = |name: &HeaderName| {
        let value = map[name].to_str().expect("it was read");
        value.replace([' ', '\t'], "")
    };
    if let Ok(Expected::Etags(tags)) = headers::expected(map, &mut Query::default()) {
        assert_eq!(printed(&tags), plain(&IF_MATCH));
        assert!((1..=16).contains(&tags.len()));
    }
    if let Ok(tags) = headers::known_versions(map)
        && !tags.is_empty()
    {
        assert_eq!(printed(&tags), plain(&IF_NONE_MATCH).replace("W/", ""));
    }
}

/// Where a request comes from is chosen by nobody but a proxy that is trusted.
fn sources(map: &HeaderMap) {
    let trusted: [Network; 1] = ["10.0.0.0/8".parse().expect("a network")];
    let [proxy, client] = ["10.0.0.1", "192.0.2.1"].map(|text| text.parse::<IpAddr>());
    let (proxy, client) = (proxy.expect("an address"), client.expect("an address"));
    assert_eq!(source_of(client, map, &trusted), client);
    assert_eq!(source_of(proxy, map, &[]), proxy);
    let found = source_of(proxy, map, &trusted);
    assert_eq!(found, found.to_canonical());
    assert_eq!(network_of(found), network_of(network_of(found)));
    let lines = map.get_all("x-forwarded-for");
    let hops = lines
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut hops = hops.filter_map(|hop| hop.trim().parse::<IpAddr>().ok());
    assert!(
        found == proxy || hops.any(|hop| hop.to_canonical() == found),
        "{found}"
    );
}

/// A head as it arrives, in two pieces: a length is found wherever the head is cut.
pub(crate) fn length_of_head(input: &[u8]) {
    let Some((cut, head)) = input.split_first() else {
        return;
    };
    let mut whole = Lengths::Before;
    let found = whole.find(head);
    let (one, other) = head.split_at(usize::from(*cut).min(head.len()));
    let mut pieces = Lengths::Before;
    let in_pieces = pieces.find(one) | pieces.find(other);
    assert_eq!((found, whole), (in_pieces, pieces));
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    let bare = |line: &&[u8]| line.iter().all(|byte| *byte == b'\r');
    let begun: Vec<&[u8]> = lines.into_iter().skip_while(bare).collect();
    let Some(first) = begun.first() else {
        return;
    };
    let first = first.iter().find(|byte| **byte != b'\r');
    let is_length = |line: &[u8]| {
        let line = &line[line.iter().take_while(|byte| **byte == b'\r').count()..];
        line.get(..15)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:"))
    };
    let fields = begun.iter().skip(1).take_while(|line| !bare(line));
    let expected = first != Some(&b'G') && fields.clone().any(|line| is_length(line));
    assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(head));
}

/// A body as each route's own.
pub(crate) fn body(input: &[u8]) {
    let shape = check_shape(input);
    if let Ok(json) = serde_json::from_slice::<Value>(input) {
        let (depth, keys) = measured(&json);
        assert!(shape.is_err() || depth <= JSON_DEPTH_MAX && keys <= JSON_KEYS_MAX);
    }
    if shape.is_err() {
        return;
    }
    read::<api::PutSecret>(input);
    read::<api::PatchSecret>(input);
    read::<api::UndeleteSecret>(input);
    read::<api::DestroySecret>(input);
    read::<api::SetRotation>(input);
    read::<api::ImportConnection>(input);
    read::<api::CreatePlace>(input);
    read::<api::DestroyTerm>(input);
    read::<api::CreateToken>(input);
}

/// Objects and arrays within one another, and keys of all together.
fn measured(json: &Value) -> (usize, usize) {
    let within = |values: Vec<&Value>| {
        let measured = values.into_iter().map(measured);
        measured.fold((0, 0), |(depth, keys), (more, other)| {
            (depth.max(more), keys + other)
        })
    };
    match json {
        Value::Array(values) => {
            let (depth, keys) = within(values.iter().collect());
            (depth + 1, keys)
        }
        Value::Object(members) => {
            let (depth, keys) = within(members.values().collect());
            (depth + 1, keys + members.len())
        }
        _ => (0, 0),
    }
}

/// A body that is taken is written and read again as the same; one that is not is refused without a value of its own.
fn read<T: DeserializeOwned + Serialize>(input: &[u8]) {
    let json = serde_json::from_slice::<Value>(input).ok();
    match api::parse_body::<T>(input) {
        Ok(body) => {
            assert!(
                json.is_some_and(|json| json.is_object()),
                "a body is one object"
            );
            let written = serde_json::to_vec(&body).expect("it is JSON");
            let again = api::parse_body::<T>(&written).expect("its own JSON");
            assert_eq!(serde_json::to_vec(&again).expect("it is JSON"), written);
        }
        Err(why) => {
            let why = why.to_string();
            assert!(why.len() < 300 && !why.contains('\n'), "{why}");
            let (mut values, mut keys) = (Vec::new(), Vec::new());
            if let Some(json) = &json {
                collect(json, &mut values, &mut keys);
            }
            for value in values {
                let is_word = value.len() < 8 || !value.bytes().any(|byte| byte.is_ascii_digit());
                assert!(
                    is_word || keys.iter().any(|key| key.contains(value)) || !why.contains(value),
                    "{why}"
                );
            }
        }
    }
}

/// The texts among a JSON's values, and its keys.
fn collect<'a>(json: &'a Value, values: &mut Vec<&'a str>, keys: &mut Vec<&'a str>) {
    match json {
        Value::String(text) => values.push(text),
        Value::Array(of) => of.iter().for_each(|value| collect(value, values, keys)),
        Value::Object(of) => {
            for (key, value) in of {
                keys.push(key);
                collect(value, values, keys);
            }
        }
        _ => {}
    }
}

/// What was read, or a refusal that repeats no more of the input than a short name.
fn quiet<T>(input: &str, read: Result<T, Refusal>) -> Option<T> {
    let refused = match read {
        Ok(read) => return Some(read),
        Err(refused) => refused,
    };
    let Refusal::Malformed(why) = refused else {
        panic!("bad input is malformed: {refused:?}");
    };
    // A piece of prose may be out of the sentence itself.
    let is_prose = |byte: u8| byte.is_ascii_lowercase() || b" ,".contains(&byte);
    let is_told = input.len() >= TOLD_BYTES_MIN && !input.bytes().all(is_prose);
    let is_told = is_told && why.contains(input);
    assert!(!is_told && why.len() < 400, "{why}");
    None
}
