//! Secrets through a door of their own: their life, their versions, and pages of them.

use super::*;

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
