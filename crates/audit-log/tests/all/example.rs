//! The committed example that other implementations are checked with (`tests/vectors/audit`).
//! Beside it, `refused-*.bundle`: every head is truly signed, and something else is wrong.
//! `COFFER_WRITE_VECTORS=1` writes it anew, which is only right when the format changes.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use coffer_audit_log::{Record, VerifierKey, anchor_metadata, tree, verify};

use crate::fixture::{Log, example, pruned_example, stream};

/// Compares with the committed file, or writes it when asked to.
fn is_committed(name: &str, bytes: &[u8]) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors/audit")
        .join(name);
    if std::env::var_os("COFFER_WRITE_VECTORS").is_some() {
        fs::write(&path, bytes).unwrap();
    }
    assert!(fs::read(&path).unwrap() == bytes, "{name} changed");
}

#[test]
fn the_committed_example_is_what_is_written_today() {
    let log = example();
    let key = log.key.to_string();
    is_committed("example.bundle", &log.bundle());
    is_committed("example.vkey", format!("{key}\n").as_bytes());
    let key: VerifierKey = key.parse().unwrap();
    assert_eq!(verify(log.bundle().as_slice(), &key).unwrap().records, 9);
}

#[test]
fn the_committed_example_that_was_pruned_is_what_is_written_today() {
    let log = pruned_example();
    is_committed("pruned.bundle", &log.bundle());
    let report = verify(log.bundle().as_slice(), &log.key).unwrap();
    assert_eq!(report.streams[0].pruned, 12);
}

#[test]
fn the_committed_damage_to_what_was_pruned_is_refused() {
    for (name, index, gone) in [
        ("pruned-too-much", 4, true),
        ("pruned-elsewhere", 15, true),
        ("pruned-too-little", 9, false),
        ("pruned-claim", 0, true),
    ] {
        let mut log = pruned_example();
        let record = (stream("node-a"), index);
        if gone {
            log.pruned.insert(record);
        } else {
            log.pruned.remove(&record);
        }
        is_committed(&format!("refused-{name}.bundle"), &log.bundle());
        assert!(verify(log.bundle().as_slice(), &log.key).is_err(), "{name}");
    }
}

#[test]
fn the_committed_damage_is_refused_though_it_is_signed() {
    let refused = |name: &str, change: &dyn Fn(&mut Log)| {
        let mut log = example();
        change(&mut log);
        let bundle = log.bundle();
        is_committed(&format!("refused-{name}.bundle"), &bundle);
        assert!(verify(bundle.as_slice(), &log.key).is_err(), "{name}");
    };
    refused("missing-stream", &|log| {
        drop(log.streams.remove(&stream("node-b")))
    });
    refused("rolled-back", &|log| {
        log.streams.get_mut(&stream("node-a")).unwrap().truncate(3)
    });
    refused("gap", &|log| drop(lines(log).remove(1)));
    refused("swapped", &|log| lines(log).swap(3, 4));
    refused("other-history", &|log| {
        edit(log, 1, &|record| record.version = Some(4))
    });
    refused("time-goes-back", &|log| {
        edit(log, 4, &|record| record.time = 0)
    });
    refused("other-stream", &|log| {
        edit(log, 4, &|record| record.stream = "node-b".into())
    });
    refused("no-claim", &|log| {
        edit(log, 0, &|record| record.principal = Some("app/shop".into()))
    });
    refused("unknown-anchor", &|log| {
        let metadata = anchor_metadata([(&stream("node-c"), 0, tree::empty_root())]);
        edit(log, 0, &|record| {
            record.metadata = Some(Cow::Owned(metadata.clone()))
        });
    });
    for (name, from, to) in [
        ("white-space", ",\"as_of\"", ", \"as_of\""),
        (
            "unsorted",
            "\"action\":\"read\",\"as_of\":\"41\"",
            "\"as_of\":\"41\",\"action\":\"read\"",
        ),
        (
            "key-twice",
            "\"as_of\":\"41\"",
            "\"as_of\":\"41\",\"as_of\":\"41\"",
        ),
        (
            "unknown-key",
            "\"version\":\"3\"",
            "\"version\":\"3\",\"zone\":\"x\"",
        ),
        (
            "no-salt",
            "\"salt\":\"09090909090909090909090909090909\",",
            "",
        ),
        ("null", "\"token\":\"tok-7\"", "\"token\":null"),
        ("escaped", "tok-7", "\\u0074ok-7"),
        ("leading-zero", "\"as_of\":\"41\"", "\"as_of\":\"041\""),
        ("number", "\"as_of\":\"41\"", "\"as_of\":41"),
        (
            "too-large",
            "\"as_of\":\"41\"",
            "\"as_of\":\"18446744073709551616\"",
        ),
        ("fraction", "\"status\":200", "\"status\":200.0"),
        ("no-such-day", "2026-07-06", "2026-09-31"),
        ("leap-second", "12:00:09.", "12:59:60."),
        ("verdict", "\"allowed\"", "\"granted\""),
        ("surrogate", "tok-7", "\\ud800"),
        ("format-2", "\"format\":1", "\"format\":2"),
    ] {
        refused(name, &|log| {
            let line = &mut lines(log)[4];
            let text = String::from_utf8(line.clone()).unwrap();
            assert!(text.contains(from), "{name}");
            *line = text.replacen(from, to, 1).into_bytes();
        });
    }
}

fn lines(log: &mut Log) -> &mut Vec<Vec<u8>> {
    log.streams.get_mut(&stream("node-a")).unwrap()
}

fn edit(log: &mut Log, at: usize, change: &dyn Fn(&mut Record<'_>)) {
    let line = &mut lines(log)[at];
    let old = std::mem::take(line);
    let mut record = Record::parse(&old).unwrap();
    change(&mut record);
    record.write(line).unwrap();
}
