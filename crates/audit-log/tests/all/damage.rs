//! Everything that can be done to a bundle without the key, and much that takes the key: all of it is found.

use std::borrow::Cow;

use coffer_audit_log::*;

use crate::fixture::{Log, example, read, stream};

fn damage_of(bundle: &[u8], log: &Log) -> Damage {
    verify(bundle, &log.key).expect_err("this bundle is damaged")
}

#[test]
fn no_byte_can_be_changed() {
    let log = example();
    let mut bundle = log.bundle();
    for at in 0..bundle.len() {
        for flip in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            bundle[at] ^= flip;
            assert!(
                verify(bundle.as_slice(), &log.key).is_err(),
                "byte {at} flipped by {flip:#x}"
            );
            bundle[at] ^= flip;
        }
    }
    assert!(verify(bundle.as_slice(), &log.key).is_ok());
}

#[test]
fn no_byte_can_be_added_or_cut_off() {
    let log = example();
    let bundle = log.bundle();
    for at in 0..bundle.len() {
        assert!(verify(&bundle[..at], &log.key).is_err(), "cut at {at}");
        for byte in [b'\n', b' ', b'0', 0] {
            let longer = [&bundle[..at], &[byte], &bundle[at..]].concat();
            assert!(
                verify(longer.as_slice(), &log.key).is_err(),
                "{byte:#x} added at {at}"
            );
        }
        let shorter = [&bundle[..at], &bundle[at + 1..]].concat();
        assert!(
            verify(shorter.as_slice(), &log.key).is_err(),
            "byte {at} dropped"
        );
    }
    for after in [&b"\n"[..], b" ", b"end 9\n", &bundle] {
        assert!(matches!(
            damage_of(&[&bundle[..], after].concat(), &log),
            Damage::Trailing { .. }
        ));
    }
}

#[test]
fn no_line_can_be_dropped_repeated_or_moved() {
    let log = example();
    let bundle = log.bundle();
    let lines: Vec<&[u8]> = bundle.split_inclusive(|&b| b == b'\n').collect();
    for at in 0..lines.len() {
        let mut dropped = lines.clone();
        dropped.remove(at);
        assert!(
            verify(dropped.concat().as_slice(), &log.key).is_err(),
            "line {} dropped",
            at + 1
        );
        for to in 0..=lines.len() {
            let mut repeated = lines.clone();
            repeated.insert(to, lines[at]);
            assert!(
                verify(repeated.concat().as_slice(), &log.key).is_err(),
                "line {} again at {to}",
                at + 1
            );
        }
        for other in at + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            if swapped != lines {
                assert!(
                    verify(swapped.concat().as_slice(), &log.key).is_err(),
                    "lines {at} and {other} swapped"
                );
            }
        }
    }
}

/// A bundle written by hand, so that it can hold what the writer refuses.
fn bundle(log: &Log, streams: &[(&str, String, &[Vec<u8>])]) -> Vec<u8> {
    let cluster = log.key.name().strip_prefix("coffer/").unwrap();
    let mut text = format!(
        "coffer-audit-bundle 1\ncluster {cluster}\nkey {}\nstreams {}\n",
        log.key,
        streams.len()
    );
    for (id, note, lines) in streams {
        text += &format!("stream {id}\n{note}");
        for line in *lines {
            text += std::str::from_utf8(line).unwrap();
            text += "\n";
        }
    }
    text += &format!(
        "end {}\n",
        streams
            .iter()
            .map(|(_, _, lines)| lines.len())
            .sum::<usize>()
    );
    text.into_bytes()
}

#[test]
fn an_older_head_does_not_pass_for_the_newest() {
    let log = example();
    let (a, b) = (
        &log.streams[&stream("node-a")],
        &log.streams[&stream("node-b")],
    );
    let whole = |size_a: usize, note_a: u64, size_b: usize, note_b: u64| {
        let (note_a, note_b) = (log.note("node-a", note_a), log.note("node-b", note_b));
        bundle(
            &log,
            &[
                ("node-a", note_a, &a[..size_a]),
                ("node-b", note_b, &b[..size_b]),
            ],
        )
    };
    assert_eq!(whole(5, 5, 4, 4), log.bundle());
    for older in 0..5 {
        assert!(
            verify(whole(5, older, 4, 4).as_slice(), &log.key).is_err(),
            "an older head, {older}"
        );
    }
    // Cut off with the head that was true then: found by what the other stream wrote down.
    assert!(matches!(
        damage_of(&whole(3, 3, 4, 4), &log),
        Damage::ShortStream {
            anchored: 4,
            size: 3,
            ..
        }
    ));
    assert!(matches!(
        damage_of(&whole(5, 5, 2, 2), &log),
        Damage::ShortStream {
            anchored: 3,
            size: 2,
            ..
        }
    ));
    assert!(matches!(
        damage_of(&whole(0, 0, 4, 4), &log),
        Damage::ShortStream { .. }
    ));
    // The newest records, which nobody wrote down, are only found by a head kept elsewhere.
    assert!(verify(whole(4, 4, 4, 4).as_slice(), &log.key).is_ok());
    let kept = [log.head("node-a", 5)];
    let cut = whole(4, 4, 4, 4);
    let found = verify_against(cut.as_slice(), &log.key, &kept);
    assert!(matches!(
        found,
        Err(Damage::ShortStream {
            line: 0,
            anchored: 5,
            size: 4,
            ..
        })
    ));
    assert!(verify_against(log.bundle().as_slice(), &log.key, &kept).is_ok());
}

#[test]
fn no_stream_can_vanish_be_renamed_or_come_twice() {
    let log = example();
    let (a, b) = (
        &log.streams[&stream("node-a")],
        &log.streams[&stream("node-b")],
    );
    let (note_a, note_b) = (log.note("node-a", 9), log.note("node-b", 9));
    let only_a = bundle(&log, &[("node-a", note_a.clone(), a)]);
    let only_b = bundle(&log, &[("node-b", note_b.clone(), b)]);
    assert!(matches!(
        damage_of(&only_a, &log),
        Damage::MissingStream { .. }
    ));
    assert!(matches!(
        damage_of(&only_b, &log),
        Damage::MissingStream { .. }
    ));
    assert!(matches!(
        damage_of(&bundle(&log, &[]), &log),
        Damage::Unexpected { line: 4, .. }
    ));
    let turned = bundle(
        &log,
        &[("node-b", note_b.clone(), b), ("node-a", note_a.clone(), a)],
    );
    assert!(matches!(
        damage_of(&turned, &log),
        Damage::StreamOrder { .. }
    ));
    let twice = bundle(
        &log,
        &[("node-a", note_a.clone(), a), ("node-a", note_a.clone(), a)],
    );
    assert!(matches!(
        damage_of(&twice, &log),
        Damage::StreamOrder { .. }
    ));
    let renamed = bundle(&log, &[("node-b", note_a, a)]);
    assert!(matches!(
        damage_of(&renamed, &log),
        Damage::OtherStream { .. }
    ));
    let borrowed = bundle(&log, &[("node-b", note_b, &a[..4])]);
    assert!(matches!(
        damage_of(&borrowed, &log),
        Damage::RecordStream { .. }
    ));
}

#[test]
fn another_key_verifies_nothing() {
    let log = example();
    let stranger = Log::new(8);
    assert!(matches!(
        verify(log.bundle().as_slice(), &stranger.key),
        Err(Damage::OtherKey { line: 3 })
    ));
    let other = VerifierKey::new("coffer/elsewhere", log.key.public_key()).unwrap();
    assert!(matches!(
        verify(log.bundle().as_slice(), &other),
        Err(Damage::OtherKey { line: 2 })
    ));
    // The stranger signs everything anew and names the true key: the heads give it away.
    let mut forged = example();
    let true_key = std::mem::replace(&mut forged, {
        let mut log = Log::new(8);
        log.streams = example().streams;
        log
    })
    .key;
    let text = String::from_utf8(forged.bundle()).unwrap();
    let text = text.replace(&forged.key.to_string(), &true_key.to_string());
    assert!(matches!(
        verify(text.as_bytes(), &true_key),
        Err(Damage::Head {
            reason: NoteError::OtherKey,
            ..
        })
    ));
}

/// What follows was signed by the key's holder, and is refused all the same.
#[test]
fn a_signed_stream_must_make_sense() {
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut log = Log::new(7);
        log.anchor("node-a");
        log.append("node-a", read());
        log.append("node-a", read());
        change(log.streams.get_mut(&stream("node-a")).unwrap());
        damage_of(&log.bundle(), &log)
    };
    let rewrite = |line: &mut Vec<u8>, change: &dyn Fn(&mut Record<'_>)| {
        let old = line.clone();
        let mut record = Record::parse(&old).unwrap();
        change(&mut record);
        line.clear();
        record.write(line).unwrap();
    };
    assert!(matches!(
        with(&|lines| lines[1].push(b' ')),
        Damage::Record { line: 12, .. }
    ));
    assert!(matches!(
        with(&|lines| drop(lines.remove(0))),
        Damage::RecordIndex { .. }
    ));
    assert!(matches!(
        with(&|lines| lines.swap(1, 2)),
        Damage::RecordIndex {
            expected: 1,
            found: 2,
            ..
        }
    ));
    assert!(matches!(
        with(&|lines| rewrite(&mut lines[2], &|record| record.time = 5)),
        Damage::RecordTime { line: 13 }
    ));
    assert!(matches!(
        with(&|lines| rewrite(&mut lines[2], &|record| record.stream = "node-b".into())),
        Damage::RecordStream { line: 13 }
    ));
    assert!(matches!(
        with(&|lines| rewrite(&mut lines[0], &|record| record.action = "read".into())),
        Damage::NoClaim { line: 11 }
    ));
    let anchored = |entries: Vec<(&str, String)>| {
        let entries: std::collections::BTreeMap<_, _> = entries
            .into_iter()
            .map(|(id, head)| (id.to_owned(), head))
            .collect();
        with(&move |lines| {
            rewrite(&mut lines[0], &|record| {
                record.metadata = Some(Cow::Owned(entries.clone()))
            });
        })
    };
    let root = tree::empty_root();
    assert!(matches!(
        anchored(vec![("node-c", format!("0 {root}"))]),
        Damage::MissingStream { line: 11, .. }
    ));
    assert!(matches!(
        anchored(vec![("node-a", format!("4 {root}"))]),
        Damage::ShortStream { line: 11, .. }
    ));
    assert!(matches!(
        anchored(vec![("node-a", format!("2 {root}"))]),
        Damage::OtherHistory { line: 11, .. }
    ));
    assert!(matches!(
        anchored(vec![("node-a", "2".to_owned())]),
        Damage::Anchor { line: 11 }
    ));
    assert!(matches!(
        anchored(vec![("node-a", format!("02 {root}"))]),
        Damage::Anchor { line: 11 }
    ));
    assert!(matches!(
        anchored(vec![("node a", format!("0 {root}"))]),
        Damage::Anchor { line: 11 }
    ));
    // Signed over other records than those that are there, of the same number.
    let mut log = example();
    let note = log.note("node-b", 9);
    let lines = log.streams.get_mut(&stream("node-b")).unwrap();
    rewrite(&mut lines[2], &|record| {
        record.resource = "payments/prod/other".into()
    });
    let (a, b) = (
        &log.streams[&stream("node-a")],
        &log.streams[&stream("node-b")],
    );
    let bundle = bundle(
        &log,
        &[("node-a", log.note("node-a", 9), a), ("node-b", note, b)],
    );
    assert!(matches!(damage_of(&bundle, &log), Damage::Root { .. }));
}

#[test]
fn long_lines_and_unreadable_files_are_told_apart() {
    let log = example();
    let text = String::from_utf8(log.bundle()).unwrap();
    let long = text.replacen(
        "{\"action\"",
        &format!("{{{}\"action\"", " ".repeat(RECORD_BYTES_MAX)),
        1,
    );
    assert!(matches!(
        damage_of(long.as_bytes(), &log),
        Damage::LongLine { line: 11 }
    ));
    assert!(matches!(
        damage_of(&vec![b'x'; 1 << 20], &log),
        Damage::LongLine { line: 1 }
    ));
    assert!(matches!(damage_of(b"", &log), Damage::Short { line: 1 }));
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::IsADirectory.into())
        }
    }
    let found = verify(std::io::BufReader::new(Broken), &log.key);
    assert!(matches!(
        found,
        Err(Damage::Unreadable {
            line: 1,
            kind: std::io::ErrorKind::IsADirectory
        })
    ));
}
