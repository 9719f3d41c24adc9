//! A legitimate rotation, rewrap and reencryption of an environment's key while others read: no read takes it for tampering.
//!
//! Invariant: every read is answered with the value, and `check` finds nothing afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::task::JoinSet;

use coffer::door::Door;
use coffer::operations::keys::{ReencryptKeys, RewrapKeys, RotateKey};
use coffer::operations::places::{CreateEnvironment, CreateProject};
use coffer::operations::secrets::{ReadReply, ReadSecret, Which};
use coffer::store::Engine;

use super::ground::Ground;
use super::history::{place, run, secret, write};

const SECRETS: u32 = 30;
const ROTATIONS: u32 = 5;
const READERS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    read_through_rewraps(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    read_through_rewraps(Engine::Postgres).await;
}

async fn read_through_rewraps(engine: Engine) {
    let ground = Ground::new(engine).await;
    let root: Arc<str> = ground.found().await.into();
    let one = ground.open("one").await;
    run(
        &one,
        &root,
        CreateProject {
            name: "p".parse().expect("a name"),
        },
    )
    .await
    .expect("a project");
    run(&one, &root, CreateEnvironment { name: place("p/e") })
        .await
        .expect("an environment");
    for at in 0..SECRETS {
        run(&one, &root, write("p/e", &path(at), &value(at)))
            .await
            .expect("a secret");
    }
    // Whoever reads on another node meets each rewrap between two loads of its own.
    let two = match engine {
        Engine::Postgres => ground.open("two").await,
        Engine::Sqlite => one.clone(),
    };
    let (done, read) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let door = if reader % 2 == 0 {
            one.clone()
        } else {
            two.clone()
        };
        let (root, done, read) = (Arc::clone(&root), Arc::clone(&done), Arc::clone(&read));
        readers.spawn(async move {
            for at in (0..SECRETS).cycle() {
                if done.load(Ordering::Acquire) {
                    break;
                }
                reads(&door, &root, at).await;
                read.fetch_add(1, Ordering::AcqRel);
            }
        });
    }
    let (mut moved, mut renewed) = (0, 0);
    for _ in 0..ROTATIONS {
        run(
            &one,
            &root,
            RotateKey {
                place: place("p/e"),
            },
        )
        .await
        .expect("a new term");
        loop {
            let step = run(&one, &root, RewrapKeys::of(place("p/e")))
                .await
                .expect("a step");
            moved += step.moved;
            if step.census.is_some() {
                break;
            }
        }
        loop {
            let place = place("p/e");
            let step = run(&one, &root, ReencryptKeys::of(place)).await;
            let step = step.expect("a step");
            renewed += step.renewed;
            if step.census.is_some() {
                break;
            }
        }
    }
    done.store(true, Ordering::Release);
    while let Some(ended) = readers.join_next().await {
        ended.expect("every read is answered");
    }
    assert_eq!(moved, u64::from(SECRETS * ROTATIONS));
    assert_eq!(renewed, moved);
    assert!(
        read.load(Ordering::Acquire) > READERS,
        "nothing was read meanwhile"
    );
    one.close().await;
    two.close().await;
    drop((one, two));
    let store = ground.store(ground.url()).await;
    assert_eq!(ground.check(&store).await, Vec::<String>::new());
}

async fn reads(door: &Door, root: &str, at: u32) {
    let read = ReadSecret {
        name: secret("p/e", &path(at)),
        which: Which::Current,
        fields: None,
        if_none_match: Vec::new(),
    };
    let found = match run(door, root, read).await {
        Ok(ReadReply::Found(found)) => found,
        Ok(ReadReply::NotModified(_)) => panic!("nothing was there already"),
        Err(refusal) => panic!("{} is refused: {refusal:?}", path(at)),
    };
    let name = "value".parse().expect("a field");
    let field = found.fields.find(&name).expect("the field");
    assert_eq!(field.expose(), value(at).as_bytes());
}

fn path(at: u32) -> String {
    format!("secret-{at}")
}

fn value(at: u32) -> String {
    format!("the value of {at}")
}
