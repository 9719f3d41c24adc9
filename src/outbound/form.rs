//! The request of a refresh: a form, and the client's proof beside it or within it.
//! RFC 6749, 6 and 2.3.1: in Basic too, id and secret are form-encoded before they are put together.
//!
//! Invariant: a buffer of ours that holds a secret has its full size from the start and wipes itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request};
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::RefreshRequest;
use crate::model::{ClientAuth, Value};

/// Some providers refuse a request that does not say who asks.
const USER_AGENT: &str = "coffer";

/// The request, or a clause that says why there is none.
pub fn request(of: &RefreshRequest<'_>) -> Result<Request<Full<Bytes>>, &'static str> {
    let basic = match (of.auth, of.client_secret) {
        (ClientAuth::Basic, Some(secret)) => Some(basic(of.client_id, bytes(secret))?),
        // A client without a secret says its id in the body (RFC 6749, 3.2.1).
        (ClientAuth::Basic | ClientAuth::Post, _) => None,
    };
    let body = body(of, basic.is_some());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(of.url.target())
        .header(header::HOST, of.url.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::CONNECTION, "close");
    if let Some(basic) = basic {
        request = request.header(header::AUTHORIZATION, basic);
    }
    let body = Full::new(Bytes::from_owner(body));
    request
        .body(body)
        .map_err(|_| "its path is none that HTTP can ask for")
}

pub(super) fn body(of: &RefreshRequest<'_>, is_basic: bool) -> Zeroizing<Vec<u8>> {
    let mut pairs: Vec<(&str, &[u8])> = vec![
        ("grant_type", b"refresh_token"),
        ("refresh_token", bytes(of.refresh_token)),
    ];
    if let Some(scope) = of.scope {
        pairs.push(("scope", scope.as_bytes()));
    }
    if !is_basic {
        pairs.push(("client_id", of.client_id.as_bytes()));
        if let Some(secret) = of.client_secret {
            pairs.push(("client_secret", bytes(secret)));
        }
    }
    // A byte becomes three at most.
    let most = |(name, value): &(&str, &[u8])| name.len() + 2 + 3 * value.len();
    let mut body = Zeroizing::new(Vec::with_capacity(pairs.iter().map(most).sum()));
    for (name, value) in pairs {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        encode(&mut body, value);
    }
    body
}

fn basic(id: &str, secret: &[u8]) -> Result<HeaderValue, &'static str> {
    let mut pair = Zeroizing::new(Vec::with_capacity(3 * (id.len() + secret.len()) + 1));
    encode(&mut pair, id.as_bytes());
    pair.push(b':');
    encode(&mut pair, secret);
    let scheme = b"Basic ";
    let mut text = Zeroizing::new(vec![0; scheme.len() + pair.len().div_ceil(3) * 4]);
    text[..scheme.len()].copy_from_slice(scheme);
    STANDARD
        .encode_slice(&*pair, &mut text[scheme.len()..])
        .expect("three bytes are four digits");
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .map_err(|_| "its client's secret cannot be put into a header")?;
    value.set_sensitive(true);
    Ok(value)
}

/// `application/x-www-form-urlencoded` (WHATWG URL, 5.2).
fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    for part in byte_serialize(bytes) {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The one place where this module opens what it sends.
pub fn bytes(value: &Value) -> &[u8] {
    value.expose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(header: &HeaderValue) -> String {
        let text = header.to_str().expect("text").strip_prefix("Basic ");
        let bytes = STANDARD.decode(text.expect("its scheme")).expect("base64");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn basic_encodes_before_it_joins() {
        let header = basic("id:with colon", "p+s/w&r=d%\u{e9} *-._~".as_bytes()).expect("a header");
        assert_eq!(
            decoded(&header),
            "id%3Awith+colon:p%2Bs%2Fw%26r%3Dd%25%C3%A9+*-._%7E"
        );
        assert!(header.is_sensitive() && !format!("{header:?}").contains("Basic"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(id in ".{0,16}", secret in ".{0,16}") {
            let text = decoded(&basic(&id, secret.as_bytes()).expect("a header"));
            let (one, two) = text.split_once(':').expect("a colon");
            let read = |text: &str| {
                let pair = format!("x={text}");
                url::form_urlencoded::parse(pair.as_bytes()).next().expect("a pair").1.into_owned()
            };
            prop_assert_eq!((read(one), read(two)), (id, secret));
        }
    }
}
