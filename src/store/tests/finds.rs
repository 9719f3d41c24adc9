//! What is put is found: by id, by name, by due time, by term, by index.
//! Each find is asked on both databases.
//!
//! Invariant: both databases give the same rows in the same order.

use super::*;
use crate::model::DocumentKind::{Secret, Token};
use crate::model::SeenSegment;
use crate::store::{Look, Reader, Seen, StoreError};

fn names(seen: Seen<Vec<DocumentRow>>) -> Vec<String> {
    seen.value.into_iter().map(|row| row.name).collect()
}

both_engines! {
    async fn a_document_is_found_by_id_and_by_name_while_it_lives(trial: Trial) {
        let alive = document(Secret, 1, "db/main");
        trial.change(2, &Changes { documents: vec![alive.clone()], ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        let found = reader.find_document(Secret, [1; 16]).await.unwrap();
        assert_eq!(found, Seen { at: at(2), value: Some(alive.clone()) });
        assert_eq!(reader.find_document(Token, [1; 16]).await.unwrap().value, None);
        assert_eq!(reader.find_document_named(Secret, SPACE, "db/main").await.unwrap().value, Some(alive.clone()));
        assert_eq!(reader.find_document_named(Secret, [0; 16], "db/main").await.unwrap(), Seen { at: at(2), value: None });

        // Buried, and the name taken again, in one batch, the new one first.
        let dead = DocumentRow { grave: alive.id.to_vec(), ..alive };
        let new = document(Secret, 2, "db/main");
        trial.change(3, &Changes { documents: vec![new.clone(), dead.clone()], ..Changes::default() }).await;
        assert_eq!(reader.find_document_named(Secret, SPACE, "db/main").await.unwrap().value, Some(new.clone()));
        assert_eq!(reader.list_dead_documents_named(Secret, SPACE, "db/main", 9).await.unwrap().value, std::slice::from_ref(&dead));
        assert_eq!(reader.list_dead_documents(Secret, SPACE, 9).await.unwrap().value, std::slice::from_ref(&dead));
        assert_eq!(reader.list_dead_documents(Secret, [0; 16], 9).await.unwrap().value, []);
        assert_eq!(reader.list_documents_of_kind(Secret, [0; 16], 9).await.unwrap().value, [dead, new.clone()]);
        assert_eq!(reader.list_documents_of_kind(Secret, [1; 16], 9).await.unwrap().value, [new]);

        let taken_away = Changes { dead_documents: vec![(Secret, [2; 16]), (Token, [1; 16])], ..Changes::default() };
        trial.change(4, &taken_away).await;
        assert_eq!(reader.find_document(Secret, [2; 16]).await.unwrap(), Seen { at: at(4), value: None });
    }

    async fn a_living_name_is_taken_once(trial: Trial) {
        let mut writer = trial.writer().await;
        writer.lock().await.unwrap();
        let documents = vec![document(Secret, 1, "a"), document(Secret, 2, "a")];
        let written = writer.write(&Changes { documents, ..Changes::default() }).await;
        assert!(matches!(written, Err(StoreError::Conflict(_))), "{written:?}");
        assert!(!writer.usable());
        assert!(matches!(writer.commit().await, Err(StoreError::Lost)));
    }

    async fn names_are_listed_bytewise_by_prefix(trial: Trial) {
        let list = ["a", "B", "db", "db-x", "db/", "db/1", "db/2", "db/_", "db/a", "db0", "e"];
        let documents = list.iter().zip(1..).map(|(name, id)| document(Secret, id, name)).collect();
        trial.change(2, &Changes { documents, ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        let all = names(reader.list_documents(Secret, SPACE, "", "", 100).await.unwrap());
        assert_eq!(all, ["B", "a", "db", "db-x", "db/", "db/1", "db/2", "db/_", "db/a", "db0", "e"]);
        let below = names(reader.list_documents(Secret, SPACE, "db/", "db/1", 2).await.unwrap());
        assert_eq!(below, ["db/2", "db/_"]);
        assert_eq!(names(reader.list_documents(Secret, SPACE, "db/", "db/a", 2).await.unwrap()), [""; 0]);
        assert_eq!(names(reader.list_documents(Secret, SPACE, "e", "", 2).await.unwrap()), ["e"]);
    }

    async fn many_documents_are_found_at_once(trial: Trial) {
        let documents = (1..=40).map(|id| document(Secret, id, &format!("s{id:02}"))).collect();
        trial.change(2, &Changes { documents, ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        let find = async |reader: &mut Reader, kind, ids: &[u8]| {
            let ids: Vec<[u8; 16]> = ids.iter().map(|id| [*id; 16]).collect();
            let found = reader.find_documents(kind, &ids).await.unwrap();
            assert_eq!(found.at, at(2));
            let mut names: Vec<String> = found.value.into_iter().map(|row| row.name).collect();
            names.sort();
            names
        };
        assert_eq!(find(&mut reader, Secret, &[7]).await, ["s07"]);
        assert_eq!(find(&mut reader, Secret, &[41, 3, 2]).await, ["s02", "s03"]);
        assert_eq!(find(&mut reader, Token, &[1]).await, [""; 0]);
        let twenty: Vec<u8> = (11..=30).collect();
        assert_eq!(find(&mut reader, Secret, &twenty).await.len(), 20);
    }

    async fn what_is_due_is_listed_and_what_lives_is_counted(trial: Trial) {
        let mut buried = due(document(Token, 4, "four"), 5);
        buried.grave = vec![4; 16];
        let documents = vec![
            due(document(Token, 1, "one"), 30),
            due(document(Token, 2, "two"), 10),
            document(Token, 3, "three"),
            buried,
        ];
        trial.change(2, &Changes { documents, ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        let until = Timestamp::from_micros;
        let first = (until(0), [0; 16]);
        assert_eq!(names(reader.list_due_documents(Token, first, until(30), 9).await.unwrap()), ["four", "two", "one"]);
        assert_eq!(names(reader.list_due_documents(Token, first, until(29), 1).await.unwrap()), ["four"]);
        let four = reader.list_due_documents(Token, first, until(29), 1).await.unwrap().value.remove(0);
        let after = (four.due.expect("it is due"), four.id);
        assert_eq!(names(reader.list_due_documents(Token, after, until(30), 9).await.unwrap()), ["two", "one"]);
        let count = reader.count_documents(Token, SPACE, until(10)).await.unwrap();
        assert_eq!(count, Seen { at: at(2), value: 2 });
        assert_eq!(reader.count_documents(Token, SPACE, until(9)).await.unwrap().value, 3);
    }

    async fn versions_are_found_and_counted_by_term(trial: Trial) {
        let versions: Vec<_> = (1..=150).map(|id| version(id, u32::from(id % 3) + 1)).collect();
        trial.change(2, &Changes { versions, ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        let environment = EnvironmentId::from_bytes(SPACE);
        let id = |id: u8| VersionId::from_bytes([id; 16]);
        assert_eq!(reader.find_version(id(7)).await.unwrap(), Seen { at: at(2), value: Some(version(7, 2)) });
        assert_eq!(reader.find_version(id(151)).await.unwrap().value, None);
        assert_eq!(reader.list_versions([148; 16], 9).await.unwrap().value, [version(149, 3), version(150, 1)]);
        let old = reader.list_versions_before_term(environment, 2, Some((1, id(3))), 2).await.unwrap();
        assert_eq!(old.value, [version(6, 1), version(9, 1)]);
        // The lowest term first, whatever the ids are.
        let old = reader.list_versions_before_term(environment, 3, Some((1, id(147))), 2).await.unwrap();
        assert_eq!(old.value, [version(150, 1), version(1, 2)]);
        assert_eq!(reader.list_versions_before_term(environment, 1, None, 2).await.unwrap(), Seen { at: at(2), value: vec![] });
        let counts = reader.count_versions_by_term(environment).await.unwrap();
        assert_eq!(counts.value, [(1, 50), (2, 50), (3, 50)]);

        let versions = vec![VersionRow { wrapped: vec![1, 2], ..version(3, 9) }];
        let dead_versions = (10..=150).map(id).collect();
        trial.change(3, &Changes { versions: versions.clone(), dead_versions, ..Changes::default() }).await;
        assert_eq!(reader.find_version(id(3)).await.unwrap().value.as_ref(), versions.first());
        assert_eq!(reader.count_versions_by_term(environment).await.unwrap().value, [(1, 2), (2, 3), (3, 3), (9, 1)]);
    }

    async fn keys_are_listed_and_taken_away_by_environment(trial: Trial) {
        let keys = vec![
            key(KeyKind::Environment, SPACE, 2),
            key(KeyKind::Environment, SPACE, 1),
            key(KeyKind::Environment, [8; 16], 1),
        ];
        trial.change(2, &Changes { keys: keys.clone(), ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        assert_eq!(reader.list_keys(SPACE).await.unwrap().value, [keys[1].clone(), keys[0].clone()]);
        assert_eq!(reader.list_all_keys().await.unwrap().value.len(), 4);
        let dead_terms = vec![(SPACE, 2)];
        trial.change(3, &Changes { dead_terms, ..Changes::default() }).await;
        assert_eq!(reader.list_keys(SPACE).await.unwrap(), Seen { at: at(3), value: vec![keys[1].clone()] });
        let dead_keys = vec![SPACE, [0; 16]];
        trial.change(4, &Changes { dead_keys, ..Changes::default() }).await;
        assert_eq!(reader.list_keys(SPACE).await.unwrap(), Seen { at: at(4), value: vec![] });
        assert_eq!(reader.list_keys([0; 16]).await.unwrap().value, [key(KeyKind::System, [0; 16], 1)]);
    }

    async fn segments_are_found_by_index_also_merged(trial: Trial) {
        for (size, count) in [(1, 9), (10, 5), (15, 1)] {
            let segment = segment(size, count);
            assert!(trial.writer().await.store_reads(&batch(size, &segment), &at(1), Look::Unmoved, 9, Durability::Durable).await.unwrap().stored);
        }
        let mut reader = trial.store.reader().await.unwrap();
        for (from, limit, firsts) in [
            (0, 9, &[0, 1, 10, 15][..]),
            (5, 2, &[1, 10]),
            (9, 9, &[1, 10, 15]),
            (10, 9, &[10, 15]),
            (15, 9, &[15]),
            (16, 9, &[]),
            (u64::MAX, 9, &[]),
        ] {
            let found = reader.list_segments(STREAM, from, limit).await.unwrap();
            assert_eq!(found.iter().map(|segment| segment.first).collect::<Vec<_>>(), firsts, "from {from}");
        }
        assert_eq!(reader.list_segments(STREAM, 1, 1).await.unwrap(), [segment(1, 9)]);
        assert_eq!(reader.list_segments(StreamId::from_bytes([0; 16]), 0, 9).await.unwrap(), []);
    }

    async fn segments_are_replaced_all_or_none(trial: Trial) {
        for (size, count) in [(1, 9), (10, 5), (15, 1)] {
            let segment = segment(size, count);
            assert!(trial.writer().await.store_reads(&batch(size, &segment), &at(1), Look::Unmoved, 9, Durability::Durable).await.unwrap().stored);
        }
        let before = trial.segments().await;
        let mut writer = trial.store.keeper().await.unwrap();
        let seen = [(1, 9), (10, 5), (15, 1)].map(|(first, count)| SeenSegment::of(&segment(first, count)));
        let [two, other] = [&seen[..2], &[]].map(<[SeenSegment]>::to_vec);
        let mut sealed_again = two.clone();
        sealed_again[1].head[37] ^= 1;
        for others in [other, two[..1].to_vec(), two[1..].to_vec(), seen.to_vec(), sealed_again] {
            assert!(!writer.replace_segments(&others, &segment(1, 14)).await.unwrap(), "there are other two");
            assert_eq!(trial.segments().await, before);
        }
        assert!(writer.replace_segments(&two, &segment(1, 14)).await.unwrap());
        assert_eq!(trial.segments().await, [(0, 1), (1, 14), (15, 1)]);
        assert!(!writer.replace_segments(&two, &segment(1, 14)).await.unwrap(), "the second of two finds none");
        let mut reader = trial.store.reader().await.unwrap();
        assert_eq!(reader.list_segment_places(STREAM, 9, 9).await.unwrap(), [(1, 14), (15, 1)]);
        let summaries = reader.list_summaries(STREAM, 15, 1).await.unwrap();
        assert_eq!(summaries.iter().map(|row| (row.first, row.count)).collect::<Vec<_>>(), [(1, 14)]);
        assert_eq!(summaries[0].sealed, segment(1, 14).summary);
    }

    async fn a_snapshot_stays_and_a_reader_follows(trial: Trial) {
        let mut snapshot = trial.store.snapshot().await.unwrap();
        assert_eq!(snapshot.list_all_keys().await.unwrap().at, at(1));
        trial.change(2, &Changes { documents: vec![document(Secret, 1, "a")], ..Changes::default() }).await;
        assert_eq!(snapshot.find_document(Secret, [1; 16]).await.unwrap(), Seen { at: at(1), value: None });
        assert_eq!(snapshot.find_world().await.unwrap(), Some(world(1)));
        // One finished, and more dropped than there are readers: all come back.
        snapshot.finish().await.unwrap();
        for _ in 0..9 {
            let mut snapshot = trial.store.snapshot().await.unwrap();
            assert_eq!(snapshot.find_world().await.unwrap(), Some(world(2)));
        }
        assert_eq!(trial.store.reader().await.unwrap().find_world().await.unwrap(), Some(world(2)));
    }

    async fn a_check_is_shown_every_row_or_told_of_it(trial: Trial) {
        let documents: Vec<_> = (1..=3).map(|id| document(Secret, id, &format!("s{id}"))).collect();
        let versions = vec![version(1, 1), version(2, 1)];
        trial.change(2, &Changes { documents: documents.clone(), versions, ..Changes::default() }).await;
        let mut reader = trial.store.reader().await.unwrap();
        assert_eq!(reader.find_whole_world().await.unwrap(), Some((world(2), [9; 16])));
        assert_eq!(reader.list_whole_schemas().await.unwrap(), [i64::from(SCHEMA)]);
        assert_eq!(reader.list_whole_documents(Secret, &[], 2).await.unwrap(), documents[..2]);
        assert_eq!(reader.list_whole_documents(Secret, &[2; 16], 2).await.unwrap(), documents[2..]);
        let notes = reader.list_whole_notes(0, 9).await.unwrap();
        assert_eq!(notes.iter().map(|note| note.seq).collect::<Vec<_>>(), [1, 2]);
        let segments = reader.list_whole_segments(None, 9).await.unwrap();
        assert_eq!(reader.list_whole_segments(Some((STREAM, segments[0].first)), 9).await.unwrap(), segments[1..]);
        assert_eq!(reader.list_whole_streams().await.unwrap(), reader.list_streams().await.unwrap());
        assert_eq!(reader.list_whole_keys().await.unwrap(), reader.list_all_keys().await.unwrap().value);
        assert_eq!(reader.list_odd_rows().await.unwrap(), []);

        trial.run("UPDATE document SET kind = 77 WHERE name = 's1'").await;
        trial.run("UPDATE document SET space = grave WHERE name = 's2'").await;
        trial.run("UPDATE version SET term = -1").await;
        trial.run("UPDATE world SET seq = 0").await;
        assert_eq!(reader.find_whole_world().await.unwrap(), None);
        assert_eq!(reader.list_whole_documents(Secret, &[], 9).await.unwrap(), documents[2..]);
        assert_eq!(reader.list_whole_versions(&[], 9).await.unwrap(), []);
        let odd = reader.list_odd_rows().await.unwrap();
        let mut odd: Vec<_> = odd.iter().map(|row| (row.table.as_str(), row.number)).collect();
        odd.sort_unstable();
        assert_eq!(odd, [("document", 4), ("document", 77), ("version", -1), ("version", -1), ("world", 1)]);
    }

    async fn a_forged_row_is_damaged_and_not_believed(trial: Trial) {
        trial.change(2, &Changes { documents: vec![document(Secret, 1, "a")], ..Changes::default() }).await;
        trial.run("UPDATE document SET space = grave").await;
        let found = trial.store.reader().await.unwrap().find_document(Secret, [1; 16]).await;
        assert!(matches!(found, Err(StoreError::Damaged("document"))), "{found:?}");
        trial.run("UPDATE document SET kind = 77").await;
        let mut reader = trial.store.reader().await.unwrap();
        assert_eq!(reader.find_document(Secret, [1; 16]).await.unwrap().value, None);
        trial.run("UPDATE world SET seq = -1").await;
        assert!(matches!(reader.list_all_keys().await, Err(StoreError::Damaged("world"))));
    }
}
