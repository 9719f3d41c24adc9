//! The scope language where it meets requests: what a pattern covers, and what a refusal takes away.

use coffer::model::Ttl;

use crate::support::vault::both_engines;

const HOUR: Ttl = Ttl::seconds(3600);

both_engines! {
    async fn a_pattern_covers_what_it_says(v: TestVault) {
        v.place("payments/test").await;
        v.place("shop/prod").await;
        let all = ["payments/prod/stripe", "payments/prod/db/user", "payments/prod/db/x/y", "payments/test/stripe", "shop/prod/stripe"];
        for secret in all {
            v.set(secret, "a", "1").await;
        }
        for (scopes, readable) in [
            ("read:**", &all[..]),
            ("read:payments/**", &all[..4]),
            ("read:payments/prod/**", &all[..3]),
            ("read:payments/prod/*", &all[..1]),
            ("read:payments/prod/db/*", &all[1..2]),
            ("read:payments/prod/stripe", &all[..1]),
            ("read:*/prod/stripe", &[all[0], all[4]]),
            ("read:payments/*/stripe", &[all[0], all[3]]),
            ("read:*/*/stripe", &[all[0], all[3], all[4]]),
            ("read:payments/prod/** !read:payments/prod/db/**", &all[..1]),
            ("!read:payments/prod/stripe read:payments/**", &all[1..4]),
            ("read:payments/prod/stripe !read:**", &[]),
            ("read:payments/prod", &[]),
            ("list:payments/prod/**", &[]),
        ] {
            let token = v.token(scopes, HOUR).await;
            for secret in all {
                let answer = v.get(&format!("/secrets/{secret}"), &token).await;
                assert_eq!(answer.status() == 200, readable.contains(&secret), "{scopes} {secret} {}", answer.status());
            }
        }
    }

    async fn stars_never_reach_the_system(v: TestVault) {
        let wide = v.token("list,read,write,delete,destroy,rotate,connect,share,manage,audit:**", HOUR).await;
        v.get("/audit/records", &wide).await.is_problem(404, "not-found");
        v.audit().await.last_is("audit", "sys/audit", "refused: not-found");
        let starred = v.token("audit:*/audit audit:*/*", HOUR).await;
        v.get("/audit/key", &starred).await.is_problem(404, "not-found");
        let auditor = v.token("audit:sys/audit", HOUR).await;
        v.get("/audit/key", &auditor).await.is(200);
        let system = v.token("audit:sys/**", HOUR).await;
        v.get("/audit/key", &system).await.is(200);
        v.get("/projects", &system).await.is(200);
    }

    async fn another_action_there_makes_it_forbidden_and_nothing_there_not_found(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        for (scopes, status, code) in [
            ("list:payments/prod/stripe", 403, "forbidden"),
            ("write:payments/**", 403, "forbidden"),
            ("read,list:payments/** !read:payments/prod/stripe", 403, "forbidden"),
            ("read:payments/** !read:payments/prod/stripe", 404, "not-found"),
            ("list:payments/prod", 404, "not-found"),
            ("list:payments/test/**", 404, "not-found"),
        ] {
            let token = v.token(scopes, HOUR).await;
            for secret in ["stripe", "absent"] {
                let here = scopes.contains("payments/**") || secret == "stripe";
                let answer = v.get(&format!("/secrets/payments/prod/{secret}"), &token).await;
                if here && !(secret == "absent" && scopes.contains('!')) {
                    answer.is_problem(status, code);
                    v.audit().await.last_is("read", &format!("payments/prod/{secret}"), &format!("refused: {code}"));
                } else {
                    answer.is_problem(404, "not-found");
                }
            }
        }
    }
}
