//! Every route, described: what it is for, what it takes, what it answers.
//!
//! Invariant: the server's own table has the same routes, with the same actions, and a test says so.

use serde_json::{Value, json};

use super::Row;
use crate::{
    AccessToken, AuditHeads, AuditKey, Connection, ConnectionList, CreatePlace, CreateToken,
    CreatedToken, DestroySecret, DestroyTerm, DestroyedVersions, Environments, History,
    ImportConnection, Keys, PatchSecret, Place, Projects, PutSecret, Rotation, Secret, SecretList,
    SetRotation, Status, TokenList, TokenSelf, UndeleteSecret, WrittenSecret,
};

const SECRET: &str = "/secrets/{project}/{environment}/{*path}";
const ROTATION: &str = "/rotations/{project}/{environment}/{*path}";
const CONNECTION: &str = "/connections/{project}/{environment}/{name}";
const ENVIRONMENTS: &str = "/projects/{project}/environments";

const ON_SECRET: &str = "project/environment/path";
const ON_NAME: &str = "project/environment/name";
const ON_ENVIRONMENT: &str = "project/environment";
const ON_TOKENS: &str = "sys/tokens";
const ON_LOG: (&str, &str) = ("audit", "sys/audit");

const ONE_CONDITION: &[&str] = &["if_version", "If-Match", "If-None-Match"];
const PAGE: &[&str] = &["limit", "cursor"];
const JSONL: &str = "application/jsonl";
const BUNDLE: &str = "text/plain; charset=utf-8";
const CHECKPOINT: &str = BUNDLE;
const TILE: &str = "application/octet-stream";

const MADE: &str = "It is made.";
const GONE: &str = "It is gone.";

/// A body without anything in it.
#[derive(schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Nothing {}

type Action = (&'static str, &'static str);

fn get(pattern: &'static str, name: &'static str, summary: &'static str, action: Action) -> Row {
    Row::of("GET", pattern, name, summary, action)
}

fn put(pattern: &'static str, name: &'static str, summary: &'static str, action: Action) -> Row {
    Row::of("PUT", pattern, name, summary, action)
}

fn patch(pattern: &'static str, name: &'static str, summary: &'static str, action: Action) -> Row {
    Row::of("PATCH", pattern, name, summary, action)
}

fn post(pattern: &'static str, name: &'static str, summary: &'static str, action: Action) -> Row {
    Row::of("POST", pattern, name, summary, action)
}

fn delete(pattern: &'static str, name: &'static str, summary: &'static str, action: Action) -> Row {
    Row::of("DELETE", pattern, name, summary, action)
}

/// All of them, in the order of the server's table.
pub fn rows() -> Vec<Row> {
    [
        secrets(),
        rotations(),
        connections(),
        places(),
        keys(),
        tokens(),
        audit(),
        open(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[rustfmt::skip]
fn secrets() -> Vec<Row> {
    let fields = || json!({ "fields": { "username": "app" }, "generate": { "password": { "length": 32 } } });
    vec![
        get(SECRET, "readSecret", "Reads one version, all fields of it together.", ("read", ON_SECRET))
            .takes(&["version", "previous", "fields", "If-None-Match"])
            .gives::<Secret>(200, "The version.")
            .gives_nothing(304, "It is one of the versions that are known.")
            .with_etag(),
        put(SECRET, "putSecret", "Writes a version with these fields and no others.", ("write", ON_SECRET))
            .takes(ONE_CONDITION)
            .body::<PutSecret>(fields(), true)
            .gives::<WrittenSecret>(200, "A new version is written.")
            .gives::<WrittenSecret>(201, "The secret is made.")
            .with_etag()
            .refuses(&["case-clash", "name-taken", "precondition-failed"]),
        patch(SECRET, "patchSecret", "Writes a version that keeps the fields which are not named.", ("write", ON_SECRET))
            .takes(ONE_CONDITION)
            .body::<PatchSecret>(json!({ "fields": { "username": "app", "old": null } }), true)
            .gives::<WrittenSecret>(200, "A new version is written.")
            .gives::<WrittenSecret>(201, "The secret is made.")
            .with_etag()
            .refuses(&["case-clash", "name-taken", "precondition-failed"]),
        delete(SECRET, "deleteSecret", "Deletes a secret; its versions stay until they are destroyed.", ("delete", ON_SECRET))
            .takes(ONE_CONDITION)
            .gives_nothing(204, GONE)
            .refuses(&["precondition-failed"]),
        get("/secrets/{project}/{environment}", "listSecrets", "Lists secrets, without values; those that may be listed.", ("list", ON_ENVIRONMENT))
            .takes(&["prefix", "recursive"])
            .takes(PAGE)
            .gives::<SecretList>(200, "A page."),
        get("/history/{project}/{environment}/{*path}", "readHistory", "Tells every version, also of deleted secrets of that name.", ("list", ON_SECRET))
            .gives::<History>(200, "The history."),
        post("/undelete/{project}/{environment}/{*path}", "undeleteSecret", "Brings a deleted secret back.", ("write", ON_SECRET))
            .body::<UndeleteSecret>(json!({}), false)
            .gives::<WrittenSecret>(200, "It is back.")
            .with_etag()
            .refuses(&["exists", "case-clash", "name-taken"]),
        post("/destroy/{project}/{environment}/{*path}", "destroySecret", "Destroys versions for good.", ("destroy", ON_SECRET))
            .body::<DestroySecret>(json!({ "versions": [1] }), false)
            .gives::<DestroyedVersions>(200, "They are gone."),
    ]
}

#[rustfmt::skip]
fn rotations() -> Vec<Row> {
    vec![
        get(ROTATION, "readRotation", "Tells a secret's rotation policy.", ("list", ON_SECRET))
            .gives::<Rotation>(200, "The policy."),
        put(ROTATION, "setRotation", "Sets it, and makes the secret if it is absent.", ("write", ON_SECRET))
            .body::<SetRotation>(json!({ "every": 2_592_000 }), true)
            .gives::<Rotation>(200, "The policy is set.")
            .gives::<Rotation>(201, "The secret is made as well.")
            .refuses(&["case-clash", "name-taken"]),
        delete(ROTATION, "deleteRotation", "Takes it away; the secret stays.", ("write", ON_SECRET))
            .gives_nothing(204, GONE),
        post("/rotate/{project}/{environment}/{*path}", "rotateSecret", "Rotates a secret now.", ("rotate", ON_SECRET))
            .body::<Nothing>(json!({}), false)
            .gives::<WrittenSecret>(200, "A new version is current.")
            .with_etag()
            .refuses(&["no-rotation"]),
    ]
}

#[rustfmt::skip]
fn connections() -> Vec<Row> {
    let import = json!({
        "token_url": "https://provider.example/token",
        "client_id": "coffer",
        "client_secret": "…",
        "refresh_token": "…",
    });
    vec![
        post(CONNECTION, "importConnection", "Imports a grant, which one refresh proves before it is kept.", ("connect", ON_NAME))
            .body::<ImportConnection>(import, true)
            .gives::<Connection>(201, "It is kept.")
            .refuses(&["case-clash", "name-taken", "grant-refused", "grant-unproven", "idempotency-key-in-use"]),
        delete(CONNECTION, "deleteConnection", "Forgets a grant; the provider is not told.", ("connect", ON_NAME))
            .gives_nothing(204, GONE),
        get("/connections/{project}/{environment}", "listConnections", "Tells how connections fare; those that may be listed.", ("list", ON_ENVIRONMENT))
            .takes(PAGE)
            .gives::<ConnectionList>(200, "A page."),
        get("/connections/{project}/{environment}/{name}/token", "readAccessToken", "Gives the access token, refreshed if need be.", ("read", ON_NAME))
            .takes(&["min_ttl"])
            .gives::<AccessToken>(200, "The access token.")
            .refuses(&["needs-reauth", "token-refreshing"]),
    ]
}

#[rustfmt::skip]
fn places() -> Vec<Row> {
    let named = || json!({ "name": "payments" });
    vec![
        get("/projects", "listProjects", "Lists projects; those that may be listed.", ("list", "project"))
            .for_any_token()
            .gives::<Projects>(200, "All of them."),
        post("/projects", "createProject", "Makes a project.", ("manage", "project"))
            .body::<CreatePlace>(named(), true)
            .gives::<Place>(201, MADE)
            .refuses(&["exists", "too-many-places"]),
        get("/projects/{project}", "readProject", "Tells of a project.", ("list", "project"))
            .gives::<Place>(200, "The project."),
        delete("/projects/{project}", "deleteProject", "Takes an empty project away.", ("manage", "project"))
            .gives_nothing(204, GONE)
            .refuses(&["not-empty"]),
        get(ENVIRONMENTS, "listEnvironments", "Lists a project's environments; those that may be listed.", ("list", ON_ENVIRONMENT))
            .gives::<Environments>(200, "All of them."),
        post(ENVIRONMENTS, "createEnvironment", "Makes an environment.", ("manage", ON_ENVIRONMENT))
            .body::<CreatePlace>(json!({ "name": "prod" }), true)
            .gives::<Place>(201, MADE)
            .refuses(&["exists", "too-many-places"]),
        delete("/projects/{project}/environments/{environment}", "deleteEnvironment", "Takes an empty environment away.", ("manage", ON_ENVIRONMENT))
            .gives_nothing(204, GONE)
            .refuses(&["not-empty"]),
    ]
}

#[rustfmt::skip]
fn keys() -> Vec<Row> {
    const CENSUS: &str = "The terms, and what each protects.";
    let verb = |pattern, name, summary| {
        post(pattern, name, summary, ("rotate", ON_ENVIRONMENT))
            .body::<Nothing>(json!({}), false)
            .gives::<Keys>(200, CENSUS)
    };
    vec![
        get("/keys/{project}/{environment}", "listKeys", "Counts what each term of an environment's key protects.", ("list", ON_ENVIRONMENT))
            .gives::<Keys>(200, CENSUS),
        verb("/keys/{project}/{environment}/rotate", "rotateKey", "Begins a new term.")
            .refuses(&["too-many-terms"]),
        verb("/keys/{project}/{environment}/rewrap", "rewrapKeys", "Moves everything to the newest term.")
            .refuses(&["reencrypting"]),
        verb("/keys/{project}/{environment}/reencrypt", "reencryptKeys", "Gives every version a new data key and new ciphertext.")
            .refuses(&["too-many-terms"]),
        post("/keys/{project}/{environment}/destroy", "destroyTerm", "Destroys an old term that protects nothing.", ("destroy", ON_ENVIRONMENT))
            .body::<DestroyTerm>(json!({ "term": 1 }), true)
            .gives::<Keys>(200, CENSUS)
            .refuses(&["term-current", "term-in-use"]),
    ]
}

#[rustfmt::skip]
fn tokens() -> Vec<Row> {
    let asked: Value = json!({ "scopes": ["read:payments/prod/**"], "ttl": 3600 });
    vec![
        get("/tokens/self", "readOwnToken", "Tells of the token that asks.", ("list", "sys/tokens/self"))
            .for_any_token()
            .gives::<TokenSelf>(200, "The token, without its text."),
        get("/tokens", "listTokens", "Lists all tokens, or one's own and its children.", ("manage", ON_TOKENS))
            .for_any_token()
            .takes(PAGE)
            .gives::<TokenList>(200, "A page."),
        post("/tokens", "createToken", "Makes a token; one's own children need no scope.", ("manage", ON_TOKENS))
            .body::<CreateToken>(asked, true)
            .gives::<CreatedToken>(201, "The only time that its text is shown.")
            .refuses(&["token-depth", "too-many-children", "too-many-scopes", "token-shown"]),
        delete("/tokens/{id}", "revokeToken", "Revokes a token, and all below it.", ("manage", ON_TOKENS))
            .gives_nothing(204, "It is revoked."),
    ]
}

#[rustfmt::skip]
fn audit() -> Vec<Row> {
    vec![
        get("/audit/records", "readRecords", "Gives the newest records that fulfil every condition.", ON_LOG)
            .takes(&["records", "order", "since", "until", "principal", "token", "source", "action", "resource", "verdict", "outcome", "request"])
            .gives_text(JSONL, "One record a line. An answer that breaks off is not whole."),
        get("/audit/export", "exportLog", "Gives every record.", ON_LOG)
            .takes(&["format"])
            .gives_text(JSONL, "One record a line. An answer that breaks off is not whole."),
        get("/audit/bundle", "bundleLog", "Gives every record with heads and proofs.", ON_LOG)
            .gives_text(BUNDLE, "A bundle: docs/audit-bundle.md."),
        get("/audit/head", "readHeads", "Gives the newest signed head of each stream.", ON_LOG)
            .gives::<AuditHeads>(200, "The heads."),
        get("/audit/key", "readVerifierKey", "Gives the public key that heads are verified with.", ON_LOG)
            .gives::<AuditKey>(200, "The key."),
        get("/audit/streams/{stream}/checkpoint", "readCheckpoint", "Gives the newest signed head of a stream, as C2SP tlog-tiles.", ON_LOG)
            .gives_text(CHECKPOINT, "A C2SP checkpoint."),
        get("/audit/streams/{stream}/tile/{*tile}", "readTile", "Gives a tile of a stream's tree, or a bundle of its entries, as C2SP tlog-tiles.", ON_LOG)
            .gives_text(TILE, "Hashes of 32 bytes side by side; or entries, each behind its length in two bytes, big-endian."),
    ]
}

#[rustfmt::skip]
fn open() -> Vec<Row> {
    vec![
        Row::open("/health/live", "isLive", "Tells whether the process answers.")
            .gives_nothing(204, "It does."),
        Row::open("/health/ready", "isReady", "Tells whether requests can be recorded.")
            .gives_nothing(204, "They can.")
            .refuses(&["sealed", "unavailable"]),
        Row::open("/api/v1/status", "readStatus", "Tells whether the server is sealed, and more to who may `manage` `sys/status`.")
            .gives::<Status>(200, "How it is."),
        Row::open("/openapi.json", "readOpenapi", "Gives this document.")
            .gives_text("application/json", "It."),
    ]
}
