//! Receipts: found by whoever shows the same token and key, and swept when their day is over.

use super::*;
use coffer::model::{ClientAuth, Kept, ProviderClient};
use coffer::operations::connections::{BeginImport, Begun, GivenGrant};
use coffer::operations::once::Ticket;
use coffer::operations::sweep::SweepReceipts;

/// Begins to import a grant, once for this key.
fn begin(v: &Vault, path: &str, key: &str) -> BeginImport {
    let url = "https://provider.example/token";
    let grant = GivenGrant {
        client: ProviderClient {
            token_url: url.parse().expect("a URL"),
            auth: ClientAuth::Basic,
            client_id: "client".to_owned(),
            scope: None,
        },
        client_secret: None,
        refresh_token: text("a grant"),
    };
    let (fingerprint, request) = (v.door.fingerprint(&[path.as_bytes()]), v.door.request_id());
    BeginImport {
        name: secret(path),
        grant: Arc::new(grant),
        holder: v.door.holder(),
        ticket: Some(Arc::new(Ticket::new(key.to_owned(), fingerprint, request))),
    }
}

#[tokio::test]
async fn receipts_are_swept_after_their_day() {
    let v = Vault::new().await;
    let half_a_day = || v.clock.advance_us(Ttl::seconds(43_200).micros());
    let (_, first) = v.root(begin(&v, "one", "k")).await.expect("begun");
    let Begun::Now(refreshing) = first else {
        panic!("it is the first: {first:?}");
    };
    half_a_day();
    let (_, other) = v.root(begin(&v, "two", "l")).await.expect("begun");
    assert!(matches!(other, Begun::Now(_)));
    let (_, again) = v.root(begin(&v, "one", "k")).await.expect("begun before");
    assert_eq!(again, Begun::Before(Kept::Begun(refreshing.connection)));
    assert_eq!(
        code(v.root(begin(&v, "three", "k")).await),
        "idempotency-key-reused"
    );
    assert_eq!(v.system(SweepReceipts).await.expect("swept").1.dropped, 0);
    half_a_day();
    // Its day is over, whether or not it was swept.
    assert_eq!(code(v.root(begin(&v, "one", "k")).await), "name-taken");
    let (_, swept) = v.system(SweepReceipts).await.expect("swept");
    assert_eq!((swept.dropped, swept.left), (1, false));
    let (_, again) = v.root(begin(&v, "two", "l")).await.expect("begun before");
    assert!(matches!(again, Begun::Before(_)));
    let (_, third) = v.root(begin(&v, "three", "k")).await.expect("begun");
    assert!(matches!(third, Begun::Now(_)));
    v.ends_sound().await;
}
