//! What is said to an endpoint, byte for byte.

use super::*;

/// Sends one request and gives its head's lines and its body.
async fn sent(
    auth: ClientAuth,
    secret: Option<&str>,
    scope: Option<&str>,
) -> (Vec<String>, String) {
    let endpoint = Endpoint::saying(http("200 OK", TOKENS)).await;
    let (token, secret) = (value("rt/1+ \u{e9}"), secret.map(value));
    let url = format!("{}?tenant=a%20b", endpoint.url());
    let url = url.parse().expect("a URL");
    let outbound = outbound(&["127.0.0.1"]);
    let exchange = outbound.exchange(RefreshRequest {
        url: &url,
        auth,
        client_id: "my:client",
        client_secret: secret.as_ref(),
        refresh_token: &token,
        scope,
        now: Timestamp::from_micros(0),
        send_by: Instant::now() + Duration::from_secs(30),
    });
    assert_eq!(said(&exchange.await), "tokens at-1 rt-2");
    let heard = endpoint.heard();
    let (head, body) = heard.split_once("\r\n\r\n").expect("a head");
    let head = head.replace(&endpoint.address.to_string(), "ADDRESS");
    (head.lines().map(str::to_owned).collect(), body.to_owned())
}

const GRANT: &str = "grant_type=refresh_token&refresh_token=rt%2F1%2B+%C3%A9";

#[tokio::test]
async fn basic_has_its_secret_in_the_head() {
    let (head, body) = sent(ClientAuth::Basic, Some("a:b c%"), Some("read write")).await;
    assert_eq!(body, format!("{GRANT}&scope=read+write"));
    let length = format!("content-length: {}", body.len());
    assert_eq!(
        head,
        [
            "POST /token?tenant=a%20b HTTP/1.1",
            "host: ADDRESS",
            "user-agent: coffer",
            "accept: application/json",
            "content-type: application/x-www-form-urlencoded",
            "connection: close",
            // my%3Aclient:a%3Ab+c%25
            "authorization: Basic bXklM0FjbGllbnQ6YSUzQWIrYyUyNQ==",
            &length,
        ]
    );
}

#[tokio::test]
async fn post_has_it_in_the_body() {
    let (head, body) = sent(ClientAuth::Post, Some("a:b c%"), None).await;
    assert_eq!(
        body,
        format!("{GRANT}&client_id=my%3Aclient&client_secret=a%3Ab+c%25")
    );
    assert!(!head.join("\n").contains("authorization"));
}

#[tokio::test]
async fn a_public_client_says_who_it_is() {
    for auth in [ClientAuth::Basic, ClientAuth::Post] {
        let (head, body) = sent(auth, None, None).await;
        assert_eq!(body, format!("{GRANT}&client_id=my%3Aclient"));
        assert!(!head.join("\n").contains("authorization"));
    }
}
