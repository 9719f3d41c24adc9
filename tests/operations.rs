//! Operations through a door of their own, on SQLite: what a decision finds, refuses, changes and replies.
//! The stories over HTTP, on both engines and with their records, are in `tests/`.
//!
//! Invariant: after each story the whole store agrees with its keys and its log.

use std::sync::Arc;

use tempfile::TempDir;
use zeroize::Zeroizing;

use coffer::clock::Clock;
use coffer::crypto::{Keyring, PlainToken, RootKey};
use coffer::door::{
    Credential, Door, Founding, Operation, Request, Starting, StateDir, check, found, start,
};
use coffer::entropy::SystemEntropy;
use coffer::model::{
    BootId, ClusterId, EnvironmentName, FieldName, Refusal, SecretName, State, TokenProblem, Ttl,
    Value,
};
use coffer::operations::Generate;
use coffer::operations::PageSize;
use coffer::operations::audit::{AnchorStreams, ExportLog};
use coffer::operations::keys::{ListKeys, RewrapKeys, RotateKey, TermState};
use coffer::operations::leases::{ReleaseLease, TakeLease, TakenLease};
use coffer::operations::places::{
    CreateEnvironment, CreateProject, DeleteEnvironment, DeleteProject, ListEnvironments,
    ListProjects,
};
use coffer::operations::rotations::{
    DeleteRotation, ReadRotation, RotateDue, RotateNow, SetRotation,
};
use coffer::operations::secrets::{
    DeleteSecret, DestroySecret, Etag, Expected, FoundSecret, ListSecrets, Mode, ReadHistory,
    ReadReply, ReadSecret, UndeleteSecret, Which, WriteSecret, Written,
};
use coffer::operations::sweep::SweepTokens;
use coffer::operations::tokens::{
    CreateToken, CreatedToken, ListTokens, ReadOwnToken, RevokeToken, TokenNamed,
};
use coffer::store::{DatabaseSettings, DatabaseUrl, Store};

struct Vault {
    door: Door,
    clock: Arc<Clock>,
    root: PlainToken,
    settings: DatabaseSettings,
    key: Zeroizing<Vec<u8>>,
    folder: TempDir,
}

type Answered<R> = Result<(u16, R), Refusal>;

impl Vault {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = DatabaseSettings {
            url: DatabaseUrl::Sqlite(folder.path().join("coffer.db")),
            readers: 4,
            accept_fsync_off: true,
        };
        let store = Store::open(&settings).await.expect("a store");
        store.migrate().await.expect("a schema");
        let clock = Arc::new(Clock::new());
        let state = StateDir::open(&folder.path().join("state")).expect("a state directory");
        let root = RootKey::generate(&SystemEntropy);
        let key = Zeroizing::new(root.to_hex().expose().to_vec());
        let founding = Founding {
            store: &store,
            cluster: ClusterId::from_bytes([7; 16]),
            root,
            seal: vec![1],
            clock: &clock,
            entropy: &SystemEntropy,
            state_dir: &state,
            node: "one".parse().expect("a name"),
            ttl: Ttl::days(365),
        };
        let root = found(founding).await.expect("a cluster");
        let starting = Starting {
            keys: keys(&store, &key).await,
            store,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            state_dir: Arc::new(state),
            node: None,
            accept_rollback: false,
            accept_clock: false,
        };
        let door = start(starting).await.expect("a door");
        let vault = Self {
            door,
            clock,
            root,
            settings,
            key,
            folder,
        };
        vault
            .root(CreateProject { name: name("p") })
            .await
            .expect("a project");
        vault
            .root(CreateEnvironment { name: place("p/e") })
            .await
            .expect("an environment");
        vault
    }

    async fn root<O: Operation>(&self, operation: O) -> Answered<O::Reply> {
        self.by(&self.root, operation).await
    }

    async fn by<O: Operation>(&self, token: &PlainToken, operation: O) -> Answered<O::Reply> {
        let request = Request {
            credential: Credential::Token(again(token)),
            id: self.door.request_id(),
            source: None,
            user_agent: None,
            metadata: None,
        };
        self.door
            .run(request, operation)
            .await
            .map(|answer| (answer.status, answer.reply))
    }

    async fn system<O: Operation>(&self, operation: O) -> Answered<O::Reply> {
        self.door
            .run_system("test", operation)
            .await
            .map(|answer| (answer.status, answer.reply))
    }

    async fn token(&self, by: &PlainToken, scopes: &[&str]) -> Answered<CreatedToken> {
        self.by(by, asked(scopes)).await
    }

    async fn set(&self, path: &str, fields: &[(&str, &str)]) -> Answered<Written> {
        self.root(write(path, fields)).await
    }

    async fn value(&self, path: &str, which: Which, field: &str) -> Option<String> {
        let (_, reply) = self.root(read(path, which)).await.ok()?;
        let ReadReply::Found(FoundSecret { fields, .. }) = reply else {
            return None;
        };
        let value = fields.find(&named(field))?;
        Some(String::from_utf8(value.expose().to_vec()).expect("text"))
    }

    async fn list(
        &self,
        by: &PlainToken,
        recursive: bool,
        limit: u32,
    ) -> (Vec<String>, Vec<String>, u32) {
        let (mut items, mut folders, mut pages, mut after) = (Vec::new(), Vec::new(), 0, None);
        loop {
            let list = ListSecrets {
                place: place("p/e"),
                prefix: "".parse().expect("a prefix"),
                recursive,
                after,
                limit: PageSize::at_most(limit).expect("some"),
            };
            let (_, page) = self.by(by, list).await.expect("a page");
            assert!(page.items.len() + page.folders.len() <= limit as usize);
            items.extend(page.items.into_iter().map(|item| item.path));
            folders.extend(page.folders);
            pages += 1;
            after = page.next;
            if after.is_none() {
                return (items, folders, pages);
            }
        }
    }

    /// The whole store agrees with its keys and its log.
    async fn ends_sound(self) {
        self.door.close().await;
        drop(self.door);
        let store = reopened(&self.settings).await;
        let keys = keys(&store, &self.key).await;
        assert_eq!(
            check(&store, &keys).await.expect("a check"),
            Vec::<String>::new()
        );
        drop(self.folder);
    }
}

/// The door's parts let go of the file when their tasks have ended.
async fn reopened(settings: &DatabaseSettings) -> Store {
    for _ in 0..200 {
        if let Ok(store) = Store::open(settings).await {
            return store;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the door did not let go of its store");
}

async fn keys(store: &Store, key: &[u8]) -> Keyring {
    let root = RootKey::from_hex(key).expect("the root key");
    let rows = store
        .reader()
        .await
        .expect("a reader")
        .list_all_keys()
        .await
        .expect("keys")
        .value;
    Keyring::open(root, ClusterId::from_bytes([7; 16]), &rows).expect("a keyring")
}

fn again(token: &PlainToken) -> PlainToken {
    PlainToken::parse(token.expose().as_bytes()).expect("a token")
}

fn name(text: &str) -> coffer::model::Name {
    text.parse().expect("a name")
}

fn named(text: &str) -> FieldName {
    text.parse().expect("a field")
}

fn place(text: &str) -> EnvironmentName {
    let (project, environment) = text.split_once('/').expect("two parts");
    EnvironmentName {
        project: name(project),
        environment: name(environment),
    }
}

fn secret(path: &str) -> SecretName {
    SecretName {
        place: place("p/e"),
        path: path.parse().expect("a path"),
    }
}

fn text(value: &str) -> Value {
    Value::Text(Zeroizing::new(value.to_owned()))
}

fn write(path: &str, fields: &[(&str, &str)]) -> WriteSecret {
    WriteSecret {
        name: secret(path),
        mode: Mode::Merge,
        fields: fields
            .iter()
            .map(|(field, value)| (named(field), Some(text(value))))
            .collect(),
        generate: Vec::new(),
        expected: Expected::Any,
    }
}

fn read(path: &str, which: Which) -> ReadSecret {
    ReadSecret {
        name: secret(path),
        which,
        fields: None,
        if_none_match: Vec::new(),
    }
}

fn asked(scopes: &[&str]) -> CreateToken {
    CreateToken {
        scopes: scopes
            .iter()
            .map(|scope| scope.parse().expect("a scope"))
            .collect(),
        ttl: Ttl::days(1),
        app: None,
        orphan: false,
    }
}

fn code<R>(answer: Answered<R>) -> &'static str {
    answer.err().map_or("ok", |refusal| refusal.code())
}

#[tokio::test]
async fn a_secret_lives_and_dies() {
    let v = Vault::new().await;
    let (status, made) = v
        .set("db/main", &[("user", "u"), ("password", "1")])
        .await
        .expect("written");
    assert_eq!((status, made.version, made.created), (201, 1, true));
    let (status, again) = v
        .set("db/main", &[("password", "2")])
        .await
        .expect("written");
    assert_eq!(
        (status, again.version, again.state),
        (200, 2, State::Current)
    );
    assert_eq!(
        v.value("db/main", Which::Current, "user").await.as_deref(),
        Some("u")
    );
    assert_eq!(
        v.value("db/main", Which::Current, "password")
            .await
            .as_deref(),
        Some("2")
    );
    assert_eq!(
        v.value("db/main", Which::Number(1), "password")
            .await
            .as_deref(),
        Some("1")
    );
    assert_eq!(
        code(v.root(read("db/main", Which::Previous)).await),
        "not-found"
    );
    assert_eq!(code(v.set("DB/main", &[("a", "b")]).await), "case-clash");
    assert_eq!(
        code(v.root(read("DB/main", Which::Current)).await),
        "not-found"
    );

    // Unchanged, only for this version of this secret.
    let unchanged = |etag: Etag| ReadSecret {
        if_none_match: vec![etag],
        ..read("db/main", Which::Current)
    };
    assert!(matches!(
        v.root(unchanged(again.etag)).await,
        Ok((304, ReadReply::NotModified(_)))
    ));
    assert!(matches!(
        v.root(unchanged(made.etag)).await,
        Ok((200, ReadReply::Found(_)))
    ));

    // Expectations.
    let expecting = |expected| WriteSecret {
        expected,
        ..write("db/main", &[("password", "3")])
    };
    assert_eq!(
        code(v.root(expecting(Expected::Absent)).await),
        "precondition-failed"
    );
    assert_eq!(
        code(v.root(expecting(Expected::Version(1))).await),
        "precondition-failed"
    );
    assert_eq!(
        code(v.root(expecting(Expected::Etags(vec![again.etag]))).await),
        "ok"
    );

    // Replacing, taking fields away, and never leaving none.
    let replace = WriteSecret {
        mode: Mode::Replace,
        ..write("db/main", &[("password", "4")])
    };
    v.root(replace).await.expect("replaced");
    assert_eq!(v.value("db/main", Which::Current, "user").await, None);
    let last = WriteSecret {
        fields: vec![(named("password"), None)],
        ..write("db/main", &[])
    };
    assert_eq!(code(v.root(last).await), "bad-request");
    assert_eq!(code(v.root(write("db/main", &[])).await), "bad-request");
    assert_eq!(
        code(v.set("big", &[("a", &"x".repeat(64 * 1024 + 1))]).await),
        "too-large"
    );
    let some = ReadSecret {
        fields: Some(vec![named("nothing")]),
        ..read("db/main", Which::Current)
    };
    assert_eq!(code(v.root(some).await), "not-found");

    // Deleted, the name used again, restored.
    let delete = |expected| DeleteSecret {
        name: secret("db/main"),
        expected,
    };
    assert_eq!(
        code(v.root(delete(Expected::Version(1))).await),
        "precondition-failed"
    );
    assert_eq!(v.root(delete(Expected::Any)).await.expect("deleted").0, 204);
    assert_eq!(code(v.root(delete(Expected::Any)).await), "not-found");
    let (status, second) = v
        .set("db/main", &[("password", "new")])
        .await
        .expect("written");
    assert_eq!((status, second.version), (201, 1));
    assert_ne!(second.etag, made.etag);
    let undelete = || UndeleteSecret {
        name: secret("db/main"),
        id: None,
    };
    assert_eq!(code(v.root(undelete()).await), "exists");
    v.root(delete(Expected::Any)).await.expect("deleted");
    let (_, history) = v
        .root(ReadHistory {
            name: secret("db/main"),
        })
        .await
        .expect("a history");
    assert_eq!((history.id, history.deleted.len()), (None, 2));
    let old = history.deleted[1].id;
    let (_, back) = v
        .root(UndeleteSecret {
            id: Some(old),
            ..undelete()
        })
        .await
        .expect("restored");
    assert_eq!(back.version, 4);
    assert_eq!(
        v.value("db/main", Which::Current, "password")
            .await
            .as_deref(),
        Some("4")
    );

    // Destroyed: some, then all of what is living, then the deleted one.
    let destroy = |versions| DestroySecret {
        name: secret("db/main"),
        versions,
        id: None,
    };
    assert_eq!(
        v.root(destroy(Some(vec![1, 2])))
            .await
            .expect("destroyed")
            .1
            .versions,
        [1, 2]
    );
    assert_eq!(
        code(v.root(read("db/main", Which::Number(1))).await),
        "not-found"
    );
    assert_eq!(code(v.root(destroy(Some(vec![9]))).await), "not-found");
    assert_eq!(
        v.root(destroy(None)).await.expect("destroyed").1.versions,
        [3, 4]
    );
    assert_eq!(
        code(v.root(read("db/main", Which::Current)).await),
        "not-found"
    );
    v.root(delete(Expected::Any)).await.expect("deleted");
    assert_eq!(
        code(v.root(DeleteEnvironment { name: place("p/e") }).await),
        "not-empty"
    );
    let newest = history.deleted[0].id;
    let by_id = DestroySecret {
        id: Some(newest),
        ..destroy(None)
    };
    assert_eq!(v.root(by_id).await.expect("destroyed").1.versions, [1]);
    assert_eq!(
        code(v.root(DeleteProject { name: name("p") }).await),
        "not-empty"
    );
    let (status, gone) = v
        .root(DeleteEnvironment { name: place("p/e") })
        .await
        .expect("deleted");
    assert_eq!((status, gone.left), (204, false));
    v.root(DeleteProject { name: name("p") })
        .await
        .expect("deleted");
    assert_eq!(v.root(ListProjects).await.expect("a list").1, []);
    v.ends_sound().await;
}

#[tokio::test]
async fn a_hundred_versions_are_kept() {
    let v = Vault::new().await;
    for number in 1..=103 {
        v.set("a", &[("value", &number.to_string())])
            .await
            .expect("written");
    }
    let (_, history) = v
        .root(ReadHistory { name: secret("a") })
        .await
        .expect("a history");
    assert_eq!(
        (history.versions.len(), history.versions[0].version),
        (100, 4)
    );
    assert_eq!(v.value("a", Which::Number(3), "value").await, None);
    assert_eq!(
        v.value("a", Which::Number(4), "value").await.as_deref(),
        Some("4")
    );
    v.ends_sound().await;
}

#[tokio::test]
async fn lists_show_what_may_be_listed_in_pages() {
    let v = Vault::new().await;
    for path in [
        "a", "b/one", "b/two", "B/three", "c", "d/x/y", "e", "hidden/1", "hidden/2", "z",
    ] {
        v.set(path, &[("value", "1")]).await.expect("written");
    }
    let (_, some) = v
        .token(&v.root, &["list:p/e/**", "!list:p/e/hidden/**"])
        .await
        .expect("a token");
    for limit in [1, 2, 3, 100] {
        let (items, folders, _) = v.list(&some.token, false, limit).await;
        assert_eq!(items, ["p/e/a", "p/e/c", "p/e/e", "p/e/z"], "{limit}");
        assert_eq!(
            folders
                .iter()
                .map(|folder| folder.to_lowercase())
                .collect::<Vec<_>>(),
            ["p/e/b/", "p/e/d/"]
        );
        let (items, folders, _) = v.list(&some.token, true, limit).await;
        assert_eq!(items.len(), 8, "{limit}");
        assert!(
            folders.is_empty()
                && items
                    .windows(2)
                    .all(|pair| pair[0].to_lowercase() < pair[1].to_lowercase())
        );
    }
    // A page that is exactly full is the last one.
    assert_eq!(v.list(&some.token, true, 8).await.2, 1);
    let (_, none) = v.token(&v.root, &["read:p/e/**"]).await.expect("a token");
    let list = |prefix: &str| ListSecrets {
        place: place("p/e"),
        prefix: prefix.parse().expect("a prefix"),
        recursive: false,
        after: None,
        limit: PageSize::default(),
    };
    assert_eq!(code(v.by(&none.token, list("")).await), "forbidden");
    let (_, below) = v.root(list("b/")).await.expect("a page");
    assert_eq!(
        below
            .items
            .iter()
            .map(|item| item.path.as_str())
            .collect::<Vec<_>>(),
        ["p/e/b/one", "p/e/B/three", "p/e/b/two"]
    );
    v.ends_sound().await;
}

#[tokio::test]
async fn a_page_that_shows_nothing_goes_on() {
    let v = Vault::new().await;
    for number in 0..1000 {
        v.set(&format!("hidden/{number:04}"), &[("value", "1")])
            .await
            .expect("written");
    }
    v.set("shown", &[("value", "1")]).await.expect("written");
    let (_, some) = v
        .token(&v.root, &["list:p/e/shown"])
        .await
        .expect("a token");
    for recursive in [false, true] {
        let (items, folders, pages) = v.list(&some.token, recursive, 100).await;
        assert_eq!(
            (items.as_slice(), folders.len(), pages),
            (&["p/e/shown".to_owned()][..], 0, 2)
        );
    }
    let (items, folders, pages) = v.list(&v.root, false, 100).await;
    assert_eq!((items.len(), folders.len(), pages), (1, 1, 1));
    assert_eq!(v.list(&v.root, true, 100).await.0.len(), 1001);
    v.ends_sound().await;
}

#[tokio::test]
async fn tokens_are_made_within_their_makers() {
    let v = Vault::new().await;
    let (_, parent) = v
        .token(&v.root, &["list,read:p/**", "!read:p/e/root/**"])
        .await
        .expect("a token");
    let by = &parent.token;
    assert_eq!(code(v.token(by, &["write:p/e/a"]).await), "forbidden");
    assert_eq!(code(v.token(by, &["read:**"]).await), "forbidden");
    assert_eq!(code(v.token(by, &[]).await), "bad-request");
    let (status, child) = v.token(by, &["read:p/**"]).await.expect("a child");
    assert_eq!(status, 201);
    assert!(child.expires_at <= parent.expires_at);
    v.set("root/x", &[("value", "1")]).await.expect("written");
    v.set("x", &[("value", "1")]).await.expect("written");
    assert_eq!(
        code(v.by(&child.token, read("root/x", Which::Current)).await),
        "not-found"
    );
    assert_eq!(
        code(v.by(&child.token, read("x", Which::Current)).await),
        "ok"
    );
    assert_eq!(
        code(
            v.by(
                by,
                CreateToken {
                    orphan: true,
                    ..asked(&["read:p/e/x"])
                }
            )
            .await
        ),
        "not-found"
    );
    assert_eq!(
        code(
            v.by(
                by,
                CreateToken {
                    app: Some(name("web")),
                    ..asked(&["read:p/e/x"])
                }
            )
            .await
        ),
        "not-found"
    );

    // Orphans and applications take the refusals over.
    let (_, maker) = v
        .token(
            &v.root,
            &["list,read:p/**", "manage:sys/**", "!read:p/e/root/**"],
        )
        .await
        .expect("a token");
    let orphan = CreateToken {
        orphan: true,
        app: Some(name("web")),
        ..asked(&["read:p/**"])
    };
    let (_, orphan) = v.by(&maker.token, orphan).await.expect("an orphan");
    assert_eq!(orphan.scopes.len(), 2);
    assert_eq!(
        code(v.by(&orphan.token, read("root/x", Which::Current)).await),
        "not-found"
    );
    let (_, own) = v.by(&orphan.token, ReadOwnToken).await.expect("itself");
    assert_eq!((&*own.principal, own.parent), ("app/web", None));
    let more = CreateToken {
        app: Some(name("web")),
        ..asked(&["list:p/**"])
    };
    let (_, more) = v.by(&maker.token, more).await.expect("a token");
    assert_eq!(
        code(
            v.by(&more.token, ListEnvironments { project: name("p") })
                .await
        ),
        "ok"
    );

    // Depth.
    let mut deepest = again(&v.root);
    for _ in 0..8 {
        deepest = v
            .token(&deepest, &["read:p/e/x"])
            .await
            .map(|(_, made)| made.token)
            .expect("a child");
    }
    assert_eq!(
        code(v.token(&deepest, &["read:p/e/x"]).await),
        "token-depth"
    );
    assert_eq!(code(v.by(&deepest, read("x", Which::Current)).await), "ok");

    // Seen and revoked.
    let (_, seen) = v.by(by, ListTokens::default()).await.expect("a list");
    assert_eq!(
        seen.tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
        [parent.id, child.id]
    );
    let all = ListTokens {
        after: None,
        limit: PageSize::at_most(3).expect("some"),
    };
    let (_, all) = v.root(all).await.expect("a list");
    assert_eq!((all.tokens.len(), all.next), (3, Some(all.tokens[2].id)));
    let revoke = |id| RevokeToken {
        token: TokenNamed::Id(id),
    };
    assert_eq!(
        code(v.by(&child.token, revoke(parent.id)).await),
        "not-found"
    );
    assert_eq!(code(v.by(by, revoke(orphan.id)).await), "not-found");
    let text = RevokeToken {
        token: TokenNamed::Plain(again(&child.token)),
    };
    assert_eq!(v.by(by, text).await.expect("revoked").0, 204);
    let revoked = Refusal::Unauthenticated(TokenProblem::Revoked);
    assert_eq!(
        v.by(&child.token, ReadOwnToken).await.err(),
        Some(revoked.clone())
    );
    let (_, child) = v.token(by, &["read:p/**"]).await.expect("a child");
    v.by(by, revoke(parent.id))
        .await
        .expect("revoked by itself");
    assert_eq!(v.by(&child.token, ReadOwnToken).await.err(), Some(revoked));
    v.ends_sound().await;
}

#[tokio::test]
async fn dead_tokens_are_swept_after_thirty_days() {
    let v = Vault::new().await;
    let (_, revoked) = v
        .by(
            &v.root,
            CreateToken {
                ttl: Ttl::days(90),
                ..asked(&["read:p/**"])
            },
        )
        .await
        .expect("one");
    let (_, expired) = v.token(&v.root, &["read:p/**"]).await.expect("one");
    let (_, living) = v
        .by(
            &v.root,
            CreateToken {
                ttl: Ttl::days(90),
                ..asked(&["read:p/**"])
            },
        )
        .await
        .expect("one");
    v.root(RevokeToken {
        token: TokenNamed::Id(revoked.id),
    })
    .await
    .expect("revoked");
    assert_eq!(v.system(SweepTokens).await.expect("swept").1.dropped, 0);
    v.clock.advance_us(Ttl::days(32).micros());
    let expired_now = Refusal::Unauthenticated(TokenProblem::Expired);
    assert_eq!(
        v.by(&expired.token, ReadOwnToken).await.err(),
        Some(expired_now)
    );
    let (_, swept) = v.system(SweepTokens).await.expect("swept");
    assert_eq!((swept.dropped, swept.left), (2, false));
    assert_eq!(code(v.by(&living.token, ReadOwnToken).await), "ok");
    assert_eq!(
        code(v.by(&expired.token, ReadOwnToken).await),
        "token-invalid"
    );
    v.ends_sound().await;
}

#[tokio::test]
async fn keys_rotate_and_versions_follow() {
    let v = Vault::new().await;
    for number in 0..45 {
        v.set(&format!("s{number}"), &[("value", &number.to_string())])
            .await
            .expect("written");
    }
    let terms = async || {
        let (_, census) = v
            .root(ListKeys {
                place: place("p/e"),
            })
            .await
            .expect("a census");
        census
            .terms
            .iter()
            .map(|term| (term.term, term.state, term.versions))
            .collect::<Vec<_>>()
    };
    assert_eq!(terms().await, [(1, TermState::Current, 45)]);
    v.root(RotateKey {
        place: place("p/e"),
    })
    .await
    .expect("rotated");
    v.set("new", &[("value", "1")]).await.expect("written");
    assert_eq!(
        terms().await,
        [(1, TermState::Retired, 45), (2, TermState::Current, 1)]
    );
    assert_eq!(
        v.value("s7", Which::Current, "value").await.as_deref(),
        Some("7")
    );
    let mut moved = 0;
    loop {
        let (_, step) = v
            .root(RewrapKeys {
                place: place("p/e"),
            })
            .await
            .expect("a step");
        moved += step.moved;
        if !step.left {
            break;
        }
    }
    assert_eq!(moved, 45);
    assert_eq!(
        terms().await,
        [(1, TermState::Retired, 0), (2, TermState::Current, 46)]
    );
    assert_eq!(
        v.value("s7", Which::Current, "value").await.as_deref(),
        Some("7")
    );
    v.ends_sound().await;
}

#[tokio::test]
async fn rotations_come_when_they_are_due() {
    let v = Vault::new().await;
    let set = |path: &str, field: Option<&str>| SetRotation {
        name: secret(path),
        every: Ttl::seconds(3600),
        grace: Some(Ttl::seconds(600)),
        field: field.map(named),
        generate: Generate::default(),
    };
    let (status, rotation) = v.root(set("auto", None)).await.expect("a policy");
    assert_eq!((status, rotation.policy.field.as_str()), (201, "value"));
    let first = v
        .value("auto", Which::Current, "value")
        .await
        .expect("a value");
    assert_eq!(first.len(), 32);
    v.set("two", &[("user", "u"), ("password", "1")])
        .await
        .expect("written");
    assert_eq!(code(v.root(set("two", None)).await), "bad-request");
    assert_eq!(
        v.root(set("two", Some("password")))
            .await
            .expect("a policy")
            .0,
        200
    );
    assert_eq!(
        code(
            v.root(RotateNow {
                name: secret("none")
            })
            .await
        ),
        "not-found"
    );

    assert_eq!(v.door.list_due(10).await.expect("a list"), []);
    assert_eq!(
        code(
            v.system(RotateDue {
                name: secret("auto")
            })
            .await
        ),
        "not-due"
    );
    assert_eq!(
        code(
            v.root(RotateDue {
                name: secret("auto")
            })
            .await
        ),
        "not-found"
    );
    v.clock.advance_us(Ttl::seconds(3 * 3600).micros());
    assert_eq!(v.door.list_due(10).await.expect("a list").len(), 2);
    let (_, rotated) = v
        .system(RotateDue {
            name: secret("auto"),
        })
        .await
        .expect("rotated");
    assert_eq!((rotated.version, rotated.created), (2, false));
    assert_eq!(
        code(
            v.system(RotateDue {
                name: secret("auto")
            })
            .await
        ),
        "not-due"
    );
    assert_eq!(
        v.value("auto", Which::Previous, "value").await.as_deref(),
        Some(first.as_str())
    );
    let second = v
        .value("auto", Which::Current, "value")
        .await
        .expect("a value");
    assert_ne!(first, second);
    let (_, after) = v
        .root(ReadRotation {
            name: secret("auto"),
        })
        .await
        .expect("a policy");
    assert_eq!(
        after.policy.next_at.micros(),
        after
            .policy
            .last_at
            .expect("it rotated")
            .after(Ttl::seconds(3600))
            .micros()
    );
    v.clock.advance_us(Ttl::seconds(601).micros());
    assert_eq!(v.value("auto", Which::Previous, "value").await, None);
    assert_eq!(
        v.value("auto", Which::Number(1), "value").await.as_deref(),
        Some(first.as_str())
    );

    // By hand the schedule stays; now, it begins anew.
    v.set("auto", &[("value", "mine")]).await.expect("written");
    let (_, same) = v
        .root(ReadRotation {
            name: secret("auto"),
        })
        .await
        .expect("a policy");
    assert_eq!(same, after);
    let (_, now) = v
        .root(RotateNow {
            name: secret("auto"),
        })
        .await
        .expect("rotated");
    assert_eq!(now.version, 4);
    assert_eq!(
        v.value("auto", Which::Previous, "value").await.as_deref(),
        Some("mine")
    );
    v.root(RotateNow {
        name: secret("two"),
    })
    .await
    .expect("rotated");
    assert_eq!(
        v.value("two", Which::Current, "user").await.as_deref(),
        Some("u")
    );
    assert_eq!(
        v.root(DeleteRotation {
            name: secret("two")
        })
        .await
        .expect("gone")
        .0,
        204
    );
    assert_eq!(
        code(
            v.root(RotateNow {
                name: secret("two")
            })
            .await
        ),
        "no-rotation"
    );
    v.ends_sound().await;
}

#[tokio::test]
async fn leases_and_the_log() {
    let v = Vault::new().await;
    let (one, two) = (BootId::from_bytes([1; 16]), BootId::from_bytes([2; 16]));
    let take = |holder, seen| TakeLease {
        name: "rotation",
        holder,
        ttl: Ttl::seconds(10),
        seen,
    };
    let (_, TakenLease::Taken(first)) = v.system(take(one, None)).await.expect("an answer") else {
        panic!("it was free")
    };
    assert!(matches!(
        v.system(take(two, None)).await,
        Ok((_, TakenLease::Held(_)))
    ));
    v.clock.advance_us(Ttl::seconds(11).micros());
    assert!(matches!(
        v.system(take(two, None)).await,
        Ok((_, TakenLease::Held(_)))
    ));
    let seen = Some((first.epoch, first.beat));
    let (_, TakenLease::Taken(second)) = v.system(take(two, seen)).await.expect("an answer") else {
        panic!("it stood still")
    };
    assert_eq!((second.holder, second.epoch), (two, first.epoch + 1));
    // What the old holder gives back is no longer its own.
    v.system(ReleaseLease {
        name: "rotation",
        holder: one,
        epoch: first.epoch,
    })
    .await
    .expect("an answer");
    assert!(matches!(
        v.system(take(one, None)).await,
        Ok((_, TakenLease::Held(_)))
    ));
    v.system(ReleaseLease {
        name: "rotation",
        holder: two,
        epoch: second.epoch,
    })
    .await
    .expect("an answer");
    assert!(matches!(
        v.system(take(one, None)).await,
        Ok((_, TakenLease::Taken(_)))
    ));

    v.door
        .run_system("streams", AnchorStreams)
        .await
        .expect("an anchor");
    v.root(ExportLog).await.expect("an export");
    let heads = v.door.heads().await.expect("heads");
    let lines = v.door.newest_records(&heads, 2).await.expect("records");
    let line = |at: usize| String::from_utf8(lines[at].line.clone()).expect("text");
    assert!(
        line(0).contains("\"system/streams\"") && line(0).contains("\"sys/streams\""),
        "{}",
        line(0)
    );
    assert!(
        line(1).contains("{\"coffer.audit\":\"export\"}") && line(1).contains("\"app/root\""),
        "{}",
        line(1)
    );
    v.ends_sound().await;
}

#[tokio::test]
async fn the_scheduler_rotates_and_leaves_idle_stores_alone() {
    let v = Vault::new().await;
    let (tell, stop) = tokio::sync::watch::channel(false);
    let mut jobs = coffer::jobs::start(&v.door, &stop);
    v.root(SetRotation {
        name: secret("auto"),
        every: Ttl::seconds(3600),
        grace: None,
        field: None,
        generate: Generate::default(),
    })
    .await
    .expect("a policy");
    v.clock.advance_us(Ttl::seconds(3601).micros());
    let mut version = 1;
    for _ in 0..400 {
        let (_, history) = v
            .root(ReadHistory {
                name: secret("auto"),
            })
            .await
            .expect("a history");
        version = history.versions.len();
        if version == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(version, 2);
    // Nothing is due any more: two more turns write nothing.
    let size = async || {
        let heads = v.door.heads().await.expect("heads");
        heads.iter().map(|head| head.checkpoint.size).sum::<u64>()
    };
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let before = size().await;
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    assert_eq!(size().await, before);
    tell.send_replace(true);
    while jobs.join_next().await.is_some() {}
    v.ends_sound().await;
}
