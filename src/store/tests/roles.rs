//! What each role of PostgreSQL may do, as PostgreSQL itself says it; all other tests run by the role that serves.
//!
//! Invariant: a table without a row in the list of rights fails a test.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::*;
use crate::model::SeenSegment;
use crate::store::StoreError;
use crate::store::connection::rows;
use crate::store::roles::RIGHTS;

/// PostgreSQL's word for "this role may not".
const DENIED: &str = "42501";

/// What the role that serves never may: erase or change a record, end a stream, say another schema, make anything.
const NOT_THE_SERVERS: [&str; 22] = [
    "UPDATE segment SET sealed = sealed",
    "UPDATE segment SET count = 0 WHERE first = 0",
    "DELETE FROM segment",
    "DELETE FROM segment WHERE first = 0",
    "TRUNCATE segment",
    "INSERT INTO segment (stream, first, count, seq, summary, sealed) VALUES ('', 0, 0, 0, '', '') ON CONFLICT (stream, first) DO UPDATE SET sealed = ''",
    "ALTER TABLE segment ADD COLUMN more BIGINT",
    "ALTER TABLE segment DISABLE TRIGGER ALL",
    "DROP TABLE segment",
    "BEGIN; LOCK TABLE segment IN ACCESS EXCLUSIVE MODE",
    "CREATE TRIGGER t BEFORE UPDATE ON segment FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE r AS ON INSERT TO segment DO INSTEAD NOTHING",
    "UPDATE note SET refs = refs",
    "DELETE FROM world",
    "TRUNCATE world",
    "DELETE FROM stream",
    "UPDATE migration SET schema = 9",
    "CREATE TABLE mine (id BIGINT)",
    "CREATE TEMPORARY TABLE mine (id BIGINT)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS BIGINT LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
];

/// What the keeper never may: change a record, or even read anything else.
const NOT_THE_KEEPERS: [&str; 8] = [
    "UPDATE segment SET sealed = sealed",
    "TRUNCATE segment",
    "ALTER TABLE segment ADD COLUMN more BIGINT",
    "SELECT 1 FROM document",
    "SELECT 1 FROM wrapped_key",
    "UPDATE world SET seq = seq",
    "UPDATE stream SET head = head",
    "CREATE TABLE mine (id BIGINT)",
];

/// A founded PostgreSQL with its roles, and the URL by which a superuser looks at it.
async fn founded() -> Option<(Trial, String, RoleNames)> {
    if !engines_here().contains(&Engine::Postgres) {
        return None;
    }
    let trial = Trial::founded(Engine::Postgres).await;
    let DatabaseUrl::Postgres(url) = &trial.settings.url else {
        unreachable!("it was opened as PostgreSQL")
    };
    let names = names_in(url);
    let superuser = std::env::var("COFFER_TEST_POSTGRES").unwrap();
    let (server, _) = superuser.rsplit_once('/').unwrap();
    let superuser = format!("{server}/{}", url.rsplit('/').next().unwrap());
    Some((trial, superuser, names))
}

async fn sent(url: &str, text: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let ran = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
    ran.execute(&mut connection).await.map(|_| ())
}

async fn asked(url: &str, query: &'static str) -> BTreeSet<(String, String, String)> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let rows = sqlx::query_as(query).fetch_all(&mut connection).await;
    rows.unwrap().into_iter().collect()
}

fn refused(sent: Result<(), sqlx::Error>) -> bool {
    let code = sent
        .err()
        .and_then(|error| error.into_database_error()?.code().map(|c| c.into_owned()));
    code.as_deref() == Some(DENIED)
}

fn of_url(url: &DatabaseUrl) -> &str {
    match url {
        DatabaseUrl::Postgres(url) => url,
        DatabaseUrl::Sqlite(_) => unreachable!("it was opened as PostgreSQL"),
    }
}

#[tokio::test]
async fn the_live_schema_grants_what_the_table_says() {
    let Some((_trial, superuser, names)) = founded().await else {
        return;
    };
    let row = |table: &str, role: &str, right: &str| [table, role, right].map(str::to_owned).into();
    let mut wanted: BTreeSet<(String, String, String)> = BTreeSet::new();
    for rights in &RIGHTS {
        for (role, list) in [
            (&names.server, rights.server),
            (&names.keeper, rights.keeper),
        ] {
            let list = list.split(", ").filter(|right| !right.is_empty());
            wanted.extend(list.map(|right| row(rights.table, role, right)));
        }
    }
    // Tables and whatever else holds rows, of any schema of ours; the owner's own rights are not listed.
    let granted = asked(
        &superuser,
        "SELECT c.relname::text, COALESCE(r.rolname::text, 'PUBLIC'), a.privilege_type
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
         WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND a.grantee <> c.relowner",
    );
    assert_eq!(granted.await, wanted);
    let owned = asked(
        &superuser,
        "SELECT c.relname::text, pg_get_userbyid(c.relowner)::text, '' FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 't')
         AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'",
    );
    let every = RIGHTS
        .iter()
        .map(|rights| row(rights.table, &names.owner, ""));
    assert_eq!(owned.await, every.collect());
}

#[tokio::test]
async fn every_table_is_in_the_list() {
    let trial = Trial::founded(Engine::Sqlite).await;
    let mut writer = trial.writer().await;
    let tables: Result<Vec<(String,)>, StoreError> = async {
        rows!(
            writer.within(),
            (String,),
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
    }
    .await;
    let tables: BTreeSet<String> = tables.unwrap().into_iter().map(|(name,)| name).collect();
    let listed: BTreeSet<String> = RIGHTS.iter().map(|row| row.table.to_owned()).collect();
    assert_eq!(tables, listed);
    for row in &RIGHTS {
        let name = format!("to_regclass('{}')", row.table);
        assert!(Engine::Postgres.foreign_code().contains(&name), "{name}");
    }
}

#[tokio::test]
async fn a_role_is_refused_what_is_not_its_own() {
    let Some((trial, _, names)) = founded().await else {
        return;
    };
    let server = of_url(&trial.settings.url);
    // Only a warning; nothing is granted, as the next lines show.
    sent(server, "GRANT DELETE ON segment TO PUBLIC")
        .await
        .unwrap();
    for text in NOT_THE_SERVERS {
        assert!(refused(sent(server, text).await), "{text}");
    }
    let keeper = trial.settings.roles.keeper.as_deref().unwrap();
    for text in NOT_THE_KEEPERS {
        assert!(refused(sent(keeper, text).await), "{text}");
    }
    for url in [server, keeper] {
        for role in [&names.owner, &names.keeper, &names.server] {
            let other = !url.contains(&format!("//{role}@"));
            let set = sent(url, &format!("SET ROLE {role}")).await;
            assert_eq!(refused(set), other, "{role}");
        }
    }
    assert_eq!(trial.segments().await, [(0, 1)]);
    assert_eq!(trial.store.find_world().await.unwrap(), Some(world(1)));
}

#[tokio::test]
async fn the_keeper_merges_what_the_server_stored() {
    let Some((trial, ..)) = founded().await else {
        return;
    };
    for seq in 2..=3 {
        trial.change(seq, &Changes::default()).await;
    }
    let merged = segment(0, 3);
    let seen = [0, 1, 2].map(|first| SeenSegment::of(&segment(first, 1)));
    let replaced = trial.writer().await.replace_segments(&seen, &merged).await;
    assert!(
        matches!(replaced, Err(StoreError::Denied(_))),
        "{replaced:?}"
    );
    assert_eq!(trial.segments().await, [(0, 1), (1, 1), (2, 1)]);
    let mut keeper = trial.store.keeper().await.unwrap();
    assert!(keeper.replace_segments(&seen, &merged).await.unwrap());
    assert_eq!(trial.segments().await, [(0, 3)]);
}

#[tokio::test]
async fn roles_that_may_too_much_or_too_little_are_named() {
    let Some((trial, superuser, names)) = founded().await else {
        return;
    };
    let checked = async |url: &DatabaseUrl, roles: RoleUrls| {
        let settings = DatabaseSettings {
            url: url.clone(),
            roles,
            ..trial.settings.clone()
        };
        let store = Store::open(&settings).await?;
        store.migrate().await?;
        store.check_roles().await?;
        Ok::<_, StoreError>(store.keeps())
    };
    let said = |checked: Result<bool, StoreError>| checked.unwrap_err().to_string();
    let (url, roles) = (&trial.settings.url, &trial.settings.roles);
    let keeper = || RoleUrls {
        owner: None,
        ..roles.clone()
    };
    let owner = DatabaseUrl::Postgres(roles.owner.clone().unwrap());
    let everything = DatabaseUrl::Postgres(superuser.clone());
    assert!(checked(url, roles.clone()).await.unwrap());
    assert!(checked(url, keeper()).await.unwrap());
    // Nobody here may merge: it serves, and leaves segments as they are.
    assert!(!checked(url, RoleUrls::default()).await.unwrap());
    // One role for everything, as without any roles.
    assert!(checked(&everything, RoleUrls::default()).await.unwrap());
    for erasing in [&everything, &owner] {
        let said = said(checked(erasing, keeper()).await);
        assert!(
            said.contains("may change or delete audit records"),
            "{said}"
        );
    }
    let sentence = said(checked(&owner, roles.clone()).await);
    assert!(sentence.contains("leave owner_url out"), "{sentence}");
    let powerless = RoleUrls {
        keeper: Some(of_url(url).to_owned()),
        owner: None,
    };
    let sentence = said(checked(url, powerless).await);
    assert!(
        sentence.contains("database.keeper_url may not"),
        "{sentence}"
    );
    // Granted by hand, and taken back by the next migration.
    let grant = format!("GRANT DELETE ON segment TO {}", names.server);
    sent(&superuser, &grant).await.unwrap();
    let sentence = said(checked(url, keeper()).await);
    assert!(sentence.contains("may change or delete"), "{sentence}");
    assert!(checked(url, roles.clone()).await.unwrap());
    assert!(checked(url, keeper()).await.unwrap());
}

#[tokio::test]
async fn who_may_not_make_tables_is_told_who_may() {
    if !engines_here().contains(&Engine::Postgres) {
        return;
    }
    let trial = Trial::fresh(Engine::Postgres).await;
    let without = DatabaseSettings {
        roles: RoleUrls::default(),
        ..trial.settings.clone()
    };
    let store = Store::open(&without).await.unwrap();
    let said = store.migrate().await.unwrap_err().to_string();
    assert!(said.contains("run `coffer-server migrate`"), "{said}");
    trial.store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    trial.run("UPDATE migration SET schema = 0").await;
    let said = store.migrate().await.unwrap_err().to_string();
    assert!(said.contains("database.owner_url"), "{said}");
}

/// A database that one role has used for everything is divided later, and what it holds stays.
#[tokio::test]
async fn roles_are_made_for_tables_that_are_there() {
    if !engines_here().contains(&Engine::Postgres) {
        return;
    }
    let superuser = fresh_database().await;
    let mut settings = Trial::fresh(Engine::Sqlite).await.settings;
    settings.url = DatabaseUrl::Postgres(superuser.clone());
    Store::open(&settings)
        .await
        .unwrap()
        .migrate()
        .await
        .unwrap();
    (settings.url, settings.roles) = with_roles(&superuser).await;
    // The printed SQL alone is enough: no owner is needed to start.
    settings.roles.owner = None;
    let store = Store::open(&settings).await.unwrap();
    store.migrate().await.unwrap();
    store.check_roles().await.unwrap();
    assert_eq!(store.find_world().await.unwrap(), None);
    assert!(refused(
        sent(of_url(&settings.url), "DELETE FROM segment").await
    ));
}
