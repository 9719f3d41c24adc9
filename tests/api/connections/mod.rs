//! Connections: a grant imported, its access token read and kept fresh, and what comes of a provider that fails.
//! The provider is strict: a refresh token that is shown twice costs the grant, so every story ends with a grant that lives.

mod failing;
mod importing;
mod places;
mod reading;

use std::ops::Deref;

use coffer::model::Ttl;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::client::Answer;
use crate::support::eventually;
use crate::support::provider::{Grant, Provider};
use crate::support::records::{Record, Records};
use crate::support::vault::TestVault;

const LIST: &str = "/connections/payments/prod";
/// The connection that most stories are about.
const GITHUB: &str = "/connections/payments/prod/github";
const PATH: &str = "payments/prod/github";
/// After so long a token of an hour is refreshed ahead of time; it has a tenth of the hour left, and more.
const DUE: Ttl = Ttl::seconds(2_900);

/// A vault whose jobs run, and a provider; they agree on the time.
struct Scene {
    v: TestVault,
    provider: Provider,
}

impl Scene {
    async fn new(mut v: TestVault) -> Self {
        v.start_jobs();
        let provider = Provider::start().await;
        Self { v, provider }
    }

    /// With a grant that is imported already.
    async fn imported(v: TestVault) -> (Self, Grant) {
        let s = Self::new(v).await;
        let grant = s.provider.grant();
        s.import(&grant).await.is(201);
        (s, grant)
    }

    /// Imports a grant as `github`, as the root.
    async fn import(&self, grant: &Grant) -> Answer {
        self.post(GITHUB, grant.import(), &self.root).await
    }

    /// Asks for the access token, with this query, as the root.
    async fn read(&self, query: &str) -> Answer {
        self.get(&format!("{GITHUB}/token{query}"), &self.root)
            .await
    }

    /// The access token, which the provider takes.
    async fn token(&self, query: &str) -> Value {
        let token = self.read(query).await.is(200).json();
        assert!(self.provider.accepts(access(&token)), "{token}");
        token
    }

    /// What the list says of each connection.
    async fn items(&self) -> Vec<Value> {
        let list = self.get(LIST, &self.root).await.is(200).json();
        list["items"].as_array().expect("items").clone()
    }

    /// What the list says of the one connection that there is.
    async fn listed(&self) -> Value {
        let [item] = self.items().await.try_into().expect("one connection");
        item
    }

    /// Waits until the list says so.
    async fn until(&self, state: &str) -> Value {
        eventually(state, || async {
            Some(self.listed().await).filter(|item| item["state"] == state)
        })
        .await
    }

    /// Lets time go by here and there.
    fn pass(&self, span: Ttl) {
        self.provider.advance(span);
        self.v.advance(span);
    }

    /// Stops the server and starts it again, with its jobs.
    async fn restart(self) -> Self {
        let mut v = self.v.restart().await;
        v.start_jobs();
        Self { v, ..self }
    }
}

impl Deref for Scene {
    type Target = TestVault;

    fn deref(&self) -> &TestVault {
        &self.v
    }
}

fn access(token: &Value) -> &str {
    token["access_token"].as_str().expect("an access token")
}

/// An instant of an answer, in seconds.
fn seconds(instant: &Value) -> i64 {
    let text = instant.as_str().expect("an instant");
    let instant = OffsetDateTime::parse(text, &Rfc3339).expect("RFC 3339");
    instant.unix_timestamp()
}

/// The records about the connection, in their order.
fn about(records: &Records) -> Vec<&Record> {
    let all = records.all().iter();
    all.filter(|record| record.text("resource") == Some(PATH))
        .collect()
}

/// The last record about a resource that is not of the vault's own jobs, which go on meanwhile.
#[track_caller]
fn last_is<'a>(records: &'a Records, action: &str, resource: &str, outcome: &str) -> &'a Record {
    let by_itself = |record: &Record| {
        let principal = record.text("principal");
        principal.is_some_and(|name| name.starts_with("system/"))
    };
    let mut all = records.all().iter().rev();
    let last = all.find(|record| record.text("resource") == Some(resource) && !by_itself(record));
    let last = last.expect("a record");
    let found = (last.text("action"), last.outcome());
    assert_eq!(found, (Some(action), outcome.to_owned()), "{last:?}");
    last
}

/// How many steps of refreshing were recorded.
fn steps(records: &Records) -> usize {
    let about = about(records);
    let by_itself = about
        .iter()
        .filter(|record| record.text("principal") == Some("system/refresher"));
    assert!({ by_itself.clone() }.all(|record| record.text("action") == Some("connect")));
    by_itself.count()
}
