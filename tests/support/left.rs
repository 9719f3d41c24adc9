//! What a run of stories leaves behind, for a scan of all of it. With `COFFER_TEST_LEFT` naming a folder, what stories make
//! stays in there: databases, states, logs at their most talkative, what servers print and count, every answer that may hold
//! no secret; and beside it, apart, every secret that was sent or given, and every key that a server held. Without the
//! variable nothing is kept.
//!
//! Invariant: whatever is noted as a secret belongs nowhere else.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::client::Answer;
use super::memory;

/// Names the folder.
pub const VARIABLE: &str = "COFFER_TEST_LEFT";
/// In it, what belongs nowhere else.
pub const SECRETS: &str = "secrets";
/// Keys of bodies and answers whose strings are secrets.
const SECRET_KEYS: [&str; 4] = ["access_token", "refresh_token", "client_secret", "base64"];

/// Where the tail of a value begins.
const TAIL: &str = "~left~";
/// Bytes of it that are like no other.
const TAIL_BYTES: usize = 18;
/// Bodies beyond which a story is about their length.
const SHORT_BYTES_MAX: usize = 4_096;

static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folder = PathBuf::from(std::env::var_os(VARIABLE)?);
    for part in [SECRETS, "places"] {
        std::fs::create_dir_all(folder.join(part)).expect("a folder");
    }
    log_everything(&folder);
    Some(folder)
});

/// Whether what is left is kept.
pub fn is_kept() -> bool {
    FOLDER.is_some()
}

/// A folder for a story: gone with it, unless it is kept.
pub fn folder() -> TempDir {
    let Some(kept) = &*FOLDER else {
        return tempfile::tempdir().expect("a folder");
    };
    // Short: the socket of a sealed server is in there, and its path has 107 bytes.
    let mut builder = tempfile::Builder::new();
    let made = builder
        .disable_cleanup(true)
        .tempdir_in(kept.join("places"));
    made.expect("a folder")
}

/// The level at which servers log.
pub fn level() -> &'static str {
    if is_kept() { "trace" } else { "info" }
}

/// Notes a secret.
pub fn secret(name: &str, secret: &[u8]) {
    static NOTED: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| Some(own_file(SECRETS)?.into()));
    if let Some(noted) = &*NOTED {
        let line = format!("{name} {}\n", STANDARD.encode(secret));
        write(noted, line.as_bytes());
    }
}

/// Notes a token, if it is one: whoever has its digits needs no more.
pub fn token(text: &str) {
    if let Some(rest) = text.strip_prefix("cof_")
        && let Some(digits) = rest.rsplit('_').nth(1)
    {
        secret("a token", digits.as_bytes());
    }
}

/// Notes a root key, of which these are the digits.
pub fn root_key(digits: &[u8]) {
    if is_kept() {
        secret("a root key's digits", digits);
        let text = std::str::from_utf8(digits).expect("digits");
        let bytes = (0..text.len()).step_by(2);
        let bytes = bytes.map(|at| u8::from_str_radix(&text[at..at + 2], 16));
        let bytes: Result<Vec<u8>, _> = bytes.collect();
        secret("a root key", &bytes.expect("digits"));
    }
}

/// Notes every key that a server holds, which still runs.
pub fn keys(process: u32) {
    if is_kept() {
        for key in memory::keys(process) {
            secret("a server's key", &key);
        }
    }
}

/// A point for servers whose keys are to be noted.
pub fn door() -> &'static str {
    if is_kept() { memory::door() } else { "" }
}

/// Notes the secrets in a request's body, or in an answer.
pub fn secrets(body: &[u8]) {
    if is_kept()
        && let Ok(body) = serde_json::from_slice(body)
    {
        note("", &body, false);
    }
}

/// Keeps what a server has said somewhere else than in its log.
pub fn said(what: &[u8]) {
    static SAID: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| Some(own_file("said")?.into()));
    if let Some(said) = &*SAID {
        write(said, &[what, b"\n"].concat());
    }
}

/// Keeps an answer that may hold no secret, and the secrets of one that may.
pub fn answer(method: &Method, path: &str, answer: &Answer) {
    let (place, _) = path.split_once('?').unwrap_or((path, ""));
    let parts = place.split('/').skip_while(|part| *part != "v1").skip(1);
    let parts: Vec<&str> = parts.collect();
    let shows = match parts.as_slice() {
        ["secrets", _, _, _, ..] => method == Method::GET,
        ["tokens"] => method == Method::POST,
        ["connections", .., "token"] => true,
        _ => false,
    };
    if shows && answer.status() < 300 {
        secrets(answer.bytes());
    } else {
        // Not what was asked: a path may hold a token that does not belong in one.
        said(answer.bytes());
    }
}

/// A body that writes a secret, whose texts have a tail that is like no other: most values of stories are too short to be
/// looked for. The same text has the same one, so that a request that is sent again stays itself.
pub fn with_tails(method: &Method, path: &str, body: Vec<u8>) -> Vec<u8> {
    let writes = matches!(*method, Method::PUT | Method::PATCH) && path.contains("/secrets/");
    if !is_kept() || !writes || body.len() > SHORT_BYTES_MAX || !is_plain(&body) {
        return body;
    }
    change_fields(body, &|text| {
        let told = format!("{} {text}", std::process::id());
        let tail = STANDARD.encode(&Sha256::digest(told)[..TAIL_BYTES]);
        format!("{text}{TAIL}{tail}")
    })
}

/// Whether a body is written as every other would be: one with a key twice, or with white space, is about just that.
fn is_plain(body: &[u8]) -> bool {
    let json = serde_json::from_slice::<Value>(body);
    json.is_ok_and(|json| json.to_string().as_bytes() == body)
}

/// An answer as the story knows it.
pub fn without_tails(body: Vec<u8>) -> Vec<u8> {
    if !is_kept() || memchr::memmem::find(&body, TAIL.as_bytes()).is_none() {
        return body;
    }
    change_fields(body, &|text| match text.split_once(TAIL) {
        Some((text, _)) => text.to_owned(),
        None => text.to_owned(),
    })
}

/// A body with other texts in its fields; the very same when it has none.
fn change_fields(body: Vec<u8>, change: &dyn Fn(&str) -> String) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    let Some(fields) = json.get_mut("fields").and_then(Value::as_object_mut) else {
        return body;
    };
    let mut changed = false;
    for value in fields.values_mut() {
        if let Value::String(text) = value {
            *text = change(text);
            changed = true;
        }
    }
    if changed {
        json.to_string().into_bytes()
    } else {
        body
    }
}

fn note(key: &str, value: &Value, is_field: bool) {
    match value {
        Value::String(text) if key == "base64" => match STANDARD.decode(text) {
            Ok(bytes) => secret("a value", &bytes),
            Err(_) => secret("no value", text.as_bytes()),
        },
        Value::String(text) if is_field => {
            // Stories write what things are called as well: the tail alone is a secret.
            let (_, secret_part) = text.rsplit_once(TAIL).unwrap_or(("", text));
            secret("a value", secret_part.as_bytes());
        }
        Value::String(text) if key == "token" => token(text),
        Value::String(text) if SECRET_KEYS.contains(&key) => secret(key, text.as_bytes()),
        Value::Object(members) => {
            for (key, value) in members {
                note(key, value, is_field || key == "fields");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| note(key, item, is_field)),
        _ => {}
    }
}

/// This process's file in the folder.
fn own_file(name: &str) -> Option<File> {
    let name = format!("{name}/{}", std::process::id());
    let path = FOLDER.as_ref()?.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let file = OpenOptions::new().create(true).append(true).open(path);
    Some(file.expect("a file"))
}

fn write(file: &Mutex<File>, bytes: &[u8]) {
    let mut file = file.lock().expect("no panic");
    file.write_all(bytes).expect("the disk has room");
}

/// What a server in this process logs, by the filter of a built one.
fn log_everything(folder: &Path) {
    let path = folder.join(format!("log-{}", std::process::id()));
    let file = File::create(path).expect("a log");
    let ours = Targets::new()
        .with_target("coffer", LevelFilter::TRACE)
        .with_default(LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Mutex::new(file))
        .json()
        .flatten_event(true);
    tracing_subscriber::registry()
        .with(lines.with_filter(ours))
        .init();
}
