//! Secrets over the API.

use coffer::model::Ttl;

use crate::support::vault::both_engines;

both_engines! {
    async fn an_expired_token_reads_nothing(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let alice = v.token("read:payments/prod/**", Ttl::seconds(300)).await;
        v.get("/secrets/payments/prod/stripe", &alice).await.is(200);
        v.advance(Ttl::seconds(360));
        v.get("/secrets/payments/prod/stripe", &alice).await.is_problem(401, "token-expired");
        v.audit().await.last_is("read", "payments/prod/stripe", "refused: token-expired");
    }
}
