//! Records that were pruned: a bundle without them verifies as long as the log says what may be missing, and only then.

use coffer_audit_log::*;
use proptest::prelude::*;

use crate::fixture::{Log, gap, pruned_example, read, stream};

fn verified(log: &Log) -> Result<Report, Damage> {
    verify(log.bundle().as_slice(), &log.key)
}

#[test]
fn what_was_pruned_is_told() {
    let report = verified(&pruned_example()).expect("it verifies");
    let node_a = &report.streams[0];
    assert_eq!((node_a.size, node_a.pruned), (19, 12));
    assert_eq!(report.streams[1].pruned, 0);
    assert_eq!(report.records, node_a.size + report.streams[1].size);
}

#[test]
fn the_roots_are_those_of_the_whole_log() {
    let (pruned, mut whole) = (pruned_example(), pruned_example());
    whole.pruned.clear();
    let (pruned, whole) = (verified(&pruned).unwrap(), verified(&whole).unwrap());
    let roots = |report: &Report| {
        report
            .streams
            .iter()
            .map(|stream| stream.root)
            .collect::<Vec<_>>()
    };
    assert_eq!(roots(&pruned), roots(&whole));
}

#[test]
fn nothing_of_it_can_be_changed() {
    let log = pruned_example();
    let mut bundle = log.bundle();
    for at in 0..bundle.len() {
        for flip in (0..8).map(|bit| 1 << bit) {
            bundle[at] ^= flip;
            assert!(
                verify(bundle.as_slice(), &log.key).is_err(),
                "byte {at} flipped by {flip:#x}"
            );
            bundle[at] ^= flip;
        }
    }
    let lines: Vec<&[u8]> = bundle.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let without = [&lines[..at], &lines[at + 1..]].concat().concat();
        assert!(
            verify(without.as_slice(), &log.key).is_err(),
            "line {at} dropped"
        );
        let twice = [&lines[..=at], &lines[at..]].concat().concat();
        assert!(
            verify(twice.as_slice(), &log.key).is_err(),
            "line {at} repeated"
        );
    }
}

#[test]
fn a_record_more_or_less_than_the_log_says_is_damage() {
    let missing = |change: &dyn Fn(&mut Log)| {
        let mut log = pruned_example();
        change(&mut log);
        verified(&log).expect_err("it is damaged")
    };
    let unallowed = |index| Damage::Unallowed {
        stream: stream("node-a"),
        index,
    };
    // One that was to be kept, one that is in no range, one that is still there, one of another stream.
    let gone = |log: &mut Log, index| assert!(log.pruned.insert((stream("node-a"), index)));
    assert_eq!(missing(&|log| gone(log, 4)), unallowed(1));
    assert_eq!(missing(&|log| gone(log, 15)), unallowed(15));
    let back = |log: &mut Log, index| assert!(log.pruned.remove(&(stream("node-a"), index)));
    assert_eq!(missing(&|log| back(log, 9)), unallowed(7));
    assert!(matches!(
        missing(&|log| assert!(log.pruned.insert((stream("node-b"), 1)))),
        Damage::Unallowed { .. }
    ));
    assert!(matches!(
        missing(&|log| gone(log, 0)),
        Damage::NoClaim { .. }
    ));
}

#[test]
fn a_range_that_was_not_pruned_yet_is_whole() {
    let mut log = pruned_example();
    log.pruned.retain(|(_, index)| *index < 7);
    assert_eq!(verified(&log).unwrap().streams[0].pruned, 5);
}

#[test]
fn a_range_may_be_as_any_of_its_prunings_says() {
    let mut log = pruned_example();
    let again = Pruning {
        stream: stream("node-a"),
        first: 1,
        end: 7,
        kept: kept_hash([]),
    };
    log.say_pruned("node-b", &again);
    assert!(verified(&log).is_ok());
    log.pruned.insert((stream("node-a"), 4));
    assert!(verified(&log).is_ok());
}

#[test]
fn a_pruning_says_ranges_or_is_damage() {
    for text in [
        "",
        "1 7",
        "7 1 ROOT",
        "1 7 ROOT x",
        "01 7 ROOT",
        "1 7 xyz",
        "1  ROOT",
    ] {
        let mut log = pruned_example();
        let text = text.replace("ROOT", &kept_hash([]).to_string());
        let mut record = read();
        record.action = "audit".into();
        record.resource = "sys/retention".into();
        record.principal = Some("system/retention".into());
        let metadata = [("node-a".to_owned(), text.clone())].into();
        record.metadata = Some(std::borrow::Cow::Owned(metadata));
        log.append("node-b", record);
        assert!(
            matches!(verified(&log), Err(Damage::Pruning { .. })),
            "{text:?}"
        );
    }
}

#[test]
fn a_gap_has_one_spelling() {
    let log = pruned_example();
    let text = String::from_utf8(log.bundle()).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("pruned 2 "))
        .expect("four in one");
    let lines = &log.streams[&stream("node-a")];
    let leaf = |at: u64| leaf_hash(&lines[usize::try_from(at).unwrap()]);
    let halves = [(8, 9), (10, 11)]
        .map(|(left, right)| format!("pruned 1 {}", node_hash(&leaf(left), &leaf(right))));
    for instead in [
        halves.join("\n"),
        line.replace("pruned 2", "pruned 02"),
        line.replace("pruned 2", "pruned +2"),
        line.replace("pruned 2", "pruned 3"),
        line.replace("pruned 2", "pruned 9"),
        line.replace("pruned 2", "pruned 1"),
        line.replace("pruned 2", "pruned 64"),
        format!("{line} "),
    ] {
        let changed = text.replacen(line, &instead, 1);
        let damage = verify(changed.as_bytes(), &log.key).expect_err("another spelling");
        assert!(
            matches!(
                damage,
                Damage::Gap { .. } | Damage::RecordIndex { .. } | Damage::Root { .. }
            ),
            "{instead}: {damage}"
        );
    }
}

#[test]
fn a_head_that_was_kept_is_compared_where_that_can_be() {
    let log = pruned_example();
    let bundle = log.bundle();
    let against = |head| verify_against(bundle.as_slice(), &log.key, &[head]);
    for size in [1, 4, 5, 14, 19] {
        assert!(against(log.head("node-a", size)).is_ok(), "{size}");
        let mut other = log.head("node-a", size);
        other.root = leaf_hash(b"");
        assert!(
            matches!(against(other), Err(Damage::OtherHistory { .. })),
            "{size}"
        );
    }
    for size in [3, 9, 10] {
        let stream = stream("node-a");
        assert_eq!(
            against(log.head("node-a", size)),
            Err(Damage::PrunedHead { stream, size })
        );
    }
}

#[test]
fn a_writer_refuses_what_is_no_gap() {
    let log = pruned_example();
    let mut out = Vec::new();
    let mut writer = BundleWriter::begin(&log.key, 1, &mut out).unwrap();
    writer
        .stream(&log.note("node-a", u64::MAX), &mut out)
        .unwrap();
    let at = |first, level| Gap {
        first,
        level,
        ..gap(0, b"x")
    };
    assert_eq!(writer.gap(&at(1, 1), &mut out), Err(BundleError::Gap));
    assert_eq!(writer.gap(&at(0, 9), &mut out), Err(BundleError::Gap));
    assert_eq!(writer.gap(&at(0, 8), &mut out), Err(BundleError::Records));
}

proptest! {
    #[test]
    fn a_subtree_is_as_good_as_its_leaves(size in 0_u64..2_000, gone in prop::collection::vec((0_u64..2_000, 1_u64..300), 0..6)) {
        let is_gone = |index: u64| gone.iter().any(|(first, count)| (*first..first + count).contains(&index));
        let (mut whole, mut pruned, mut gaps) = (Frontier::new(), Frontier::new(), Gaps::default());
        let mut written = 0;
        for index in 0..size {
            let line = index.to_be_bytes();
            whole.push(leaf_hash(&line));
            if is_gone(index) {
                gaps.push(gap(index, &line));
                for gap in gaps.closed() {
                    written += 1;
                    prop_assert!(gap.is_whole() && pruned.push_subtree(gap.level, gap.hash));
                }
            } else {
                for gap in gaps.end() {
                    written += 1;
                    prop_assert!(gap.is_whole() && pruned.push_subtree(gap.level, gap.hash));
                }
                pruned.push(leaf_hash(&line));
            }
        }
        for gap in gaps.end() {
            written += 1;
            prop_assert!(pruned.push_subtree(gap.level, gap.hash));
        }
        prop_assert_eq!(pruned, whole);
        // At most eight on each side of a run, and one for each 256.
        prop_assert!(written <= gone.len() as u64 * 16 + size / 256);
    }

    #[test]
    fn a_subtree_stands_at_its_own_place_alone(size in 0_u64..600, level in 0_u8..70) {
        let mut tree = Frontier::new();
        (0..size).for_each(|index| tree.push(leaf_hash(&index.to_be_bytes())));
        let before = tree.clone();
        let fits = level < 64 && size.is_multiple_of(1 << level);
        prop_assert_eq!(tree.push_subtree(level, leaf_hash(b"x")), fits);
        prop_assert!(fits || tree == before);
    }
}
