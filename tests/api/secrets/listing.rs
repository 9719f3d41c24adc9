//! Listing: names and metadata, page by page, and only of what the caller may list.
//! A cursor belongs to one list and cannot be made by a client.

use coffer::model::Ttl;
use serde_json::{Value, json};

use crate::support::vault::{TestVault, both_engines};

const LIST: &str = "/secrets/payments/prod";

async fn listed(v: &TestVault, query: &str) -> (Vec<String>, Vec<String>, Option<String>) {
    let page = v
        .get(&format!("{LIST}{query}"), &v.root)
        .await
        .is(200)
        .json();
    shown(&page)
}

fn shown(page: &Value) -> (Vec<String>, Vec<String>, Option<String>) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let items = page["items"].as_array().expect("items").iter();
    let folders = page["folders"]
        .as_array()
        .map(|folders| folders.iter().map(text).collect());
    (
        items.map(|item| text(&item["path"])).collect(),
        folders.unwrap_or_default(),
        page.get("next_cursor").map(text),
    )
}

both_engines! {
    async fn a_list_is_like_ls(v: TestVault) {
        for path in ["b", "a", "db/user", "db/password", "db/x/y", "dba"] {
            v.set(&format!("payments/prod/{path}"), "value", "1").await;
        }
        let named = |names: &[&str]| names.iter().map(|name| format!("payments/prod/{name}")).collect::<Vec<_>>();
        let (items, folders, next) = listed(&v, "").await;
        assert_eq!((items, folders, next), (named(&["a", "b", "dba"]), named(&["db/"]), None));
        v.audit().await.last_is("list", "payments/prod", "allowed");
        let (items, folders, _) = listed(&v, "?prefix=db/").await;
        assert_eq!((items, folders), (named(&["db/password", "db/user"]), named(&["db/x/"])));
        let (items, folders, _) = listed(&v, "?recursive=true").await;
        assert_eq!((items, folders), (named(&["a", "b", "db/password", "db/user", "db/x/y", "dba"]), vec![]));
        assert_eq!(listed(&v, "?prefix=nothing").await, (vec![], vec![], None));
    }

    async fn an_entry_tells_everything_but_the_value(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "hunter2").await;
        v.set("payments/prod/stripe", "api_key", "hunter3").await;
        let page = v.get(LIST, &v.root).await.is(200);
        assert!(!page.text().contains("hunter") && !page.text().contains("api_key"), "{}", page.text());
        let entry = page.json()["items"][0].clone();
        assert_eq!((&entry["version"], &entry["state"]), (&json!(2), &json!("current")));
        let keys: Vec<&String> = entry.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["created_at", "path", "state", "updated_at", "version"]);
    }

    async fn pages_hold_everything_once(v: TestVault) {
        for number in 0..25 {
            v.set(&format!("payments/prod/s{number:02}"), "value", "1").await;
        }
        let (mut all, mut query) = (Vec::new(), "?limit=10".to_owned());
        loop {
            let (items, _, next) = listed(&v, &query).await;
            assert!(items.len() <= 10, "{items:?}");
            all.extend(items);
            let Some(next) = next else { break };
            query = format!("?limit=10&cursor={next}");
        }
        let wanted: Vec<String> = (0..25).map(|number| format!("payments/prod/s{number:02}")).collect();
        assert_eq!(all, wanted);
    }

    async fn a_cursor_opens_its_own_list_only(v: TestVault) {
        v.place("payments/test").await;
        for path in ["prod/a", "prod/b", "test/a", "test/b"] {
            v.set(&format!("payments/{path}"), "value", "1").await;
        }
        let (_, _, next) = listed(&v, "?limit=1").await;
        let cursor = next.expect("there is more");
        assert!(!cursor.contains("prod") && !cursor.contains('/'), "{cursor}");
        let with = |query: &str| format!("{query}&cursor={cursor}");
        assert_eq!(listed(&v, &with("?limit=1")).await.0, ["payments/prod/b"]);
        let flipped = if cursor.ends_with('A') { 'B' } else { 'A' };
        let forged = format!("{}{flipped}", &cursor[..cursor.len() - 1]);
        for bad in [
            with(&format!("{LIST}?recursive=true")), with(&format!("{LIST}?prefix=b")), with("/secrets/payments/test?limit=1"),
            format!("{LIST}?cursor={forged}"), format!("{LIST}?cursor="), format!("{LIST}?cursor=x"), with("/tokens?limit=1"),
        ] {
            v.get(&bad, &v.root).await.is_problem(400, "bad-request");
        }
        for bad in ["limit=0", "limit=-1", "limit=x", "recursive=yes", "prefix=/", "prefix=a//", "prefix=..", "unknown=1"] {
            v.get(&format!("{LIST}?{bad}"), &v.root).await.is_problem(400, "bad-request");
        }
    }

    async fn a_list_shows_what_its_caller_may_list(v: TestVault) {
        for path in ["stripe", "root/key", "db/user", "db/password"] {
            v.set(&format!("payments/prod/{path}"), "value", "1").await;
        }
        let some = v.token("list:payments/prod/** !list:payments/prod/root/** !list:payments/prod/db/password", Ttl::seconds(300)).await;
        let page = v.get(&format!("{LIST}?recursive=true"), &some).await.is(200).json();
        assert_eq!(shown(&page).0, ["payments/prod/db/user", "payments/prod/stripe"]);
        // A folder is shown only if something in it is.
        let page = v.get(LIST, &some).await.is(200).json();
        assert_eq!(shown(&page).1, ["payments/prod/db/"]);
        let one = v.token("list:payments/prod/db/user", Ttl::seconds(300)).await;
        let page = v.get(&format!("{LIST}?recursive=true"), &one).await.is(200).json();
        assert_eq!(shown(&page).0, ["payments/prod/db/user"]);
        let reader = v.token("read:payments/prod/**", Ttl::seconds(300)).await;
        v.get(LIST, &reader).await.is_problem(403, "forbidden");
        v.audit().await.last_is("list", "payments/prod", "refused: forbidden");
        let stranger = v.token("list,read:payments/test/**", Ttl::seconds(300)).await;
        v.get(LIST, &stranger).await.is_problem(404, "not-found");
        v.audit().await.last_is("list", "payments/prod", "refused: not-found");
    }
}
