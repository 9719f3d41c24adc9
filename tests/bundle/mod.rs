//! A small bundle of a real log, of two streams: damaged in every small way, it is refused by the verifier of the crate
//! each time, by the built `coffer audit verify` for one of each kind, and by the second verifier, in Python, each time.
//!
//! Invariant: the untouched bundle passes all three; a verifier that refuses everything fails here.

mod damages;
mod verifiers;

use coffer::store::Engine;
use coffer_audit_log::{VerifierKey, key_id, verify};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::support::built::{Built, Opened, Place};
use damages::{Damaged, damaged_heads, damages, flips};
use verifiers::{by_binary, by_python, mutations_by_python};

/// A bundle, its key, and an older head of its first stream, all from a running server.
struct Exported {
    bundle: Vec<u8>,
    key: String,
    older: String,
}

/// Two nodes, one after the other, on one store: the second's claim writes down where the first one's stream stood.
async fn export() -> Exported {
    let place = Place::found(Engine::Sqlite).await;
    let first = place.serve("one", Opened::ByFile).await;
    first
        .post("/projects", json!({ "name": "shop" }), &place.root)
        .await
        .is(201);
    let older = head(&first, &place).await;
    let environment = json!({ "name": "dev" });
    first
        .post("/projects/shop/environments", environment, &place.root)
        .await
        .is(201);
    let fields = json!({ "fields": { "a": "1" } });
    let metadata = r#"{"pipeline":"\u00e9\u4e16\ud83d\ude00\u0001\"\\"}"#;
    first
        .put("/secrets/shop/dev/key", fields, &place.root)
        .header("coffer-metadata", metadata)
        .await
        .is(201);
    first.stop().await;
    let second = place.serve("two", Opened::ByFile).await;
    let key = second.get("/audit/key", &place.root).await.is(200).json();
    let key = key["key"].as_str().expect("text").to_owned();
    let bundle = second.get("/audit/bundle", &place.root).await.is(200);
    let bundle = bundle.bytes().to_vec();
    second.stop().await;
    Exported { bundle, key, older }
}

async fn head(server: &Built, place: &Place) -> String {
    let heads = server.call(Method::GET, "/audit/head").by(&place.root);
    let heads = heads.await.is(200).json();
    heads["heads"][0]["note"].as_str().expect("text").to_owned()
}

/// The same one for all tests.
async fn exported() -> &'static Exported {
    static EXPORTED: OnceCell<Exported> = OnceCell::const_new();
    EXPORTED.get_or_init(export).await
}

impl Exported {
    fn key(&self) -> VerifierKey {
        self.key.parse().expect("a verifier key")
    }

    /// A sound key (the base point's) under the name of this cluster.
    fn other_key(&self) -> String {
        use base64::Engine as _;
        let (name, _) = self.key.split_once('+').expect("a name");
        let mut point = [0x66; 32];
        point[0] = 0x58;
        let typed: Vec<u8> = [1].into_iter().chain(point).collect();
        let text = base64::engine::general_purpose::STANDARD.encode(typed);
        format!("{name}+{:08x}+{text}", key_id(name, &point))
    }

    /// One of each kind of damage.
    fn samples(&self) -> Vec<Damaged> {
        let mut kinds = std::collections::BTreeMap::new();
        for damaged in damages(&self.bundle)
            .into_iter()
            .chain(damaged_heads(&self.bundle, &self.older))
        {
            kinds.entry(damaged.kind).or_insert(damaged);
        }
        let samples: Vec<Damaged> = kinds.into_values().collect();
        assert_eq!(samples.len(), 12, "a kind is missing");
        samples
    }
}

#[tokio::test]
async fn the_untouched_bundle_passes_all_verifiers() {
    let exported = exported().await;
    let report = verify(&exported.bundle[..], &exported.key()).expect("it verifies");
    assert_eq!(report.streams.len(), 2);
    assert!(report.anchors > 0, "one stream has written down another");
    let folder = Folder::new();
    let bundle = folder.write("bundle", &exported.bundle);
    let by_file = folder.write("key", format!("{}\n", exported.key).as_bytes());
    for key in [exported.key.clone(), format!("@{by_file}")] {
        let said = by_binary(&[&bundle, "--key", &key]).exits(0);
        let records = format!("verified: {} records", report.records);
        assert!(said.stdout.starts_with(&records), "{said:?}");
        by_python(&[&bundle, &key]).exits(0);
    }
}

#[tokio::test]
async fn every_small_damage_is_refused() {
    let exported = exported().await;
    let key = exported.key();
    let mut tried = 0;
    let text = &exported.bundle;
    let whole = damages(text)
        .into_iter()
        .chain(damaged_heads(text, &exported.older));
    for damaged in whole.chain(flips(text)) {
        assert_ne!(&damaged.text, text, "{}", damaged.what);
        assert!(verify(&damaged.text[..], &key).is_err(), "{}", damaged.what);
        tried += 1;
    }
    assert!(tried > text.len(), "every byte was flipped");
}

#[tokio::test]
async fn the_binary_and_python_refuse_one_of_each_kind() {
    let exported = exported().await;
    let folder = Folder::new();
    for damaged in exported.samples() {
        let bundle = folder.write("bundle", &damaged.text);
        let said = by_binary(&[&bundle, "--key", &exported.key]).exits(6);
        assert_eq!(said.stdout, "", "{}", damaged.what);
        assert!(said.stderr.contains("does not verify: line "), "{said:?}");
        by_python(&[&bundle, &exported.key]).exits(6);
    }
}

#[tokio::test]
async fn python_refuses_every_small_damage() {
    let exported = exported().await;
    let folder = Folder::new();
    let bundle = folder.write("bundle", &exported.bundle);
    let said = mutations_by_python(&bundle, &exported.key).exits(0);
    let refused = said
        .stdout
        .split_once("mutations: ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .and_then(|count| count.parse::<usize>().ok());
    assert!(
        refused.is_some_and(|refused| refused > 8 * exported.bundle.len()),
        "{said:?}"
    );
    assert!(said.stdout.contains(" 0 accepted"), "{said:?}");
}

#[tokio::test]
async fn a_wrong_key_and_what_is_no_bundle_are_damage() {
    let exported = exported().await;
    let folder = Folder::new();
    let bundle = folder.write("bundle", &exported.bundle);
    let example = concat!(
        "@",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/audit/example.vkey"
    );
    for key in [&exported.other_key(), example] {
        let said = by_binary(&[&bundle, "--key", key]).exits(6);
        assert_eq!(said.stdout, "");
        by_python(&[&bundle, key]).exits(6);
    }
    let without_end = &exported.bundle[..exported.bundle.len() - 1];
    for text in [
        &b""[..],
        b"\n",
        b"coffer-audit-bundle 1\n",
        b"{}\n",
        b"\0\xff\xfe",
        exported.key.as_bytes(),
        without_end,
    ] {
        let bundle = folder.write("bundle", text);
        by_binary(&[&bundle, "--key", &exported.key]).exits(6);
        by_python(&[&bundle, &exported.key]).exits(6);
    }
}

#[tokio::test]
async fn without_a_key_or_a_file_nothing_is_found_out() {
    let exported = exported().await;
    let folder = Folder::new();
    let bundle = folder.write("bundle", &exported.bundle);
    by_binary(&[&bundle]).exits(2);
    by_python(&[&bundle]).exits(2);
    let (begin, _) = exported.key.split_at(exported.key.len() - 1);
    let (name, rest) = exported.key.split_once('+').expect("a name");
    let (id, point) = rest.split_once('+').expect("an id");
    let absent = folder.path("absent");
    for key in [
        "",
        "nonsense",
        name,
        begin,
        &format!("{name}+00000000+{point}"),
        &format!("other+{id}+{point}"),
        &format!("{} ", exported.key),
        &format!("@{absent}"),
        "@/",
        "@",
    ] {
        by_binary(&[&bundle, "--key", key]).exits(2);
        by_python(&[&bundle, key]).exits(2);
    }
    for path in [absent.as_str(), "/"] {
        by_binary(&[path, "--key", &exported.key]).exits(2);
        by_python(&[path, &exported.key]).exits(2);
    }
}

/// Files of a test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("it is written");
        path
    }
}
