//! What the ledger relies on: stored whole or not at all, fenced by epoch, size and world.
//! Each rule is tried on both databases.
//!
//! Invariant: after every refusal the tables are as they were.

use super::*;
use crate::model::DocumentKind::Secret;
use crate::store::{Look, NOTES_PRUNED_MAX, NoteRow};

fn note(seq: u64) -> NoteRow {
    NoteRow {
        seq,
        mark: mark(seq),
        nonce: [9; 16],
        refs: vec![seq as u8; 17],
    }
}

both_engines! {
    async fn a_cluster_is_founded_once(trial: Trial) {
        let founded = trial.store.found(&world(7), [2; 16], &Changes::default(), &segment(7, 1)).await;
        assert!(!founded.unwrap());
        assert_eq!(trial.store.find_world().await.unwrap(), Some(world(1)));
        assert_eq!(trial.segments().await, [(0, 1)]);
        let (notes, linked) = trial.writer().await.list_notes(&Stamp { seq: 0, mark: mark(0) }, 9).await.unwrap();
        assert_eq!(notes, [NoteRow { seq: 1, mark: mark(1), nonce: [1; 16], refs: Ref::CLUSTER.as_bytes().to_vec() }]);
        assert!(!linked);
        trial.store.migrate().await.unwrap();
    }

    async fn a_batch_of_reads_is_stored_where_the_world_stands(trial: Trial) {
        let mut writer = trial.writer().await;
        let segment = segment(1, 3);
        let outcome = writer.store_reads(&batch(1, &segment), &at(1), Look::Unmoved, 9, Durability::Durable).await.unwrap();
        assert!(outcome.stored && outcome.linked && !outcome.fenced && !outcome.truncated);
        assert_eq!((outcome.world, outcome.notes.len()), (world(1), 0));
        assert_eq!(trial.segments().await, [(0, 1), (1, 3)]);
        let streams = trial.store.reader().await.unwrap().list_streams().await.unwrap();
        let expected =
            StreamRow { id: STREAM, owner: BOOT, epoch: 1, beat: 1, size: 4, frontier: vec![8; 40], head: "next".into() };
        assert_eq!(streams, [expected]);
        // Sent once more, the size is not what it was.
        let outcome = writer.store_reads(&batch(1, &segment), &at(1), Look::Unmoved, 9, Durability::Durable).await.unwrap();
        assert!(!outcome.stored && outcome.fenced);
        assert_eq!(trial.segments().await, [(0, 1), (1, 3)]);
    }

    async fn a_world_that_moved_stores_nothing_and_tells_its_notes(trial: Trial) {
        for seq in 2..=4 {
            trial.change(seq, &Changes::default()).await;
        }
        let mut writer = trial.writer().await;
        let segment = segment(4, 2);
        let outcome = writer.store_reads(&batch(4, &segment), &at(2), Look::Unmoved, 9, Durability::Durable).await.unwrap();
        assert!(!outcome.stored && outcome.linked && !outcome.fenced && !outcome.truncated);
        assert_eq!((outcome.world, outcome.notes), (world(4), vec![note(3), note(4)]));
        let cut = writer.store_reads(&batch(4, &segment), &at(2), Look::Unmoved, 1, Durability::Durable).await.unwrap();
        assert_eq!((cut.truncated, cut.notes), (true, vec![note(3)]));
        // Another history with the same numbers, and one that is ahead of ours.
        for at in [Stamp { seq: 3, mark: mark(8) }, Stamp { seq: 9, mark: mark(9) }, Stamp { seq: 4, mark: mark(8) }] {
            let other = writer.store_reads(&batch(4, &segment), &at, Look::Unmoved, 9, Durability::Durable).await.unwrap();
            assert!(!other.stored && !other.linked && !other.fenced, "{other:?}");
        }
        assert_eq!(trial.segments().await.len(), 4);
        assert!(writer.store_reads(&batch(4, &segment), &at(4), Look::Unmoved, 9, Durability::Durable).await.unwrap().stored);
    }

    async fn a_claim_fences_reads_and_changes(trial: Trial) {
        let mut writer = trial.writer().await;
        let other = BootId::from_bytes([66; 16]);
        assert_eq!(writer.claim(STREAM, 9, other).await.unwrap(), None);
        let claimed = writer.claim(STREAM, 1, other).await.unwrap().unwrap();
        assert_eq!((claimed.epoch, claimed.owner, claimed.size, claimed.head.as_str()), (2, other, 1, "one"));
        assert_eq!(writer.claim(STREAM, 1, BOOT).await.unwrap(), None);
        assert_eq!(writer.claim(STREAM, 1, other).await.unwrap().unwrap().epoch, 3, "by its owner, whatever the epoch");

        let segment = segment(1, 1);
        let outcome = writer.store_reads(&batch(1, &segment), &at(1), Look::Unmoved, 9, Durability::Durable).await.unwrap();
        assert!(outcome.fenced && !outcome.stored);
        writer.lock().await.unwrap();
        writer.write(&Changes { documents: vec![document(Secret, 1, "a")], ..Changes::default() }).await.unwrap();
        assert!(!writer.conclude(&world(2), [9; 16], &[], &batch(1, &segment)).await.unwrap());
        writer.rollback().await.unwrap();
        assert_eq!(trial.segments().await, [(0, 1)]);
        assert_eq!(trial.store.find_world().await.unwrap(), Some(world(1)));
        assert_eq!(writer.probe(STREAM, 1, &at(1)).await.unwrap(), None);
        assert_eq!(writer.probe(STREAM, 3, &at(1)).await.unwrap(), Some(world(1)));
    }

    async fn changes_are_seen_under_the_lock_and_by_others_after_the_commit(trial: Trial) {
        let mut writer = trial.writer().await;
        assert_eq!(writer.lock().await.unwrap(), world(1));
        assert_eq!(writer.list_notes(&at(1), 9).await.unwrap(), (vec![], true));
        writer.write(&Changes { documents: vec![document(Secret, 1, "a")], ..Changes::default() }).await.unwrap();
        let inside = writer.within().find_document(Secret, [1; 16]).await.unwrap();
        assert_eq!((inside.at.seq, inside.value.is_some()), (2, true));
        let mut reader = trial.store.reader().await.unwrap();
        assert_eq!(reader.find_document(Secret, [1; 16]).await.unwrap().value, None);
        let segment = segment(1, 1);
        assert!(writer.conclude(&world(2), [9; 16], &[2; 17], &batch(1, &segment)).await.unwrap());
        assert_eq!(reader.find_world().await.unwrap(), Some(world(1)));
        writer.commit().await.unwrap();
        assert_eq!(reader.find_document(Secret, [1; 16]).await.unwrap().at, at(2));
        assert_eq!(reader.find_world().await.unwrap(), Some(world(2)));
        assert_eq!(writer.list_notes(&at(1), 9).await.unwrap(), (vec![note(2)], true));
        assert_eq!(writer.list_notes(&Stamp { seq: 1, mark: mark(8) }, 9).await.unwrap(), (vec![note(2)], false));
        assert_eq!(trial.segments().await, [(0, 1), (1, 1)]);
    }

    async fn a_rolled_back_batch_leaves_nothing(trial: Trial) {
        let mut writer = trial.writer().await;
        writer.lock().await.unwrap();
        writer.write(&Changes { versions: vec![version(1, 1)], ..Changes::default() }).await.unwrap();
        writer.rollback().await.unwrap();
        assert_eq!(writer.lock().await.unwrap(), world(1));
        drop(writer);
        // Dropped under the lock: the next waits for it and finds nothing.
        let mut writer = trial.writer().await;
        assert_eq!(writer.lock().await.unwrap(), world(1));
        assert_eq!(writer.within().find_version(VersionId::from_bytes([1; 16])).await.unwrap().value, None);
    }

    async fn notes_are_pruned_oldest_first(trial: Trial) {
        for seq in 2..=5 {
            trial.change(seq, &Changes::default()).await;
        }
        let mut writer = trial.writer().await;
        writer.lock().await.unwrap();
        assert_eq!(writer.prune_notes(4).await.unwrap(), 3);
        writer.rollback().await.unwrap();
        trial.run("UPDATE note SET seq = seq + 10000 WHERE seq > 1").await;
        writer.lock().await.unwrap();
        assert_eq!(writer.prune_notes(u64::MAX).await.unwrap(), 1, "at most {NOTES_PRUNED_MAX} changes on");
        assert_eq!(writer.list_notes(&at(0), 9).await.unwrap().0.len(), 4);
    }

    async fn a_newer_schema_is_not_touched(trial: Trial) {
        trial.run("UPDATE world SET schema = 2").await;
        let refused = trial.store.migrate().await.unwrap_err().to_string();
        assert_eq!(refused, "The database has schema 2, and this server knows up to 1: start a newer one.");
        trial.run("UPDATE world SET schema = 1").await;
        trial.run("UPDATE migration SET schema = 3").await;
        assert!(trial.store.migrate().await.unwrap_err().to_string().contains("schema 3"));
    }
}
