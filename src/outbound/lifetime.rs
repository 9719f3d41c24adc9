//! How long an access token lives, by the first that says so: `expires_in`, `expires_at`, the `exp` of a JWT.
//! A token is not verified for it: it is the provider's to check, and a wrong hint costs a refresh too many.
//!
//! Invariant: a lifetime is at least a second and at most [`Ttl::MAX`]; what is zero, negative or past says nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::fields::{Fields, Loose};
use crate::model::{LifetimeSource, Timestamp, Ttl};

/// From here on an instant is in milliseconds: in seconds it would be in the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// The lifetime, and where it was read.
pub fn find(fields: &Fields, now: Timestamp) -> (Option<Ttl>, LifetimeSource) {
    let now = now.micros() as f64 / 1e6;
    let until = |at: f64| span(at - now);
    let steps = [
        (
            fields.expires_in.number().and_then(span),
            LifetimeSource::ExpiresIn,
        ),
        (
            instant(&fields.expires_at).and_then(until),
            LifetimeSource::ExpiresAt,
        ),
        (
            fields.access_token.text().and_then(exp).and_then(until),
            LifetimeSource::JwtExp,
        ),
    ];
    let mut said = steps.into_iter().filter(|(lifetime, _)| lifetime.is_some());
    said.next().unwrap_or((None, LifetimeSource::None))
}

fn span(seconds: f64) -> Option<Ttl> {
    (seconds >= 1.0).then(|| Ttl::seconds(seconds as u64).min(Ttl::MAX))
}

/// Seconds since 1970, of a number of seconds or milliseconds or of RFC 3339.
fn instant(value: &Loose) -> Option<f64> {
    if let Some(number) = value.number() {
        return Some(if number >= MILLISECONDS_FROM {
            number / 1000.0
        } else {
            number
        });
    }
    let at = OffsetDateTime::parse(value.text()?, &Rfc3339).ok()?;
    Some(at.unix_timestamp() as f64)
}

/// The claim `exp` (RFC 7519, 4.1.4) of what looks like a signed JWT.
fn exp(token: &str) -> Option<f64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Loose,
    }
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let mut bytes = Zeroizing::new(vec![0; claims.len()]);
    let length = URL_SAFE_NO_PAD.decode_slice(claims, &mut bytes).ok()?;
    match serde_json::from_slice::<Claims>(&bytes[..length]).ok()?.exp {
        Loose::Number(at) => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answer: &str) -> (Option<u64>, LifetimeSource) {
        let fields = Fields::parse(answer.as_bytes()).expect("an object");
        let now = Timestamp::from_micros(1_000_000 * 1_700_000_000);
        let (lifetime, from) = find(&fields, now);
        (lifetime.map(Ttl::as_seconds), from)
    }

    #[test]
    fn the_first_that_says_so_counts() {
        use LifetimeSource::{ExpiresAt, ExpiresIn, JwtExp, None as Unknown};
        let jwt = |claims: &str| {
            let claims = URL_SAFE_NO_PAD.encode(claims);
            format!(r#"{{"access_token":"e30.{claims}.c2ln"}}"#)
        };
        for (answer, lifetime, from) in [
            (r#"{"expires_in":3600}"#, Some(3600), ExpiresIn),
            (r#"{"expires_in":3600.9}"#, Some(3600), ExpiresIn),
            (r#"{"expires_in":"3600"}"#, Some(3600), ExpiresIn),
            (
                r#"{"expires_in":3600,"expires_at":1700000001}"#,
                Some(3600),
                ExpiresIn,
            ),
            (
                r#"{"expires_in":1e300}"#,
                Some(Ttl::MAX.as_seconds()),
                ExpiresIn,
            ),
            (r#"{"expires_in":0}"#, None, Unknown),
            (r#"{"expires_in":-5}"#, None, Unknown),
            (r#"{"expires_in":"soon"}"#, None, Unknown),
            (r#"{"expires_in":""}"#, None, Unknown),
            (r#"{"expires_in":true}"#, None, Unknown),
            (
                r#"{"expires_in":0,"expires_at":1700000060}"#,
                Some(60),
                ExpiresAt,
            ),
            (r#"{"expires_at":"1700000060"}"#, Some(60), ExpiresAt),
            (r#"{"expires_at":1700000060000}"#, Some(60), ExpiresAt),
            (
                r#"{"expires_at":"2023-11-14T22:14:20Z"}"#,
                Some(60),
                ExpiresAt,
            ),
            (
                r#"{"expires_at":"2023-11-14T23:14:20.5+01:00"}"#,
                Some(60),
                ExpiresAt,
            ),
            (r#"{"expires_at":1699999999}"#, None, Unknown),
            (&jwt(r#"{"exp":1700000060,"sub":"x"}"#), Some(60), JwtExp),
            (&jwt(r#"{"exp":1600000000}"#), None, Unknown),
            (&jwt(r#"{"exp":"1700000060"}"#), None, Unknown),
            (&jwt("no claims"), None, Unknown),
            (r#"{"access_token":"a.b"}"#, None, Unknown),
            (r#"{"access_token":"a.b.c.d"}"#, None, Unknown),
            ("{}", None, Unknown),
        ] {
            assert_eq!(found(answer), (lifetime, from), "{answer}");
        }
    }
}
