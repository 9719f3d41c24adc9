//! What only one of the databases can do: wait for another node, fill up, or be opened twice.
//! The ledger's concurrency on PostgreSQL rests on the first of these.
//!
//! Invariant: a wait ends with one of the outcomes that the ledger knows.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::model::DocumentKind::Secret;
use crate::store::connection::rows;
use crate::store::{LOCK_WAIT_MS, Look, StoreError};

/// A session of this database waits for another one.
const WAITS_FOR_A_LOCK: &str = "SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";
/// A session of this database has done nothing in its transaction for longer than a holder of the world may.
const STANDS_STILL: &str = "SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
    AND GREATEST(query_start, state_change) < clock_timestamp() - INTERVAL '2 seconds'";

/// A founded PostgreSQL, if there is one to try.
async fn postgres() -> Option<Trial> {
    if engines_here().contains(&Engine::Postgres) {
        Some(Trial::founded(Engine::Postgres).await)
    } else {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_the_lock_sees_the_notes_in_its_next_statement() {
    let Some(trial) = postgres().await else {
        return;
    };
    let mut first = trial.writer().await;
    let mut second = trial.writer().await;
    first.lock().await.unwrap();
    let waiting = tokio::spawn(async move {
        let before = second.lock().await.unwrap();
        let notes = second.list_notes(&at(1), 9).await.unwrap();
        (before, notes, second)
    });
    // Reads go on beside the lock.
    let reads = segment(1, 1);
    assert!(
        trial
            .writer()
            .await
            .store_reads(
                &batch(1, &reads),
                &at(1),
                Look::Unmoved,
                9,
                Durability::Durable
            )
            .await
            .unwrap()
            .stored
    );
    trial.until(WAITS_FOR_A_LOCK).await;
    assert!(!waiting.is_finished());
    let changed = segment(2, 1);
    assert!(
        first
            .conclude(&world(2), [9; 16], &[2; 17], &batch(2, &changed))
            .await
            .unwrap()
    );
    first.commit().await.unwrap();
    let (before, (notes, linked), _second) = waiting.await.unwrap();
    assert_eq!((before, notes.len(), linked), (world(2), 1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_not_given_leaves_the_writer_usable() {
    let mut trials = vec![Trial::founded(Engine::Sqlite).await];
    trials.extend(postgres().await);
    for trial in trials {
        let mut first = trial.writer().await;
        let mut second = trial.writer().await;
        first.lock().await.unwrap();
        let begun = tokio::time::Instant::now();
        assert!(matches!(second.lock().await, Err(StoreError::LockWait)));
        assert!(begun.elapsed() >= Duration::from_millis(LOCK_WAIT_MS - 100));
        assert!(second.usable());
        first.rollback().await.unwrap();
        assert_eq!(second.lock().await.unwrap(), world(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_comes_between_fences_a_waiting_batch_of_reads() {
    let Some(trial) = postgres().await else {
        return;
    };
    let mut claim = trial.store.source.connect(Role::Writer).await.unwrap();
    run(&mut claim, "BEGIN").await;
    run(&mut claim, "UPDATE stream SET epoch = epoch + 1").await;
    let mut writer = trial.writer().await;
    let waiting = tokio::spawn(async move {
        let segment = segment(1, 1);
        writer
            .store_reads(
                &batch(1, &segment),
                &at(1),
                Look::Unmoved,
                9,
                Durability::Durable,
            )
            .await
            .unwrap()
    });
    trial.until(WAITS_FOR_A_LOCK).await;
    assert!(!waiting.is_finished());
    run(&mut claim, "COMMIT").await;
    let outcome = waiting.await.unwrap();
    assert!(outcome.fenced && !outcome.stored, "{outcome:?}");
    assert_eq!(trial.segments().await, [(0, 1)]);
    assert_eq!(trial.size().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_stands_still_is_ended_and_a_fresh_one_is_not() {
    let Some(trial) = postgres().await else {
        return;
    };
    let mut holder = trial.writer().await;
    holder.lock().await.unwrap();
    trial.store.end_lock_holder().await.unwrap();
    holder.list_notes(&at(1), 9).await.unwrap();
    trial.until(STANDS_STILL).await;
    trial.store.end_lock_holder().await.unwrap();
    assert!(matches!(
        holder.list_notes(&at(1), 9).await,
        Err(StoreError::Lost)
    ));
    assert_eq!(trial.writer().await.lock().await.unwrap(), world(1));
    // Readers whose sessions ended are found out once, not once each.
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(trial.store.reader().await.unwrap());
    }
    for reader in &mut readers {
        reader.find_world().await.unwrap();
    }
    drop(readers);
    trial
        .run_as(
            Role::Writer,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()",
        )
        .await;
    assert!(matches!(
        trial.store.find_world().await,
        Err(StoreError::Lost)
    ));
    assert_eq!(trial.store.find_world().await.unwrap(), Some(world(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_migrate_at_once_end_well() {
    if !engines_here().contains(&Engine::Postgres) {
        return;
    }
    for _ in 0..5 {
        let trial = Trial::fresh(Engine::Postgres).await;
        assert!(matches!(
            trial.store.find_world().await,
            Err(StoreError::Refused(_))
        ));
        let store = &trial.store;
        let all = tokio::join!(
            store.migrate(),
            store.migrate(),
            store.migrate(),
            store.migrate()
        );
        assert!(matches!(all, (Ok(()), Ok(()), Ok(()), Ok(()))), "{all:?}");
        assert_eq!(store.find_world().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_must_sync_and_is_given_its_settings() {
    let Some(trial) = postgres().await else {
        return;
    };
    let durability = trial.store.durability().await.unwrap();
    assert!(durability.contains("synchronous_commit=on"), "{durability}");
    let settings = DatabaseSettings {
        accept_fsync_off: false,
        ..trial.settings.clone()
    };
    let opened = Store::open(&settings).await;
    assert_eq!(opened.is_ok(), durability.contains("fsync=on"));
    let url = DatabaseUrl::Postgres("postgres://coffer:hunter2@[bad/x".into());
    let refused = Store::open(&DatabaseSettings { url, ..settings })
        .await
        .err()
        .unwrap();
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_sqlite_file_is_one_process_s_own() {
    let trial = Trial::founded(Engine::Sqlite).await;
    let DatabaseUrl::Sqlite(path) = &trial.settings.url else {
        unreachable!("it was opened as SQLite")
    };
    assert_eq!(
        trial.store.durability().await.unwrap(),
        "journal_mode=wal synchronous=full"
    );
    let second = Store::open(&trial.settings)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        second.starts_with("Another process uses this database"),
        "{second}"
    );
    let _writer = trial.writer().await;
    for ending in ["", "-wal", "-shm", ".lock"] {
        let mode = std::fs::metadata(format!("{}{ending}", path.display()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{ending}");
    }
    let url = DatabaseUrl::Sqlite("/nowhere/coffer.db".into());
    let refused = Store::open(&DatabaseSettings {
        url,
        ..trial.settings.clone()
    })
    .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    let mut reader = trial.store.reader().await.unwrap();
    let written: Result<u64, StoreError> = async { run!(&mut reader, "DELETE FROM world") }.await;
    assert!(written.is_err(), "a reader only reads");
}

/// While a snapshot holds what it saw, and nobody commits who would copy by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_is_copied_back_by_itself() {
    const LARGE: usize = 64 * 4_096;
    let trial = Trial::founded(Engine::Sqlite).await;
    let mut writer = trial.writer().await;
    for size in 1..=20 {
        let large = SegmentRow {
            sealed: vec![3; LARGE],
            ..segment(size, 1)
        };
        assert!(store(&mut writer, &batch(size, &large)).await);
    }
    let mut snapshot = trial.store.snapshot().await.unwrap();
    assert_eq!(
        snapshot.list_segment_places(STREAM, 20, 9).await.unwrap(),
        [(20, 1)]
    );
    let copied = async || {
        let mut reader = trial.store.reader().await.unwrap();
        let rows: Result<_, StoreError> = async {
            rows!(
                &mut reader,
                (i64, i64, i64),
                crate::store::checkpoints::LOOK
            )
        }
        .await;
        let (_, pages, copied) = rows.unwrap()[0];
        assert!((1_280..16_000).contains(&pages), "{pages} pages");
        copied >= 1_280
    };
    let all = async {
        while !copied().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let all = tokio::time::timeout(PATIENCE, all).await;
    all.expect("it is copied");
    let seen = snapshot.list_segment_places(STREAM, 20, 9).await.unwrap();
    assert_eq!(seen, [(20, 1)]);
    let large = SegmentRow {
        sealed: vec![3; LARGE],
        ..segment(21, 1)
    };
    assert!(store(&mut writer, &batch(21, &large)).await);
}

/// How the connection's next commit goes to the disk, asked anew each time.
async fn waits(writer: &mut Writer) -> bool {
    let text = writer.within().engine().durability();
    let rows = async { rows!(writer.within(), (String,), text) };
    let (said,) = rows.await.unwrap().remove(0);
    said.contains("synchronous=full") || said.contains("synchronous_commit=on")
}

/// Stores reads that do not wait.
async fn store(writer: &mut Writer, batch: &Batch<'_>) -> bool {
    let at = at(1);
    let stored = writer.store_reads(batch, &at, Look::Unmoved, 9, Durability::Process);
    stored.await.unwrap().stored
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reads_go_on_without_the_disk() {
    let mut trials = vec![Trial::founded(Engine::Sqlite).await];
    trials.extend(postgres().await);
    for trial in trials {
        let mut writer = trial.writer().await;
        // Whatever is kept prepared: each word holds the second time as well.
        for size in [1, 2] {
            let segment = segment(size, 1);
            assert!(store(&mut writer, &batch(size, &segment)).await);
            // PostgreSQL was told for that one statement, and forgets it with its end.
            let lasting = trial.store.engine() == Engine::Sqlite;
            assert_eq!(waits(&mut writer).await, !lasting);
            writer.lock().await.unwrap();
            assert!(waits(&mut writer).await);
            writer.rollback().await.unwrap();
        }
        let segment = segment(3, 1);
        assert!(store(&mut writer, &batch(3, &segment)).await);
        assert!(writer.sync(STREAM).await.unwrap());
        assert!(waits(&mut writer).await);
        assert!(!writer.sync(StreamId::from_bytes([9; 16])).await.unwrap());
        assert_eq!(trial.size().await, 4);
    }
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_spends_the_writer() {
    let trial = Trial::founded(Engine::Sqlite).await;
    let mut writer = trial.writer().await;
    run(writer.within(), "PRAGMA max_page_count = 1").await; // raised by SQLite to what there is
    let mut segment = segment(1, 1);
    segment.sealed = vec![1; 1_000_000];
    let stored = writer
        .store_reads(
            &batch(1, &segment),
            &at(1),
            Look::Unmoved,
            9,
            Durability::Durable,
        )
        .await;
    assert!(matches!(stored, Err(StoreError::Full)), "{stored:?}");
    assert!(!writer.usable());
    assert_eq!(
        (trial.segments().await, trial.size().await),
        (vec![(0, 1)], 1)
    );
    drop(writer);

    let mut writer = trial.writer().await;
    run(writer.within(), "PRAGMA max_page_count = 1").await;
    writer.lock().await.unwrap();
    let versions = (1..200)
        .map(|id| version(id, 1))
        .map(|row| VersionRow {
            sealed: vec![1; 50_000],
            ..row
        })
        .collect();
    let written = writer
        .write(&Changes {
            versions,
            ..Changes::default()
        })
        .await;
    assert!(matches!(written, Err(StoreError::Full)), "{written:?}");
    assert!(matches!(
        writer
            .conclude(&world(2), [9; 16], &[], &batch(1, &segment))
            .await,
        Err(StoreError::Lost)
    ));
    drop(writer);
    trial
        .change(
            2,
            &Changes {
                documents: vec![document(Secret, 1, "a")],
                ..Changes::default()
            },
        )
        .await;
    assert_eq!(trial.segments().await, [(0, 1), (1, 1)]);
}
