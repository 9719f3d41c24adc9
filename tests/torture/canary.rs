//! Stories are told by another process, which keeps everything that they leave and notes every secret that was sent or
//! given, and every key that a server held; then all of it is looked through, in every spelling: databases with their
//! write-ahead logs, states, spools, logs at their most talkative, what servers print and count, answers, and the data of
//! PostgreSQL.
//!
//! `COFFER_TORTURE_STORIES` says which, as the test binary takes them; `all` is all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::canary::{Canary, Search};
use crate::support::{left, postgres};

/// A few of each kind: in this process, as a built server, killed, with a provider.
const FEW: &str =
    "api::secrets::writing api::once api::tokens::making api::connections::importing ledger::kills";
/// What starts no server, or is this test.
const OTHERS: [&str; 5] = [
    "torture::canary",
    "torture::soak",
    "compile::",
    "architecture::",
    "support::",
];
/// Shorter texts stand elsewhere as well: they are words, also of PostgreSQL's own, or what stories call things by. What
/// stories write has a longer tail, which is looked for.
const SECRET_BYTES_MIN: usize = 16;
/// What a key is noted as that a server held.
const KEY: &str = "a server's key";
/// Of fewer letters is what is about its length alone.
const LETTERS_MIN: usize = 4;
/// Files of an operator in which a secret belongs.
const OPERATORS: [&str; 4] = ["root.key", "passphrase", "token", "key.pem"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stories_leave_no_secret() {
    let folder = tempfile::Builder::new().prefix("left").tempdir();
    let folder = folder.expect("a folder");
    let stories = std::env::var("COFFER_TORTURE_STORIES").unwrap_or_else(|_| FEW.to_owned());
    let process = tell(&stories, folder.path());

    let secrets = noted(&folder.path().join(left::SECRETS));
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for secret in &secrets {
        *kinds.entry(&secret.name).or_default() += 1;
    }
    for kind in ["a token", "a value", "a root key", KEY, "refresh_token"] {
        assert!(kinds.contains_key(kind), "no {kind}: {kinds:?}");
    }
    let mut files = left_files(folder.path());
    files.extend(postgres_files(process, stories == "all").await);
    let search = Search::of(&secrets);
    let seen = Search::of([
        &Canary::of("who asks", "coffer-story"),
        &Canary::of("a name", "payments"),
    ]);
    let (mut bytes, mut found, mut saw) = (0, Vec::new(), 0);
    for path in &files {
        // A running PostgreSQL takes files away.
        let Ok(content) = std::fs::read(path) else {
            continue;
        };
        bytes += content.len();
        saw += usize::from(seen.is_in(&content));
        let mut here: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for hit in search.find(&content) {
            here.entry((hit.name, hit.spelling))
                .or_default()
                .push(hit.at);
        }
        for ((name, spelling), at) in here {
            let (times, first) = (at.len(), at[0]);
            let path = path.display();
            found.push(format!(
                "{name} ({spelling}) {times} times, first at {first} of {path}"
            ));
        }
    }
    eprintln!(
        "{} files of {} MiB, {saw} of which tell something; secrets: {kinds:?}",
        files.len(),
        bytes >> 20
    );
    assert!(saw > 5, "what may be seen is found in {saw} files alone");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Tells stories, to their end, in a process of their own; its id.
fn tell(stories: &str, folder: &Path) -> u32 {
    let log = folder.join("run.log");
    let file = std::fs::File::create(&log).expect("a log");
    let mut telling = Command::new(std::env::current_exe().expect("this program"));
    if stories != "all" {
        telling.args(stories.split(' '));
    }
    telling.args(OTHERS.iter().flat_map(|other| ["--skip", other]));
    telling.env(left::VARIABLE, folder);
    telling.env("COFFER_TEST_POSTGRES", &postgres::shared().url);
    telling.env_remove("COFFER_TORTURE_ROUNDS");
    telling
        .stdout(file.try_clone().expect("a log"))
        .stderr(file);
    let mut told = telling.spawn().expect("this program can be run");
    let process = told.id();
    let ended = told.wait().expect("it ends");
    let text = std::fs::read_to_string(log).expect("a log");
    assert!(ended.success(), "{text}");
    let result = text
        .lines()
        .rev()
        .find(|line| line.starts_with("test result"));
    eprintln!("{}", result.expect("stories were told"));
    process
}

/// Every secret that was noted, once.
fn noted(folder: &Path) -> Vec<Canary> {
    let mut secrets = BTreeMap::new();
    for file in std::fs::read_dir(folder).expect("secrets") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        for line in text.lines() {
            let (name, secret) = line.rsplit_once(' ').expect("a name and a secret");
            let secret = STANDARD.decode(secret).expect("base64");
            let letters: BTreeSet<&u8> = secret.iter().collect();
            if secret.len() >= SECRET_BYTES_MIN && letters.len() >= LETTERS_MIN {
                let known = secrets.entry(secret).or_insert_with(|| name.to_owned());
                // A root key is among the keys that a server held as well.
                if name != KEY {
                    name.clone_into(known);
                }
            }
        }
    }
    let secrets = secrets.into_iter();
    secrets
        .map(|(secret, name)| Canary::of(&name, secret))
        .collect()
}

/// Everything in the folder but what was noted, and what operators keep.
fn left_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() {
            if name != left::SECRETS {
                files.extend(left_files(&path));
            }
        } else if path.is_file() && !OPERATORS.contains(&&*name) && !name.ends_with(".token") {
            files.push(path);
        }
    }
    files
}

/// The files of the databases that a process has made; with its write-ahead log and all else, if everything is wanted.
async fn postgres_files(process: u32, everything: bool) -> Vec<PathBuf> {
    let mut connection = PgConnection::connect(&postgres::shared().url)
        .await
        .expect("PostgreSQL answers");
    let checkpoint = sqlx::query("CHECKPOINT").execute(&mut connection).await;
    checkpoint.expect("it writes everything down");
    let folder: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await
        .expect("it is told");
    let folder = PathBuf::from(folder);
    if everything {
        return left_files(&folder);
    }
    let made = format!(
        "SELECT oid::text FROM pg_database WHERE datname LIKE 'coffer\\_story\\_{process}\\_%'"
    );
    let made: Vec<String> = sqlx::query_scalar(AssertSqlSafe(made))
        .fetch_all(&mut connection)
        .await
        .expect("it is told");
    assert!(!made.is_empty(), "stories were told on PostgreSQL");
    let made = made.iter().map(|oid| folder.join("base").join(oid));
    made.flat_map(|folder| left_files(&folder)).collect()
}
