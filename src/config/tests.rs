//! What a configuration may say, and what is said of one that may not: the key, the line, and never a value.
//!
//! Invariant: `hunter2` is in no sentence.

use super::*;

const WHOLE: &str = r#"
listen = "0.0.0.0:8200"
node = "one"
state_dir = "/var/lib/coffer"
trusted_proxies = ["10.0.0.0/8", "::1"]

[database]
url = "sqlite:data/coffer.db"
readers = 4

[tls]
certificate = "tls/server.pem"
key = "/etc/coffer/server.key"

[seal]
kind = "file"
file = "root.key"

[log]
level = "debug"
format = "text"

[outbound]
allow = ["sso.corp.example", "10.20.0.0/16", "127.0.0.1", "http://127.0.0.1:9000"]
ca_file = "tls/ca.pem"

[runtime]
workers = 2

[audit]
durability = "durable"
retention = "30d"

[metrics]
listen = "127.0.0.1:9200"
"#;

const LEAST: &str = r#"
listen = "[::1]:0"
state_dir = "state"
tls = { certificate = "c", key = "k" }
seal = { kind = "passphrase" }
"#;

fn parse(text: &str, url: Option<&str>) -> Result<Config, String> {
    let variables = DatabaseVariables {
        url: url.map(str::to_owned),
        ..DatabaseVariables::default()
    };
    Config::parse(text, Path::new("/etc/coffer"), &variables)
}

#[test]
fn a_whole_file_is_taken() {
    let config = parse(WHOLE, None).expect("a configuration");
    assert_eq!(config.listen.to_string(), "0.0.0.0:8200");
    assert_eq!(config.node.as_ref().map(Name::as_str), Some("one"));
    assert_eq!(
        config.database.url,
        DatabaseUrl::Sqlite("/etc/coffer/data/coffer.db".into())
    );
    assert_eq!(config.database.readers.get(), 4);
    assert_eq!(config.certificate, Path::new("/etc/coffer/tls/server.pem"));
    assert_eq!(config.key, Path::new("/etc/coffer/server.key"));
    assert_eq!(config.seal, SealSource::File("/etc/coffer/root.key".into()));
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Debug,
            format: LogFormat::Text
        }
    );
    assert_eq!(config.outbound.allow.len(), 4);
    assert_eq!(
        config.outbound.ca_file.as_deref(),
        Some(Path::new("/etc/coffer/tls/ca.pem"))
    );
    assert!(!config.outbound.loopback);
    assert_eq!(config.workers.map(NonZeroUsize::get), Some(2));
    assert_eq!(config.durability, Durability::Durable);
    let metrics = config.metrics.expect("it is on");
    assert_eq!(metrics.to_string(), "127.0.0.1:9200");
}

/// Another machine may read what is counted only when the file says so in a word of its own.
#[test]
fn metrics_are_told_to_this_machine_alone() {
    let metrics = |lines: &str| {
        let own = "[metrics]\nlisten = \"127.0.0.1:9200\"";
        parse(&WHOLE.replace(own, &format!("[metrics]\n{lines}")), None)
            .map(|config| config.metrics)
    };
    assert_eq!(metrics(""), Ok(None));
    for loopback in ["127.0.0.2:0", "[::1]:9200", "[::ffff:127.0.0.1]:9200"] {
        assert!(
            metrics(&format!("listen = \"{loopback}\"")).is_ok_and(|metrics| metrics.is_some())
        );
    }
    for remote in [
        "0.0.0.0:9200",
        "[::]:9200",
        "10.0.0.1:9200",
        "[::ffff:10.0.0.1]:9200",
    ] {
        let listen = format!("listen = \"{remote}\"");
        let said = metrics(&listen).expect_err(remote);
        assert!(said.contains("`metrics.allow_remote = true`"), "{said}");
        assert!(metrics(&format!("{listen}\nallow_remote = false")).is_err());
        let told = metrics(&format!("{listen}\nallow_remote = true"));
        assert_eq!(told, Ok(Some(remote.parse().expect("an address"))));
    }
    let said = metrics("allow_remote = true").expect_err("nowhere");
    assert!(
        said.contains("the key `metrics.listen` is missing"),
        "{said}"
    );
    let said = metrics("listen = \"hunter2\"").expect_err("no address");
    assert!(
        said.contains("the key `metrics.listen` takes") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn a_weaker_promise_takes_a_word() {
    let config = parse(&WHOLE.replace("\"durable\"", "\"process\""), None);
    assert_eq!(
        config.expect("a configuration").durability,
        Durability::Process
    );
    let silent = WHOLE.replace("durability = \"durable\"", "");
    assert_eq!(
        parse(&silent, None).expect("a configuration").durability,
        Durability::Durable
    );
}

#[test]
fn the_environment_names_the_database() {
    assert_eq!(
        parse(LEAST, None).expect_err("no database"),
        "is refused: the key `database.url` is missing"
    );
    let config = parse(LEAST, Some("postgres://u:hunter2@db/coffer")).expect("a configuration");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.seal, SealSource::Passphrase(None));
    assert_eq!(config.outbound, Outbound::default());
    let config = parse(WHOLE, Some("sqlite:///var/coffer.db")).expect("a configuration");
    assert_eq!(
        config.database.url,
        DatabaseUrl::Sqlite("/var/coffer.db".into())
    );
    let said = parse(LEAST, Some("mysql://u:hunter2@db")).expect_err("another database");
    assert!(
        said.contains(DATABASE_URL_VARIABLE) && !said.contains("hunter2"),
        "{said}"
    );
}

/// The roles are of the database that serves, so SQLite has none of them.
#[test]
fn postgresql_may_be_used_by_three_roles() {
    let server = "postgres://server:hunter2@db/coffer";
    let keeper = "postgres://keeper:hunter2@db/coffer";
    let owner = "postgres://owner:hunter2@db/coffer";
    let with = |lines: &str, variables: &DatabaseVariables| {
        let text = format!("{LEAST}[database]\n{lines}\n");
        Config::parse(&text, Path::new("/etc/coffer"), variables)
    };
    let none = DatabaseVariables::default();
    let written = format!("url = \"{server}\"\nkeeper_url = \"{keeper}\"\nowner_url = \"{owner}\"");
    let config = with(&written, &none).expect("a configuration");
    let roles = &config.database.roles;
    assert_eq!(roles.keeper.as_deref(), Some(keeper));
    assert_eq!(roles.owner.as_deref(), Some(owner));
    assert!(!format!("{config:?}").contains("hunter2"));
    let said = DatabaseVariables {
        url: Some(server.to_owned()),
        keeper_url: Some(owner.to_owned()),
        owner_url: Some(keeper.to_owned()),
    };
    let config = with(&written, &said).expect("a configuration");
    let roles = &config.database.roles;
    assert_eq!(roles.keeper.as_deref(), Some(owner));
    assert_eq!(roles.owner.as_deref(), Some(keeper));
    let config = with(&format!("url = \"{server}\""), &none).expect("a configuration");
    assert_eq!(config.database.roles, DatabaseRoles::default());
    for (lines, expected) in [
        (
            "url = \"sqlite:c.db\"\nkeeper_url = \"postgres://hunter2\"".to_owned(),
            "the key `database.keeper_url` is for PostgreSQL, and SQLite has no roles",
        ),
        (
            format!("url = \"{server}\"\nowner_url = \"hunter2\""),
            "the key `database.owner_url` takes postgres://…",
        ),
    ] {
        let refused = with(&lines, &none).expect_err("a mistake");
        assert!(refused.contains(expected), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    let said = DatabaseVariables { url: None, ..said };
    let refused = with("url = \"sqlite:c.db\"", &said).expect_err("a mistake");
    assert!(refused.contains(KEEPER_URL_VARIABLE), "{refused}");
}

/// Each mistake is one sentence that names the key and repeats no value.
#[test]
fn mistakes_are_named() {
    let with = |from: &str, to: &str| {
        assert!(WHOLE.contains(from), "{from}");
        parse(&WHOLE.replace(from, to), None).expect_err(to)
    };
    for (from, to, said) in [
        ("node =", "nodes =", "has the unknown key `nodes` in line 3"),
        (
            "readers =",
            "writers =",
            "has the unknown key `writers` in line 9",
        ),
        ("level =", "colour =", "has the unknown key `colour`"),
        (
            "kind = \"file\"",
            "kind = \"hunter2\"",
            "has a word in line 16 that is not `file` or `passphrase`",
        ),
        (
            "\"durable\"",
            "\"full\"",
            "has a word in line 31 that is not `durable` or `process`",
        ),
        (
            "\"30d\"",
            "\"0d\"",
            "`audit.retention` takes a number of days",
        ),
        ("\"30d\"", "\"36501d\"", "takes a number of days"),
        ("\"30d\"", "\"90\"", "takes a number of days"),
        ("\"debug\"", "\"loud\"", "has a word in line 20 that is not"),
        ("listen = \"0.0.0.0:8200\"", "", "lacks the key `listen`"),
        (
            "\"0.0.0.0:8200\"",
            "\"localhost:8200\"",
            "the key `listen` takes",
        ),
        ("\"0.0.0.0:8200\"", "\"hunter2\"", "the key `listen` takes"),
        (
            "\"0.0.0.0:8200\"",
            "8200",
            "has a value of the wrong type or range in line 2",
        ),
        ("\"one\"", "\"One\"", "the key `node` is refused"),
        (
            "readers = 4",
            "readers = 0",
            "has a value of the wrong type or range in line 9",
        ),
        (
            "readers = 4",
            "readers = -1",
            "has a value of the wrong type or range in line 9",
        ),
        (
            "readers = 4",
            "readers = 1000",
            "the key `database.readers` takes at most 256",
        ),
        (
            "readers = 4",
            "readers = \"hunter2\"",
            "has a value of the wrong type or range in line 9",
        ),
        (
            "workers = 2",
            "workers = 257",
            "the key `runtime.workers` takes at most",
        ),
        (
            "ca_file",
            "loopback = true\nca_file",
            "has the unknown key `loopback` in line 25",
        ),
        (
            "sso.corp.example",
            "https://hunter2",
            "the key `outbound.allow` takes",
        ),
        (
            "10.20.0.0/16",
            "10.20.0.1/16",
            "the key `outbound.allow` takes",
        ),
        (
            "10.0.0.0/8",
            "10.0.0.1/8",
            "the key `trusted_proxies` takes",
        ),
        (
            "sqlite:data/coffer.db",
            "sqlite:",
            "the key `database.url` takes",
        ),
        (
            "sqlite:data/coffer.db",
            "sqlite::memory:",
            "the key `database.url` takes",
        ),
        (
            "sqlite:data/coffer.db",
            "sqlite://data/coffer.db",
            "the key `database.url` takes",
        ),
        (
            "sqlite:data/coffer.db",
            "sqlite:a?mode=ro",
            "the key `database.url` takes",
        ),
        ("file = \"root.key\"", "", "the key `seal.file` is missing"),
        (
            "kind = \"file\"",
            "kind = \"passphrase\"",
            "the key `seal.file` does not belong",
        ),
        (
            "file = \"root.key\"",
            "file = \"a\"\npassphrase_file = \"b\"",
            "the key `seal.passphrase_file` does not belong",
        ),
        (
            "node = \"one\"",
            "node = \"one\"\nnode = \"two\"",
            "has a key twice",
        ),
        ("[tls]", "[tls", "is not TOML: see line 11"),
        ("listen = ", "listen ", "is not TOML: see line 2"),
        (
            "node = \"one\"",
            "node = hunter2",
            "is not TOML: see line 3",
        ),
    ] {
        let found = with(from, to);
        assert!(found.contains(said), "{to}: {found}");
        assert!(
            !found.contains("hunter2") && !found.contains('\n'),
            "{to}: {found}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let said = Config::read(
        Path::new("/nonexistent/coffer.toml"),
        &DatabaseVariables::default(),
    )
    .expect_err("no file")
    .to_string();
    assert!(
        said.starts_with("The configuration /nonexistent/coffer.toml cannot be read"),
        "{said}"
    );
}
