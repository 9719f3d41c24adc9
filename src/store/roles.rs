//! Which role may do what on PostgreSQL: one table, of which the grants, the printed SQL and the look at a start are made.
//! SQLite has no roles: there one process holds the file.
//!
//! Invariant: only the keeper takes a segment away, and nobody changes one.

use std::sync::LazyLock;

use super::connection::{Connection, on, rows};
use super::migrate::run_script;
use super::{Engine, Role, Store, StoreError, postgres::Postgres};

/// What roles may do with a table, in the order of PostgreSQL's manual.
pub(super) struct Rights {
    pub table: &'static str,
    /// The role that serves.
    pub server: &'static str,
    /// The role that replaces and deletes segments.
    pub keeper: &'static str,
}

/// Every table there is. The owner may do everything.
pub(super) const RIGHTS: [Rights; 8] = [
    // Only the owner says which schema the tables have.
    rights("migration", "SELECT", ""),
    // There is one row, made once: who may not delete it cannot make another.
    rights("world", "SELECT, INSERT, UPDATE", ""),
    // Old ones go; none is ever changed.
    rights("note", "SELECT, INSERT, DELETE", ""),
    rights("document", "SELECT, INSERT, UPDATE, DELETE", ""),
    rights("version", "SELECT, INSERT, UPDATE, DELETE", ""),
    rights("wrapped_key", "SELECT, INSERT, UPDATE, DELETE", ""),
    rights("stream", "SELECT, INSERT, UPDATE", ""),
    // The log itself.
    rights("segment", "SELECT, INSERT", "SELECT, INSERT, DELETE"),
];

const fn rights(table: &'static str, server: &'static str, keeper: &'static str) -> Rights {
    Rights {
        table,
        server,
        keeper,
    }
}

/// Names of roles on PostgreSQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleNames {
    /// Owns the tables and migrates them.
    pub owner: String,
    /// Serves.
    pub server: String,
    /// Replaces and deletes segments.
    pub keeper: String,
}

impl RoleNames {
    /// The SQL that makes these roles, gives them what is theirs and takes what is not; to be run by a superuser in
    /// Coffer's own database, before its tables are there or later, and as often as one likes.
    pub fn sql(&self) -> String {
        let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
        format!(
            "{HEAD}BEGIN;\nSELECT set_config('coffer.owner', {}, true), \
             set_config('coffer.server', {}, true), set_config('coffer.keeper', {}, true);\n{}{}COMMIT;\n",
            quoted(&self.owner),
            quoted(&self.server),
            quoted(&self.keeper),
            *MAKE,
            *GRANT,
        )
    }
}

const HEAD: &str = "-- Coffer's roles on PostgreSQL, to be made by a superuser in Coffer's own database, before its tables are there or later:
--   psql --set ON_ERROR_STOP=1 --file roles.sql DATABASE
-- None has a password yet: give each what pg_hba.conf asks for.
";

/// Roles, what they may do with database and schema, and to whom the tables belong that are there.
static MAKE: LazyLock<String> = LazyLock::new(|| {
    let tables: Vec<String> = RIGHTS
        .iter()
        .map(|row| format!("'{}'", row.table))
        .collect();
    MAKE_ROLES.replace("{tables}", &tables.join(", "))
});

const MAKE_ROLES: &str = "DO $coffer$
DECLARE
    the_owner CONSTANT text := current_setting('coffer.owner');
    the_server CONSTANT text := current_setting('coffer.server');
    the_keeper CONSTANT text := current_setting('coffer.keeper');
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY[the_owner, the_server, the_keeper] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', one);
        END IF;
    END LOOP;
    -- Who owns the database or the schema may drop any table in it.
    EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), the_owner);
    EXECUTE format('ALTER SCHEMA %I OWNER TO %I', current_schema(), the_owner);
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', current_schema());
    FOREACH one IN ARRAY ARRAY[the_owner, the_server, the_keeper] LOOP
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), one);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), one);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), one);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), one);
    END LOOP;
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO %I', current_schema(), the_owner);
    -- What is made later is nobody's until it is granted.
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE ALL ON TABLES FROM PUBLIC, %I, %I', the_owner, the_server, the_keeper);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE ALL ON SEQUENCES FROM PUBLIC, %I, %I', the_owner, the_server, the_keeper);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE ALL ON FUNCTIONS FROM PUBLIC, %I, %I', the_owner, the_server, the_keeper);
    FOREACH one IN ARRAY ARRAY[{tables}] LOOP
        CONTINUE WHEN to_regclass(one) IS NULL;
        EXECUTE format('ALTER TABLE %I OWNER TO %I', one, the_owner);
    END LOOP;
END $coffer$;
";

/// What server and keeper may do with the tables that are there, and nothing besides.
static GRANT: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<String> = RIGHTS
        .iter()
        .map(|row| format!("('{}', '{}', '{}')", row.table, row.server, row.keeper))
        .collect();
    GRANT_RIGHTS.replace("{rows}", &rows.join(",\n        "))
});

const GRANT_RIGHTS: &str = "DO $coffer$
DECLARE
    the_server CONSTANT text := current_setting('coffer.server');
    the_keeper CONSTANT text := current_setting('coffer.keeper');
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        {rows}
    ) AS rights (name, server, keeper) LOOP
        CONTINUE WHEN to_regclass(one.name) IS NULL;
        EXECUTE format('REVOKE ALL ON TABLE %I FROM PUBLIC, %I, %I', one.name, the_server, the_keeper);
        EXECUTE format('GRANT %s ON TABLE %I TO %I', one.server, one.name, the_server);
        IF one.keeper <> '' THEN
            EXECUTE format('GRANT %s ON TABLE %I TO %I', one.keeper, one.name, the_keeper);
        END IF;
    END LOOP;
END $coffer$;
";

const SET_ROLES: &str =
    "SELECT set_config('coffer.server', $1, true), set_config('coffer.keeper', $2, true)";

const FIND_ROLE: &str = "SELECT current_user::text";

// A member may become what it is a member of, whether it inherits or not; a superuser is a member of all. Who owns the
// schema or the database may drop the table.
const FIND_SEGMENT_RIGHTS: &str = "
    SELECT pg_has_role(c.relowner, 'MEMBER') OR pg_has_role(n.nspowner, 'MEMBER') OR pg_has_role(d.datdba, 'MEMBER')
            OR EXISTS (SELECT FROM pg_roles r WHERE pg_has_role(r.oid, 'MEMBER') AND (
                has_table_privilege(r.oid, c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
                OR has_any_column_privilege(r.oid, c.oid, 'UPDATE')
                OR has_schema_privilege(r.oid, n.oid, 'CREATE'))),
        has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'DELETE')
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_database d ON d.datname = current_database()
    WHERE c.oid = to_regclass('segment')";

const SERVER_MAY_ERASE: &str = "There is a database.keeper_url, and yet the role of database.url may change or delete audit records, or owns their table: give each URL a role of its own, as `coffer-server database roles` makes them.";
const KEEPER_MAY_NOT: &str = "The role of database.keeper_url may not replace segments: run `coffer-server migrate` with database.owner_url, which grants it.";
const OWNER_SERVES: &str = "The role of database.owner_url is also that of database.url or database.keeper_url: leave owner_url out, or give each URL a role of its own, as `coffer-server database roles` makes them.";

impl Store {
    /// Looks whether the roles may do what they are for and no more, and remembers whether segments can be merged.
    pub async fn check_roles(&self) -> Result<(), StoreError> {
        let Some(server) = self.postgres() else {
            return Ok(());
        };
        let (erases, keeps) = self.find_segment_rights(Role::Reader).await?;
        if server.has(Role::Keeper) {
            if erases {
                return Err(StoreError::Refused(SERVER_MAY_ERASE.to_owned()));
            }
            if !self.find_segment_rights(Role::Keeper).await?.1 {
                return Err(StoreError::Refused(KEEPER_MAY_NOT.to_owned()));
            }
        } else if !keeps {
            self.keeps
                .store(false, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether somebody here may replace and delete segments, as far as [`check_roles`](Self::check_roles) saw.
    pub fn keeps(&self) -> bool {
        self.keeps.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether a role may erase segments by any means, and whether it may merge them.
    async fn find_segment_rights(&self, role: Role) -> Result<(bool, bool), StoreError> {
        let mut connection = self.source.connect(role).await?;
        let found = rows!(&mut connection, (bool, bool), FIND_SEGMENT_RIGHTS)?;
        connection.close().await;
        Ok(found.into_iter().next().unwrap_or((false, false)))
    }

    /// The names of the roles that the owner grants to; nothing when there is no owner of its own.
    pub(super) async fn find_roles(&self) -> Result<Option<RoleNames>, StoreError> {
        if !self
            .postgres()
            .is_some_and(|server| server.has(Role::Migrator))
        {
            return Ok(None);
        }
        let names = RoleNames {
            owner: self.find_role(Role::Migrator).await?,
            server: self.find_role(Role::Reader).await?,
            keeper: self.find_role(Role::Keeper).await?,
        };
        if [&names.server, &names.keeper].contains(&&names.owner) {
            return Err(StoreError::Refused(OWNER_SERVES.to_owned()));
        }
        Ok(Some(names))
    }

    async fn find_role(&self, role: Role) -> Result<String, StoreError> {
        let mut connection = self.source.connect(role).await?;
        let found = rows!(&mut connection, (String,), FIND_ROLE)?;
        connection.close().await;
        Ok(found.into_iter().map(|(name,)| name).collect())
    }

    fn postgres(&self) -> Option<&Postgres> {
        match &self.source {
            super::Source::Postgres(server) => Some(server),
            super::Source::Sqlite(_) => None,
        }
    }
}

/// Gives server and keeper what is theirs, within the owner's transaction.
pub(super) async fn grant(owner: &mut Connection, names: &RoleNames) -> Result<(), StoreError> {
    debug_assert_eq!(owner.engine(), Engine::Postgres);
    type Set = (String, String);
    rows!(owner, Set, SET_ROLES, &names.server, &names.keeper)?;
    run_script(owner, &GRANT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_keeper_takes_a_segment_away_and_nobody_changes_one() {
        let segment = RIGHTS.iter().find(|row| row.table == "segment");
        let segment = segment.expect("it is a table");
        assert!(!segment.server.contains("DELETE"));
        for row in &RIGHTS {
            let rights = [row.server, row.keeper].join(", ");
            assert!(!rights.contains("TRUNCATE") && !rights.contains("ALL"));
            assert!(row.table == "segment" || row.keeper.is_empty());
        }
        assert!(!format!("{}{}", segment.server, segment.keeper).contains("UPDATE"));
    }

    #[test]
    fn a_role_s_name_is_quoted() {
        let name = |name: &str| name.to_owned();
        let names = RoleNames {
            owner: name("o'wner"),
            server: name("s"),
            keeper: name("k"),
        };
        assert!(names.sql().contains("('coffer.owner', 'o''wner', true)"));
    }
}
