//! A request is allowed only if the token, every ancestor and the principal allow it, now.

use coffer::model::Ttl;
use reqwest::Method;
use serde_json::json;

use crate::support::client::Token;
use crate::support::vault::both_engines;

const HOUR: Ttl = Ttl::seconds(3600);
const STRIPE: &str = "/secrets/payments/prod/stripe";

both_engines! {
    async fn a_revoked_token_does_nothing_and_nor_do_its_children(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        let parent = v.token("read,write:payments/**", HOUR).await;
        let child = v.child(&parent, "read:payments/prod/**", HOUR).await;
        let grandchild = v.child(&child, "read:payments/prod/stripe", HOUR).await;
        v.get(STRIPE, &grandchild).await.is(200);
        v.delete(&format!("/tokens/{}", parent.id), &v.root).await.is(204);
        for dead in [&parent, &child, &grandchild] {
            v.get(STRIPE, dead).await.is_problem(401, "token-revoked");
            let records = v.audit().await;
            let record = records.last_is("read", "payments/prod/stripe", "refused: token-revoked");
            assert_eq!(record.text("token"), Some(&*dead.id));
            v.put(STRIPE, json!({ "fields": { "a": "2" } }), dead).await.is_problem(401, "token-revoked");
            v.post("/tokens", json!({ "scopes": ["read:payments/prod/stripe"], "ttl": 60 }), dead).await.is_problem(401, "token-revoked");
        }
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["version"], 1);
    }

    async fn nobody_gives_what_they_do_not_have(v: TestVault) {
        let maker = v.token("list,read:payments/prod/**", HOUR).await;
        for wider in ["write:payments/prod/a", "read:payments/**", "read:payments/*/a", "read:**", "read:*/prod/**", "list,read,write:payments/prod/**", "manage:sys/tokens"] {
            let asked = json!({ "scopes": [wider], "ttl": 60 });
            v.post("/tokens", asked, &maker).await.is_problem(403, "forbidden");
            v.audit().await.last_is("manage", "sys/tokens", "refused: forbidden");
        }
        for narrower in ["read:payments/prod/**", "read:payments/prod/a/*", "list:payments/prod/a", "read:payments/prod"] {
            v.child(&maker, narrower, HOUR).await;
        }
    }

    async fn a_refusal_binds_every_child(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        v.set("payments/prod/root/key", "a", "1").await;
        let parent = v.token("read:payments/** !read:payments/prod/root/**", HOUR).await;
        let child = v.child(&parent, "read:payments/prod/**", HOUR).await;
        for bound in [&parent, &child] {
            v.get(STRIPE, bound).await.is(200);
            v.get("/secrets/payments/prod/root/key", bound).await.is_problem(404, "not-found");
            v.audit().await.last_is("read", "payments/prod/root/key", "refused: not-found");
        }
        // An orphan and another principal's token are not below the chain: they carry its refusals themselves.
        let maker = v.token("manage:sys/tokens manage:sys/apps read:payments/** !read:payments/prod/root/**", HOUR).await;
        for asked in [
            json!({ "scopes": ["read:payments/prod/**"], "ttl": 60, "orphan": true }),
            json!({ "scopes": ["read:payments/prod/**"], "ttl": 60, "app": "shop" }),
            json!({ "scopes": ["read:payments/prod/**"], "ttl": 60, "app": "mall", "orphan": true }),
        ] {
            let made = v.make_token(asked, &maker).await;
            v.get(STRIPE, &made).await.is(200);
            v.get("/secrets/payments/prod/root/key", &made).await.is_problem(404, "not-found");
        }
    }

    async fn the_principal_must_allow_it_too(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        // The application was bound by its first token; a token made by it for itself cannot go beyond.
        let shop = v.make_token(json!({ "scopes": ["read:payments/prod/**"], "ttl": 3600, "app": "shop" }), &v.root).await;
        v.get(STRIPE, &shop).await.is(200);
        let refused = v.delete(STRIPE, &shop).await.is_problem(403, "forbidden");
        assert!(refused.detail().contains("not delete: "), "{}", refused.detail());
        let more = json!({ "scopes": ["delete:payments/prod/**"], "ttl": 60 });
        let refused = v.post("/tokens", more, &shop).await.is_problem(403, "forbidden");
        assert!(refused.detail().contains("every scope that it is to give"), "{}", refused.detail());
    }

    async fn a_chain_has_at_most_eight_ancestors(v: TestVault) {
        let mut token = v.token("read:payments/**", HOUR).await;
        for _ in 2..=8 {
            token = v.child(&token, "read:payments/**", HOUR).await;
        }
        v.get("/tokens/self", &token).await.is(200);
        v.post("/tokens", json!({ "scopes": ["read:payments/**"], "ttl": 60 }), &token).await.is_problem(409, "token-depth");
        v.audit().await.last_is("manage", "sys/tokens", "allowed: token-depth");
    }

    async fn who_shows_nothing_or_nonsense_is_counted_and_not_recorded(v: TestVault) {
        let before = v.audit().await.all().len();
        let missing = v.call(Method::GET, STRIPE).await.is_problem(401, "token-missing");
        assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
        for nonsense in ["", "x", "cof_app_x", &v.root.text[..20], &format!("{}x", v.root.text), &v.root.text.to_lowercase()] {
            let nonsense = Token { text: nonsense.to_owned(), id: String::new() };
            v.get(STRIPE, &nonsense).await.is_problem(401, "token-invalid");
        }
        for scheme in [format!("Basic {}", v.root.text), v.root.text.clone(), format!("Bearer  {}", v.root.text)] {
            v.call(Method::GET, STRIPE).header("authorization", &scheme).await.is_problem(401, "token-invalid");
        }
        let twice = v.get(STRIPE, &v.root).by(&v.root);
        twice.await.is_problem(401, "token-invalid");
        // Only the export between the two counts is in the log.
        assert_eq!(v.audit().await.all().len(), before + 1);
    }

    async fn an_unknown_token_is_recorded_until_there_are_too_many(v: TestVault) {
        let unknown = || {
            let token = coffer::crypto::PlainToken::generate(&coffer::entropy::SystemEntropy, coffer::crypto::TokenKind::App);
            Token { text: token.expose().to_owned(), id: String::new() }
        };
        v.get(STRIPE, &unknown()).await.is_problem(401, "token-invalid");
        let records = v.audit().await;
        let record = records.last_is("read", "payments/prod/stripe", "refused: token-invalid");
        assert_eq!(record.text("principal"), None);
        let mut refused = 1;
        while refused < 200 {
            let answer = v.get(STRIPE, &unknown()).await;
            if answer.status() == 429 {
                answer.is_problem(429, "too-many-requests");
                break;
            }
            answer.is_problem(401, "token-invalid");
            refused += 1;
        }
        assert!((50..200).contains(&refused), "{refused} were looked up");
        assert_eq!(v.audit().await.count("-", "read", "payments/prod/stripe", "refused: token-invalid"), refused);
        // Whoever has a token goes on; and so does everybody once the minute is over.
        v.get(STRIPE, &v.root).await.is_problem(404, "not-found");
        v.advance(Ttl::seconds(61));
        v.get(STRIPE, &unknown()).await.is_problem(401, "token-invalid");
    }
}
