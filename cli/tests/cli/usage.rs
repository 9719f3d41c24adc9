//! What is said about arguments and an environment that cannot work, before anything is sent.

use crate::coffer::{TOKEN, coffer};

#[test]
fn help_and_version_are_no_failure() {
    coffer(&["--help"]).run().exits(0);
    coffer(&["set", "--help"]).run().exits(0);
    coffer(&["--version"]).run().exits(0).prints(concat!(
        "coffer ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ));
    assert!(
        coffer(&["set", "--help"])
            .run()
            .stdout()
            .contains("history")
    );
}

#[test]
fn wrong_arguments_exit_2_with_one_sentence() {
    let cases: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["get"],
        &["get", "a/b/c", "d", "e"],
        &["get", "a/b/c", "--version", "x"],
        &["get", "a/b/c", "--version", "1", "--previous"],
        &["get", "a/b/c", "-o", "yaml"],
        &["get", "a/b/.."],
        &["get", "a/b/c", "1field"],
        &["set", "A/b/c", "x=1"],
        &["set", "a/b/c", "x=1", "x=2"],
        &["set", "a/b/c", "x=1", "--generate", "x"],
        &["set", "a/b/c", "x=-", "y=-"],
        &["set", "a/b/c", "x=@/nowhere/at/all"],
        &["set", "a/b/c", "x=1", "--length", "3"],
        &["token", "create", "--scope", "read:a/b/**"],
        &["token", "create", "--ttl", "1h"],
        &["token", "create", "--scope", "read:a/b/**", "--ttl", "60"],
        &["token", "create", "--scope", "read:a/b/**", "--ttl", "1w"],
        &["token", "revoke", "../x"],
        &["rotation", "set", "a/b/c", "--every", "30d"],
        &["rotation", "set", "a/b/c", "--generate"],
        &["audit", "export", "--format", "xml"],
        &["audit", "export", "--bundle", "x", "--out", "y"],
        &["audit", "tail", "-n", "0"],
        &["audit", "query", "--since", "yesterday"],
        &["audit", "query", "--limit", "100001"],
        &["audit", "query", "--verdict", "maybe"],
        &["audit", "verify", "x"],
        &["run", "a/b"],
        &["project", "create", "sys"],
        &["env", "create", "a/b/c"],
        &["env", "list"],
        &["ls"],
    ];
    for case in cases {
        let ran = coffer(case)
            .env("COFFER_ADDR", "https://127.0.0.1:1")
            .env("COFFER_TOKEN", TOKEN)
            .run();
        assert!(!ran.stderr().is_empty(), "{case:?}");
        ran.exits(2).prints("");
    }
}

#[test]
fn what_was_typed_in_the_wrong_place_is_not_repeated() {
    let cases: &[&[&str]] = &[
        &["set", "a/b/c", "=hunter2"],
        &["set", "value=hunter2"],
        &["set", "a/b/c", "hunter2!"],
        &["set", "a/b/c", "--replace=hunter2"],
        &["get", "a/b/c", "value", "hunter2"],
        &["get", "a/b/c", "--hunter=hunter2"],
        &["get", "a/b/c", "--version", "hunter2"],
        &["token", "create", "--ttl", "hunter2", "--scope", "x"],
        &["-o", "hunter2", "whoami"],
        &["hunter2"],
    ];
    for case in cases {
        coffer(case).run().exits(2).never_says("hunter2");
    }
    coffer(&["token", "revoke", TOKEN])
        .run()
        .exits(2)
        .never_says(TOKEN)
        .says("standard input");
}

#[test]
fn the_address_is_https_or_nothing() {
    let bad = [
        "",
        "http://127.0.0.1:8200",
        "127.0.0.1:8200",
        "https://",
        "ftp://x",
        "https://u:hunter2@x",
        "https://x/v1",
        "https://x?y",
        "https://x#y",
    ];
    for address in bad {
        let ran = coffer(&["whoami"])
            .env("COFFER_ADDR", address)
            .env("COFFER_TOKEN", TOKEN)
            .run();
        ran.exits(2).says("https").never_says("hunter2");
    }
    coffer(&["whoami"])
        .env("COFFER_TOKEN", TOKEN)
        .run()
        .exits(2)
        .says("COFFER_ADDR");
}

#[test]
fn no_token_is_not_allowed_and_no_server_is_unavailable() {
    let address = "https://127.0.0.1:1";
    coffer(&["whoami"])
        .env("COFFER_ADDR", address)
        .run()
        .exits(3)
        .says("COFFER_TOKEN");
    coffer(&["whoami"])
        .env("COFFER_ADDR", address)
        .env("COFFER_TOKEN", "two words")
        .run()
        .exits(3)
        .never_says("two words");
    coffer(&["whoami"])
        .env("COFFER_ADDR", address)
        .env("COFFER_TOKEN", TOKEN)
        .run()
        .exits(5)
        .never_says(TOKEN);
    coffer(&["status"])
        .env("COFFER_ADDR", address)
        .run()
        .exits(5);
    coffer(&["set", "a/b/c", "x=hunter2"])
        .env("COFFER_ADDR", address)
        .env("COFFER_TOKEN", TOKEN)
        .run()
        .exits(5)
        .never_says("hunter2");
}

#[test]
fn a_certificate_authority_that_is_named_must_be_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    for path in [
        empty.as_path(),
        &directory.path().join("absent.pem"),
        directory.path(),
    ] {
        let ran = coffer(&["status"])
            .env("COFFER_ADDR", "https://127.0.0.1:1")
            .env("COFFER_CACERT", path)
            .run();
        ran.exits(2).says("COFFER_CACERT");
    }
}

#[test]
fn values_are_bounded_and_prompts_need_a_terminal() {
    let ready = |arguments| {
        coffer(arguments)
            .env("COFFER_ADDR", "https://127.0.0.1:1")
            .env("COFFER_TOKEN", TOKEN)
    };
    ready(&["set", "a/b/c", "x=-"])
        .stdin(&vec![b'x'; 65 * 1024])
        .run()
        .exits(2)
        .says("65536");
    ready(&["set", "a/b/c", "x=-"])
        .stdin(&vec![b'x'; 64 * 1024])
        .run()
        .exits(5);
    ready(&["destroy", "a/b/c"]).run().exits(2).says("--yes");
    ready(&["destroy", "a/b/c"])
        .stdin(b"no\n")
        .run()
        .exits(1)
        .says("Nothing is destroyed");
    ready(&["destroy", "a/b/c"]).stdin(b"yes\n").run().exits(5);
    ready(&["destroy", "a/b/c", "--version", "1"])
        .run()
        .exits(5);
    let key = ["key", "destroy", "a/b", "--term", "1"];
    ready(&key).run().exits(2).says("--yes");
    ready(&key).stdin(b"yes\n").run().exits(5);
    ready(&["key", "destroy", "a/b", "--yes"]).run().exits(2);
    ready(&["token", "revoke", "-"]).stdin(b"").run().exits(2);
}

#[test]
fn coffer_toml_completes_references_and_sets_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let below = directory.path().join("below");
    std::fs::create_dir(&below).expect("made");
    let file = directory.path().join(".coffer.toml");
    let get = |reference: &str| {
        let ready = coffer(&["get", reference])
            .env("COFFER_ADDR", "https://127.0.0.1:1")
            .env("COFFER_TOKEN", TOKEN);
        ready.inside(&below).run()
    };
    get("stripe").exits(2).says(".coffer.toml");
    std::fs::write(&file, "project = \"payments\"\nenvironment = \"prod\"\n").expect("written");
    get("stripe").exits(5);
    std::fs::write(&file, "project = \"payments\"\ntoken = \"hunter2\"\n").expect("written");
    get("stripe").exits(2).says("token").never_says("hunter2");
    get("a/b/stripe").exits(5);
}
