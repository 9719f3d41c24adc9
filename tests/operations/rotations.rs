//! Keys and secrets that rotate, the leases they rotate under, and the scheduler's own loop.

use super::*;

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
        let (_, step) = v.root(RewrapKeys::of(place("p/e"))).await.expect("a step");
        moved += step.moved;
        if step.census.is_some() {
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
    let lines = v
        .door
        .newest_records(heads, RecordFilter::default(), 2)
        .await
        .expect("records");
    let line = |at: usize| String::from_utf8(lines[at].clone()).expect("text");
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
async fn the_scheduler_rotates_what_is_due() {
    let v = Vault::new().await;
    let (tell, stop) = tokio::sync::watch::channel(false);
    let outbound = crate::support::vault::outbound();
    let refresher = coffer::jobs::Refresher::new(v.door.clone(), outbound);
    let mut jobs = coffer::jobs::start(&v.door, &refresher, None, &stop);
    drop(refresher);
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
    let rotated = async || {
        let name = secret("auto");
        let (_, history) = v.root(ReadHistory { name }).await.expect("a history");
        (history.versions.len() == 2).then_some(())
    };
    eventually("the rotation", rotated).await;
    tell.send_replace(true);
    while jobs.join_next().await.is_some() {}
    v.ends_sound().await;
}
