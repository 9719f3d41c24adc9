//! Operations through a door of their own, on SQLite: what a decision finds, refuses, changes and replies.
//! The stories over HTTP, on both engines and with their records, are in `tests/`.
//!
//! Invariant: after each story the whole store agrees with its keys and its log.

mod once;
mod rotations;
mod secrets;
mod tokens;

use std::sync::Arc;

use tempfile::TempDir;
use zeroize::Zeroizing;

use coffer::clock::Clock;
use coffer::config::Durability;
use coffer::crypto::{Keyring, PlainToken, RootKey};
use coffer::door::{
    Credential, Door, Founding, Operation, RecordFilter, Request, Starting, StateDir, check, found,
    start,
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
use coffer::store::{DatabaseSettings, DatabaseUrl, RoleUrls, Store};

use crate::support::eventually;

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
            roles: RoleUrls::default(),
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
            metrics: Arc::default(),
            state_dir: Arc::new(state),
            node: None,
            durability: Durability::Durable,
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
            check(&store, &keys, None).await.expect("a check"),
            Vec::<String>::new()
        );
        drop(self.folder);
    }
}

/// The door's parts let go of the file when their tasks have ended.
async fn reopened(settings: &DatabaseSettings) -> Store {
    eventually("the door lets go of its store", || async {
        Store::open(settings).await.ok()
    })
    .await
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
    Value::text(Zeroizing::new(value.to_owned()))
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
