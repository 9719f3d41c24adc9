//! The log as C2SP tlog-tiles: the checkpoint's root is made again from tiles, and the tiles from entries; before and after
//! segments are merged, and of what was pruned as far as that can be.

use coffer::jobs::prune_records;
use coffer::model::Ttl;
use coffer_audit_log::{Checkpoint, Frontier, Hash, Record, leaf_hash, open_note};

use tokio::task::JoinSet;

use crate::support::client::{Answer, Client};
use crate::support::vault::{TestVault, both_engines};

async fn path_to(v: &TestVault) -> String {
    let heads = v.get("/audit/head", &v.root).await.is(200).json();
    let stream = heads["heads"][0]["stream"].as_str().expect("a stream");
    format!("/audit/streams/{stream}")
}

async fn checkpoint(v: &TestVault, path: &str) -> Checkpoint {
    let key = v.get("/audit/key", &v.root).await.is(200).json();
    let key = key["key"].as_str().expect("text").parse().expect("a key");
    let note = v.get(&format!("{path}/checkpoint"), &v.root).await.is(200);
    assert_eq!(
        note.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    open_note(&note.text(), &key).expect("it is signed")
}

async fn tile(v: &TestVault, path: &str, tile: &str) -> Answer {
    v.get(&format!("{path}/tile/{tile}"), &v.root).await
}

async fn hashes(v: &TestVault, path: &str, name: &str) -> Vec<Hash> {
    let answer = tile(v, path, name).await.is(200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let (hashes, rest) = answer.bytes().as_chunks::<32>();
    assert!(rest.is_empty());
    hashes.iter().map(|hash| Hash(*hash)).collect()
}

async fn entries(v: &TestVault, path: &str, name: &str) -> Vec<Vec<u8>> {
    let answer = tile(v, path, name).await.is(200);
    let (mut rest, mut entries) = (answer.bytes(), Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (entry, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = behind;
    }
    assert!(rest.is_empty());
    entries
}

/// What the tiles of a level are called that a tree has with so many hashes on it.
fn names(level: &str, hashes: u64) -> Vec<String> {
    let full = (0..hashes / 256).map(|index| format!("{level}/{index:03}"));
    let partial = format!("{level}/{:03}.p/{}", hashes / 256, hashes % 256);
    full.chain((!hashes.is_multiple_of(256)).then_some(partial))
        .collect()
}

fn root(hashes: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    hashes.iter().for_each(|hash| tree.push(*hash));
    tree.root()
}

/// A tree of more than two full tiles.
async fn grow(v: &TestVault) {
    v.set("payments/prod/s", "a", "1").await;
    for _ in 0..9 {
        let mut reading = JoinSet::new();
        for _ in 0..64 {
            let (client, root) = (Client::clone(v), v.root.clone());
            reading
                .spawn(async move { client.get("/secrets/payments/prod/s", &root).await.is(200) });
        }
        reading.join_all().await;
    }
}

/// Everything below a checkpoint leads to it.
async fn leads(v: &TestVault, path: &str) -> Vec<Vec<Hash>> {
    let head = checkpoint(v, path).await;
    let (mut leaves, mut upper) = (Vec::new(), Vec::new());
    for name in names("0", head.size) {
        leaves.push(hashes(v, path, &name).await);
    }
    assert_eq!(root(&leaves.concat()), head.root);
    for name in names("1", head.size / 256) {
        upper.extend(hashes(v, path, &name).await);
    }
    let full = leaves.iter().filter(|tile| tile.len() == 256);
    assert_eq!(upper, full.map(|tile| root(tile)).collect::<Vec<_>>());
    let mut index = 0;
    for (at, name) in names("entries", head.size).iter().enumerate() {
        let entries = entries(v, path, name).await;
        let hashed: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(hashed, leaves[at]);
        for entry in entries {
            assert_eq!(Record::parse(&entry).expect("a record").index, index);
            index += 1;
        }
    }
    assert_eq!(index, head.size);
    leaves
}

both_engines! {
    async fn tiles_lead_to_the_checkpoint(v: TestVault) {
        grow(&v).await;
        let path = path_to(&v).await;
        let before = leads(&v, &path).await;
        v.merge(100).await;
        let after = leads(&v, &path).await;
        assert_eq!(after[..2], before[..2]);
        // A partial tile stays to be had once there is more.
        assert_eq!(hashes(&v, &path, "0/000.p/7").await, before[0][..7]);
        v.verify().await;
    }

    async fn each_look_is_recorded(v: TestVault) {
        let path = path_to(&v).await;
        let stream = path.rsplit_once('/').expect("a stream").1.to_owned();
        for (what, says) in [("0/000.p/2", "0/0 2"), ("entries/000.p/1", "entries/0 1")] {
            tile(&v, &path, what).await.is(200);
            let log = v.audit().await;
            let metadata = log.last_is("audit", "sys/audit", "allowed").member("metadata");
            assert_eq!(metadata["coffer.tile"], says);
            assert_eq!(metadata["coffer.stream"], stream);
        }
        checkpoint(&v, &path).await;
        assert_eq!(v.audit().await.last().member("metadata")["coffer.audit"], "checkpoint");
    }

    async fn what_is_not_there_is_not_found(v: TestVault) {
        let path = path_to(&v).await;
        for name in ["0/000", "0/001.p/1", "1/000.p/1", "2/000", "63/000", "entries/000", "0/x001/000", "7/x999/x999/999"] {
            tile(&v, &path, name).await.is_problem(404, "not-found");
        }
        let nobody = "/audit/streams/00000000-0000-0000-0000-000000000000";
        tile(&v, nobody, "0/000.p/1").await.is_problem(404, "not-found");
        v.get(&format!("{nobody}/checkpoint"), &v.root).await.is_problem(404, "not-found");
        for name in ["0/0", "64/000", "x/000", "0/000.p/0", "0/000.p/256", "0/000.p", "0/x000/001", "entries/000.p/01"] {
            tile(&v, &path, name).await.is_problem(400, "bad-request");
        }
        tile(&v, "/audit/streams/story", "0/000").await.is_problem(400, "bad-request");
        let reader = v.token("read:payments/**", Ttl::seconds(60)).await;
        for last in ["checkpoint", "tile/0/000.p/1"] {
            v.get(&format!("{path}/{last}"), &reader).await.is_problem(404, "not-found");
        }
    }

    async fn what_was_pruned_keeps_its_upper_tiles(v: TestVault) {
        grow(&v).await;
        v.advance(Ttl::days(92));
        let path = path_to(&v).await;
        let upper = hashes(&v, &path, "1/000.p/2").await;
        {
            let mut pruner = v.door().pruner(Ttl::days(90));
            let pruned = prune_records(v.door(), &mut pruner, true, || false).await;
            assert!(pruned.expect("a log that can be pruned") > 256);
        }
        assert_eq!(hashes(&v, &path, "1/000.p/2").await, upper);
        for name in ["0/001", "entries/001"] {
            tile(&v, &path, name).await.is_problem(404, "not-found");
        }
        // What was kept at the stream's beginning is there.
        entries(&v, &path, "entries/000.p/1").await;
        v.verify().await;
    }
}
