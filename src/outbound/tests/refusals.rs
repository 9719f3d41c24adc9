//! What is not called without an exception: addresses that are not public, by whatever spelling or name, and plain http.

use super::*;

const REFUSED: &str = "not sent: The token endpoint was not asked: its host is at an address that is not public and that outbound.allow does not name.";

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Endpoint::saying(http("200 OK", TOKENS)).await;
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let url = other.url();
        let answer = format!("HTTP/1.1 {status}\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n");
        let endpoint = Endpoint::saying(answer).await;
        let outbound = outbound(&["127.0.0.1"]);
        let found = said(&refresh(&outbound, &endpoint.url()).await);
        let why = format!(
            "busy: The token endpoint gave no tokens: no answer that OAuth knows, with status {}.",
            &status[..3]
        );
        assert_eq!(found, why);
        assert_eq!((endpoint.hits(), other.hits()), (1, 0));
    }
}

#[tokio::test]
async fn an_address_is_checked_as_it_is_written() {
    let endpoint = Endpoint::saying(http("200 OK", TOKENS)).await;
    let port = endpoint.address.port();
    for host in [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/token");
            assert_eq!(said(&refresh(&outbound(&[]), &url).await), REFUSED, "{url}");
        }
    }
    assert_eq!(endpoint.hits(), 0);
}

#[tokio::test]
async fn a_decimal_address_is_no_url() {
    for url in [
        "https://2130706433/token",
        "http://0x7f.1/token",
        "http://017700000001/token",
    ] {
        let refused = url.parse::<TokenUrl>().expect_err(url);
        assert!(refused.contains("canonical form"), "{refused}");
    }
}

#[tokio::test]
async fn a_name_is_where_it_resolves_to() {
    let endpoint = Endpoint::saying(http("200 OK", TOKENS)).await;
    let port = endpoint.address.port();
    let good: SocketAddr = "93.184.216.34:443".parse().expect("an address");
    for address in [
        "127.0.0.1",
        "10.0.0.7",
        "192.168.0.7",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:7",
        "fe80::1",
        "fd00::1",
    ] {
        let bad = SocketAddr::new(address.parse().expect("an address"), port);
        let url = format!("https://idp.example:{port}/token");
        for answers in [&[bad][..], &[good, bad], &[bad, good], &[good, bad, good]] {
            let outbound = resolving(&[], &[answers]);
            let found = said(&refresh(&outbound, &url).await);
            assert_eq!(found, REFUSED, "{answers:?}");
        }
    }
    assert_eq!(endpoint.hits(), 0);
}

/// The second answer is the attack: the first is checked, the second would be connected to.
#[tokio::test]
async fn a_name_that_changes_after_the_check_changes_nothing() {
    // Nothing else is bound to 127.0.0.4, so that the port is free there too.
    let checked = Endpoint::at("127.0.0.2:0", Then::Say(http("200 OK", TOKENS).into())).await;
    let port = checked.address.port();
    let trap = Endpoint::at(&format!("127.0.0.4:{port}"), Then::Close).await;
    let answers: [&[SocketAddr]; 3] = [&[checked.address], &[trap.address], &[trap.address]];
    let outbound = resolving(&["127.0.0.2"], &answers);
    let url = format!("http://idp.example:{port}/token");
    let found = said(&refresh(&outbound, &url).await);
    assert_eq!(found, "tokens at-1 rt-2");
    assert_eq!((checked.hits(), trap.hits()), (1, 0));
    assert_eq!(answers_left(&outbound), 2);
    // The next call looks it up again, and is refused.
    assert_eq!(said(&refresh(&outbound, &url).await), REFUSED);
    assert_eq!((checked.hits(), trap.hits()), (1, 0));
}

#[tokio::test]
async fn plain_http_is_refused_but_to_an_origin_that_is_named() {
    let endpoint = Endpoint::saying(http("200 OK", TOKENS)).await;
    let port = endpoint.address.port();
    let public: SocketAddr = "93.184.216.34:80".parse().expect("an address");
    let found = refresh(&resolving(&[], &[&[public]]), "http://idp.example/token").await;
    assert_eq!(
        said(&found),
        "not sent: The token endpoint was not asked: it is plain http to an origin that outbound.allow does not name."
    );
    let (origin, url) = (
        format!("http://idp.example:{port}"),
        format!("http://idp.example:{port}/token"),
    );
    for (allow, is_called) in [
        (origin.as_str(), true),
        ("idp.example", true),
        ("127.0.0.0/8", true),
        ("http://idp.example", false),
        ("http://other.example", false),
        ("10.0.0.0/8", false),
    ] {
        let before = endpoint.hits();
        let outbound = resolving(&[allow], &[&[endpoint.address]]);
        let found = said(&refresh(&outbound, &url).await);
        assert_eq!(found == "tokens at-1 rt-2", is_called, "{allow}: {found}");
        assert_eq!(endpoint.hits() - before, usize::from(is_called), "{allow}");
    }
    let dev = config::Outbound {
        loopback: true,
        ..config::Outbound::default()
    };
    let outbound = Outbound::new(&dev).expect("an outbound");
    let found = said(&refresh(&outbound, &endpoint.url()).await);
    assert_eq!(found, "tokens at-1 rt-2");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_was_not_asked() {
    let closed = TcpListener::bind("127.0.0.5:0").await.expect("a free port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let outbound = resolving(&["127.0.0.5"], &[&[], &[address]]);
    let url = format!("http://idp.example:{}/token", address.port());
    let next = async || said(&refresh(&outbound, &url).await);
    let asked = "not sent: The token endpoint was not asked: its host";
    assert_eq!(next().await, format!("{asked} has no address."));
    let refused = next().await;
    assert!(
        refused.starts_with(&format!("{asked} cannot be connected to: ")),
        "{refused}"
    );
    let unknown = next().await;
    assert_eq!(
        unknown,
        format!("{asked} cannot be looked up: no answer is left.")
    );
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let endpoint = Endpoint::at("127.0.0.2:0", Then::Say(http("200 OK", TOKENS).into())).await;
    let port = endpoint.address.port();
    let closed = SocketAddr::new([127, 0, 0, 3].into(), port);
    let outbound = resolving(&["127.0.0.0/8"], &[&[closed, endpoint.address]]);
    let url = format!("http://idp.example:{port}/token");
    assert_eq!(said(&refresh(&outbound, &url).await), "tokens at-1 rt-2");
}
