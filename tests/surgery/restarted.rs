//! Once a table: the built server, started on damaged ground and asked over HTTPS, and the built `check`.
//!
//! Invariant: the server says what is true or refuses, and `check` ends with 6.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use coffer::store::{DatabaseUrl, Engine};

use super::damages::{self, Damage, Victim};
use super::ground::{AHEAD, Copy, Ground};
use super::history::History;
use super::rows::{Cell, Knife, Table};
use crate::support::client::Token;
use crate::support::node::Node;

const SERVER: &str = env!("CARGO_BIN_EXE_coffer-server");

/// Secrets, and their values in the end.
const TRUE: [(&str, &str); 3] = [
    ("p/e/api", "second api"),
    ("p/f/api", "the api of f"),
    ("q/e/other", "other value"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    once_a_table(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    once_a_table(Engine::Postgres).await;
}

async fn once_a_table(engine: Engine) {
    let mut history = History::new(engine).await;
    let whole = history.ground.copy();
    assert_eq!(
        serve(&history, &whole).await,
        TRUE.map(|(_, value)| Some(value.to_owned()))
    );
    let (code, said) = check(&history.ground, &whole).await;
    assert_eq!(code, Some(0), "{said}");
    history.ground.undo(&history.tables, whole).await;
    for table in history.tables.clone() {
        let damage = damage(&history, &table);
        let copy = history.ground.copy();
        let mut knife = Knife::at(&copy.url).await;
        let done = knife.replace(&table, &damage.gone, &damage.put).await;
        done.expect("the damage can be done");
        knife.close().await;
        let (column, what) = (damage.column.unwrap_or_default(), damage.what);
        for ((secret, value), answer) in TRUE.into_iter().zip(serve(&history, &copy).await) {
            let fine = answer.as_ref().is_none_or(|answer| answer == value);
            assert!(
                fine,
                "{}.{column}, {what}, {secret}: {answer:?}",
                table.name
            );
        }
        let (code, said) = check(&history.ground, &copy).await;
        assert_eq!(code, Some(6), "{}.{column}, {what}: {said}", table.name);
        history.ground.undo(&history.tables, copy).await;
    }
}

/// What is done to each table: something that a server can be started on, where there is such a thing.
fn damage(history: &History, table: &Table) -> Damage {
    let (column, kind) = match table.name.as_str() {
        "world" => ("nonce", None),
        "note" => ("refs", None),
        "document" => ("sealed", Some(4)),
        "version" => ("sealed", None),
        "wrapped_key" => ("wrapped", Some(8)),
        "stream" => ("head", None),
        "segment" => ("summary", None),
        "migration" => ("schema", None),
        other => panic!("say what a built server is to be started on in the table {other}"),
    };
    let rows = &history.now[&table.name];
    let mut of_kind = rows
        .iter()
        .filter(|row| kind.is_none_or(|kind| row[0] == Cell::Number(kind)));
    let row = of_kind.next().expect("there is one");
    let victim = Victim {
        row,
        partner: None,
        before: None,
    };
    let damages = damages::of_columns(table, &victim).into_iter();
    let mut wanted = damages
        .filter(|damage| (damage.column.as_deref(), damage.what) == (Some(column), "forged"));
    wanted.next().expect("the column can be damaged so")
}

/// Starts a server, reads the secrets, and kills it; nothing where it refuses, or does not start.
async fn serve(history: &History, copy: &Copy) -> [Option<String>; 3] {
    let ground = &history.ground;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", SERVER, "serve", "--config"]);
    command.arg(configure(ground, copy));
    environment(&mut command, ground);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let points = copy.folder.join("points");
    let Ok(node) = Node::spawn(command, points, &ground.authority).await else {
        return [None, None, None];
    };
    let root = Token {
        text: history.tokens.root.clone(),
        id: "the first".to_owned(),
    };
    let mut answers = [None, None, None];
    for ((secret, _), slot) in TRUE.into_iter().zip(&mut answers) {
        let answer = node.get(&format!("/secrets/{secret}"), &root).await;
        if answer.status() == 200 {
            let fields: Value = answer.json()["fields"]["value"].clone();
            *slot = Some(fields.as_str().expect("text").to_owned());
        }
    }
    node.kill().await;
    answers
}

/// The built `check`: its exit code, and what it printed.
async fn check(ground: &Ground, copy: &Copy) -> (Option<i32>, String) {
    let mut command = Command::new(SERVER);
    command
        .args(["check", "--config"])
        .arg(configure(ground, copy));
    environment(&mut command, ground);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = ran.expect("no panic").expect("it can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout) + &text(&stderr))
}

fn environment(command: &mut Command, ground: &Ground) {
    let clock = ground.path("clock");
    std::fs::write(&clock, AHEAD.micros().to_string()).expect("a file");
    command
        .env("COFFER_ACCEPT_FSYNC_OFF", "1")
        .env("COFFER_CLOCK_FILE", clock);
}

fn configure(ground: &Ground, copy: &Copy) -> PathBuf {
    let url = match &copy.url {
        DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
        DatabaseUrl::Postgres(url) => url.clone(),
    };
    let shown = |path: &Path| path.display().to_string();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nnode = \"one\"\nstate_dir = \"{}\"\n\
         [database]\nurl = \"{url}\"\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n\
         [seal]\nkind = \"file\"\nfile = \"{}\"\n[log]\nformat = \"json\"\n",
        shown(&copy.folder.join("one.state")),
        shown(&ground.path("certificate.pem")),
        shown(&ground.path("key.pem")),
        shown(&ground.path("root.key")),
    );
    let path = copy.folder.join("one.toml");
    std::fs::write(&path, text).expect("a file");
    path
}
