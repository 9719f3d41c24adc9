//! What happens at the limits of size and time, and when an answer is cut.

use super::*;

const LOST: &str = "doubtful: The answer of the token endpoint is lost";

fn limited(limits: Limits) -> Outbound {
    Outbound::with(&rules(&["127.0.0.1"]), Resolver::System, limits).expect("an outbound")
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let body = |length: usize| {
        let filler = " ".repeat(length - r#"{"access_token":"t"}"#.len());
        format!(r#"{filler}{{"access_token":"t"}}"#)
    };
    let most = Limits::STANDING.body_bytes;
    let outbound = limited(Limits::STANDING);
    let whole = Endpoint::saying(http("200 OK", &body(most))).await;
    assert_eq!(said(&refresh(&outbound, &whole.url()).await), "tokens t -");
    let longer = body(most + 1);
    let unlabelled = format!("HTTP/1.1 200 OK\r\n\r\n{longer}");
    for answer in [http("200 OK", &longer), unlabelled] {
        let endpoint = Endpoint::saying(answer).await;
        let found = said(&refresh(&outbound, &endpoint.url()).await);
        assert_eq!(found, format!("{LOST}: it is too long."));
    }
}

#[tokio::test]
async fn a_head_has_a_limit() {
    let outbound = limited(Limits::STANDING);
    let long = format!("X: {}\r\n", "x".repeat(4 * HEAD_BYTES_MAX));
    let many = "X: x\r\n".repeat(HEADERS_MAX + 1);
    for headers in [long, many] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n");
        let endpoint = Endpoint::saying(answer).await;
        let found = said(&refresh(&outbound, &endpoint.url()).await);
        let why = "what came is not HTTP, or its head is too long";
        assert_eq!(found, format!("{LOST}: {why}."));
    }
}

#[tokio::test]
async fn what_is_cut_is_doubtful() {
    let outbound = limited(Limits::STANDING);
    let whole = http("200 OK", TOKENS);
    for (then, why) in [
        (Then::Close, "the connection was closed too early"),
        (
            Then::Say(whole[..whole.len() - 9].into()),
            "the connection was closed too early",
        ),
        (
            Then::Say(whole[..20].into()),
            "the connection was closed too early",
        ),
        (
            Then::Say(b"SSH-2.0-x\r\n\r\n".to_vec()),
            "what came is not HTTP, or its head is too long",
        ),
    ] {
        let endpoint = Endpoint::at("127.0.0.1:0", then).await;
        let found = said(&refresh(&outbound, &endpoint.url()).await);
        assert!(found.starts_with(LOST), "{found}");
        assert!(
            found.contains(why) || found.contains("the connection broke"),
            "{found}"
        );
        assert_eq!(endpoint.hits(), 1);
    }
}

/// The time stands still until the request has arrived, and then runs to the limit at once.
#[tokio::test]
async fn an_answer_that_does_not_come_is_doubtful() {
    let whole = http("200 OK", TOKENS);
    for begun in [&whole[..0], &whole[..20], &whole[..whole.len() - 9]] {
        let silent = Endpoint::at("127.0.0.1:0", Then::Stall(begun.into())).await;
        let outbound = limited(Limits::STANDING);
        let url = silent.url();
        let arrived = async {
            while silent.heard().is_empty() {
                tokio::task::yield_now().await;
            }
            tokio::time::pause();
        };
        let (found, ()) = tokio::join!(refresh(&outbound, &url), arrived);
        tokio::time::resume();
        assert_eq!(said(&found), format!("{LOST}: it took too long."));
        assert!(silent.heard().contains("refresh_token=rt-1"));
        assert_eq!(silent.hits(), 1);
    }
}

/// A handshake that does not end: no byte of the request has left, so trying again is safe.
#[tokio::test]
async fn a_handshake_that_does_not_end_was_not_sent() {
    let silent = Endpoint::at("127.0.0.1:0", Then::Stall(Vec::new())).await;
    let url = silent.url().replace("http:", "https:");
    let (_directory, ca_file) = super::tls::authority_file();
    let rules = config::Outbound {
        ca_file: Some(ca_file),
        ..rules(&["127.0.0.1"])
    };
    for (limits, why) in [
        (
            Limits {
                handshake: Duration::from_millis(100),
                ..Limits::STANDING
            },
            "its TLS handshake was not done in time",
        ),
        (
            Limits {
                call: Duration::from_millis(100),
                ..Limits::STANDING
            },
            "it took too long",
        ),
    ] {
        let outbound = Outbound::with(&rules, Resolver::System, limits).expect("an outbound");
        let found = said(&refresh(&outbound, &url).await);
        assert_eq!(
            found,
            format!("not sent: The token endpoint was not asked: {why}.")
        );
    }
}

/// A process that was stopped on the way, however far it had come, sends nothing when it goes on.
#[tokio::test]
async fn what_would_leave_too_late_does_not_leave() {
    let endpoint = Endpoint::saying(http("200 OK", TOKENS)).await;
    let outbound = limited(Limits::STANDING);
    let found = said(&refresh_by(&outbound, &endpoint.url(), Instant::now()).await);
    assert_eq!(
        found,
        "not sent: The token endpoint was not asked: the server stood still, or its way there was too long."
    );
    assert_eq!(endpoint.heard(), "");
}

#[test]
fn what_is_said_is_short_and_printable() {
    let text = sentence(
        "The token endpoint was not asked",
        &"\n\u{e9}\u{1b}".repeat(500),
    );
    assert!(text.len() <= Exchange::WHY_BYTES_MAX && text.ends_with("??."));
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let longest = "The answer of the token endpoint cannot be used";
    assert!(longest.len() + 3 <= 50);
}
