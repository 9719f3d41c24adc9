//! What the two databases say differently; everything else is one text for both.
//! PostgreSQL writes in CTEs, all of one snapshot; SQLite runs a script, each line guarded by `changes()` of the line before.
//!
//! Invariant: in both, a segment is stored only by a head that moved, in the same statement or transaction.

use super::Engine;

impl Engine {
    /// Opens a transaction that writes; on SQLite it takes the write lock, and the world with it.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Postgres => "BEGIN",
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// Opens a transaction that sees one state; the first statement fixes which.
    pub(super) const fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Sqlite => "BEGIN",
        }
    }

    /// Stores a batch without changes, if the world and the head stand where they should, and says what it saw.
    /// `$1` to `$11` as in [`STORE_BATCH`]; `$12`, `$13` the expected change and mark; `$14` how many notes;
    /// `$15` 1 when it is enough that the expected change lies on the world's history; `$16` 1 when its commit need not
    /// wait for the disk, which SQLite is told beforehand.
    pub(super) const fn store_reads(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_STORE_READS,
            Self::Sqlite => SQLITE_STORE_READS,
        }
    }

    /// Counts a beat of a stream that is still ours: `$1` the stream, `$2` its epoch, `$3` the least change of our history.
    pub(super) const fn probe(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_PROBE,
            Self::Sqlite => SQLITE_PROBE,
        }
    }

    /// Writes head, segment, note and mark of a batch with changes, all or none, and says whether.
    /// `$1` to `$11` as in [`STORE_BATCH`]; `$12` the change, `$13` its mark, `$14` the mark before, `$15` the nonce, `$16` the refs.
    pub(super) const fn conclude(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_CONCLUDE,
            Self::Sqlite => SQLITE_CONCLUDE,
        }
    }

    /// How many triggers, rules and policies there are, none of which Coffer makes: they could leave out what a
    /// statement says that it wrote.
    pub(super) const fn foreign_code(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_FOREIGN_CODE,
            Self::Sqlite => SQLITE_FOREIGN_CODE,
        }
    }

    /// The settings that durability rests on, as one line.
    pub(super) const fn durability(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_DURABILITY,
            Self::Sqlite => SQLITE_DURABILITY,
        }
    }
}

// `FROM head`: a head that was fenced off returns nothing and stores no segment. All parts see the snapshot from
// before, except that an UPDATE which waited looks at its row again: a claim that came in between fences it.
// What `set_config` says holds for this transaction alone, which is this statement, and is looked at by its commit.
// The notes are looked at only when the world moved: the planner makes the lateral condition a one-time filter.
const POSTGRES_STORE_READS: &str = "
    WITH w AS MATERIALIZED (SELECT cluster, seq, mark, prev, schema FROM world WHERE id = 1),
    head AS (
        UPDATE stream SET size = $4, frontier = $5, head = $6, beat = beat + 1 FROM w
        WHERE stream.id = $1 AND stream.epoch = $2 AND stream.size = $3 AND (w.seq = $12 AND w.mark = $13
            OR $15 = 1 AND EXISTS (SELECT 1 FROM note WHERE note.seq = $12 AND note.mark = $13))
        RETURNING stream.id
    ),
    stored AS (
        INSERT INTO segment (stream, first, count, seq, summary, sealed)
        SELECT head.id, $7, $8, $9, $10, $11 FROM head RETURNING 1
    )
    SELECT w.cluster, w.seq, w.mark, w.prev, w.schema,
        (SELECT COUNT(*) FROM stored),
        CASE WHEN w.seq = $12 AND w.mark = $13 THEN 1::BIGINT
            ELSE (SELECT COUNT(*) FROM note WHERE note.seq = $12 AND note.mark = $13) END,
        n.seq, n.mark, n.nonce, n.refs,
        CASE WHEN $16 = 1 THEN set_config('synchronous_commit', 'off', true) END
    FROM w LEFT JOIN LATERAL (
        SELECT note.seq, note.mark, note.nonce, note.refs FROM note
        WHERE w.seq > $12 AND note.seq > $12 ORDER BY note.seq LIMIT $14 + 0
    ) n ON TRUE
    ORDER BY n.seq";

// `changes()` counts the rows of the statement that ended last.
const SQLITE_STORE_READS: &str = "
    BEGIN IMMEDIATE;
    INSERT INTO segment (stream, first, count, seq, summary, sealed)
    SELECT id, $7, $8, $9, $10, $11 FROM stream
    WHERE id = $1 AND epoch = $2 AND size = $3
      AND (EXISTS (SELECT 1 FROM world WHERE id = 1 AND seq = $12 AND mark = $13)
        OR $15 = 1 AND EXISTS (SELECT 1 FROM note WHERE seq = $12 AND mark = $13));
    UPDATE stream SET size = $4, frontier = $5, head = $6, beat = beat + 1
    WHERE id = $1 AND epoch = $2 AND size = $3 AND changes() = 1;
    SELECT w.cluster, w.seq, w.mark, w.prev, w.schema,
        changes(),
        CASE WHEN w.seq = $12 AND w.mark = $13 THEN 1
            ELSE (SELECT COUNT(*) FROM note WHERE seq = $12 AND mark = $13) END,
        n.seq, n.mark, n.nonce, n.refs
    FROM world w LEFT JOIN (
        SELECT seq, mark, nonce, refs FROM note WHERE seq > $12 ORDER BY seq LIMIT $14 + 0
    ) n ON TRUE
    WHERE w.id = 1
    ORDER BY n.seq;
    COMMIT";

// No beat is counted into a history older than ours: the caller sees that history and is not called fenced.
const POSTGRES_PROBE: &str = "
    WITH w AS MATERIALIZED (SELECT cluster, seq, mark, prev, schema FROM world WHERE id = 1),
    ours AS (SELECT id FROM stream WHERE id = $1 AND epoch = $2),
    beat AS (
        UPDATE stream SET beat = beat + 1 FROM w
        WHERE stream.id = $1 AND stream.epoch = $2 AND w.seq >= $3 RETURNING 1
    )
    SELECT w.cluster, w.seq, w.mark, w.prev, w.schema FROM w JOIN ours ON TRUE";

// One process, one writer: nobody watches its beat.
const SQLITE_PROBE: &str = "
    SELECT w.cluster, w.seq, w.mark, w.prev, w.schema
    FROM world w JOIN stream s ON s.id = $1 AND s.epoch = $2
    WHERE w.id = 1 AND $3 = $3";

const POSTGRES_CONCLUDE: &str = "
    WITH head AS (
        UPDATE stream SET size = $4, frontier = $5, head = $6, beat = beat + 1
        WHERE id = $1 AND epoch = $2 AND size = $3
        RETURNING id
    ),
    stored AS (
        INSERT INTO segment (stream, first, count, seq, summary, sealed)
        SELECT head.id, $7, $8, $9, $10, $11 FROM head RETURNING 1
    ),
    moved AS (
        UPDATE world SET mark = $13, prev = $14, nonce = $15 FROM head
        WHERE world.id = 1 AND world.seq = $12 RETURNING 1
    ),
    told AS (
        INSERT INTO note (seq, mark, nonce, refs) SELECT $12, $13, $15, $16 FROM moved RETURNING 1
    )
    SELECT COUNT(*) FROM told";

const SQLITE_CONCLUDE: &str = "
    UPDATE stream SET size = $4, frontier = $5, head = $6, beat = beat + 1
    WHERE id = $1 AND epoch = $2 AND size = $3;
    INSERT INTO segment (stream, first, count, seq, summary, sealed)
    SELECT $1, $7, $8, $9, $10, $11 WHERE changes() = 1;
    UPDATE world SET mark = $13, prev = $14, nonce = $15
    WHERE id = 1 AND seq = $12 AND changes() = 1;
    INSERT INTO note (seq, mark, nonce, refs) SELECT $12, $13, $15, $16 WHERE changes() = 1;
    SELECT changes()";

const POSTGRES_FOREIGN_CODE: &str = "
    WITH ours AS (
        SELECT c.oid, c.relkind, c.relrowsecurity FROM pg_class c
        WHERE c.oid IN (
            to_regclass('world'), to_regclass('note'), to_regclass('document'), to_regclass('version'),
            to_regclass('wrapped_key'), to_regclass('stream'), to_regclass('segment'), to_regclass('migration')
        )
    )
    SELECT (SELECT COUNT(*) FROM pg_trigger t JOIN ours ON ours.oid = t.tgrelid WHERE NOT t.tgisinternal)
        + (SELECT COUNT(*) FROM pg_rewrite r JOIN ours ON ours.oid = r.ev_class)
        + (SELECT COUNT(*) FROM ours WHERE relrowsecurity OR relkind <> 'r')";

const SQLITE_FOREIGN_CODE: &str = "
    SELECT COUNT(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')";

const POSTGRES_DURABILITY: &str = "
    SELECT 'fsync=' || current_setting('fsync') || ' synchronous_commit=' || current_setting('synchronous_commit')
        || ' full_page_writes=' || current_setting('full_page_writes')";

const SQLITE_DURABILITY: &str = "
    SELECT 'journal_mode=' || (SELECT journal_mode FROM pragma_journal_mode)
        || ' synchronous=' || (
            SELECT CASE synchronous WHEN 0 THEN 'off' WHEN 1 THEN 'normal' WHEN 2 THEN 'full' ELSE 'extra' END
            FROM pragma_synchronous
        )";

/// Ends the session that holds the world, if it has made no progress for two seconds. The holder of a row's lock is
/// the transaction in the row's `xmax`. Nothing correct rests on this clock: an honest holder that is ended starts again.
pub(super) const POSTGRES_END_LOCK_HOLDER: &str = "
    SELECT COUNT(pg_terminate_backend(held.pid))
    FROM world w
    JOIN pg_locks held ON held.locktype = 'transactionid' AND held.transactionid = w.xmax AND held.granted
    JOIN pg_stat_activity session ON session.pid = held.pid
    WHERE w.id = 1 AND held.pid <> pg_backend_pid()
      AND GREATEST(session.query_start, session.state_change) < clock_timestamp() - INTERVAL '2 seconds'";
