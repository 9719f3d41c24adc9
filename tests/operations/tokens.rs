//! Tokens within their makers, and their end.

use super::*;

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
