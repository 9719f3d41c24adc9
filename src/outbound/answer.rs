//! An answer of a token endpoint, and what it means: tokens, a refusal, a server that is busy, or doubt.
//! What OAuth's own error code says counts; a page of HTML from something in between never revokes anything.
//!
//! Invariant: nothing of the body but a short error code that resembles no secret goes on into a sentence.

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, Response, StatusCode};
use zeroize::Zeroizing;

use super::fields::{Fields, Loose};
use super::{RefreshRequest, form, lifetime, lost, sentence};
use crate::model::{self, Exchange, RefusedClass, TokenAnswer, Ttl, Value};

/// The most bytes of a token.
const TOKEN_BYTES_MAX: usize = model::Fields::VALUE_BYTES_MAX;
/// The most bytes of a granted scope.
const SCOPE_BYTES_MAX: usize = 4096;
/// The most bytes of a token's type.
const TYPE_BYTES_MAX: usize = 64;
/// The longest that a provider's `Retry-After` is heeded.
const RETRY_AFTER_MAX: Ttl = Ttl::days(1);
/// Bytes in a row that a code may share with a secret, at most.
const SHARED_BYTES_MAX: usize = 7;

/// Status, and a body where one is looked at.
pub struct Answer {
    status: StatusCode,
    retry_after: Option<Ttl>,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Reads an answer to its end, or only its head where that says everything.
    pub async fn receive(response: Response<Incoming>, most: usize) -> Result<Self, String> {
        let (head, body) = response.into_parts();
        let is_read = head.status.is_success() || may_refuse(head.status);
        Ok(Self {
            status: head.status,
            retry_after: retry_after(&head.headers),
            body: match is_read {
                true => read(body, most).await?,
                false => Zeroizing::default(),
            },
        })
    }

    /// What it means for this request.
    pub fn outcome(&self, request: &RefreshRequest<'_>) -> Exchange {
        match self.status {
            status if status.is_success() || may_refuse(status) => {}
            // What a gateway had passed on may have been done.
            StatusCode::BAD_GATEWAY => return doubtful("a gateway got none"),
            StatusCode::GATEWAY_TIMEOUT => return doubtful("a gateway did not wait for it"),
            // Cloudflare's own words for the two: empty or broken, unacknowledged, not in time.
            status if matches!(status.as_u16(), 520 | 522 | 524) => {
                return doubtful("a gateway got none, or did not wait for it");
            }
            _ => return self.busy("no answer that OAuth knows"),
        }
        let Some(fields) = Fields::parse(&self.body) else {
            return match self.status.is_success() {
                true => doubtful("it is no JSON object"),
                false => self.busy("a refusal without an OAuth error"),
            };
        };
        if fields.is_ambiguous {
            return doubtful("it has a key twice");
        }
        let has_token = fields.access_token.text().is_some();
        let is_refused = fields.error.text().is_some() || matches!(fields.ok, Loose::Bool(false));
        match (self.status.is_success(), has_token, is_refused) {
            (true, true, false) => tokens(fields, request),
            (true, false, false) => doubtful("it holds no access token"),
            (_, true, _) => doubtful("it holds an access token and refuses"),
            (_, false, _) => self.refused(&fields, request),
        }
    }

    fn refused(&self, fields: &Fields, request: &RefreshRequest<'_>) -> Exchange {
        let Some(code) = fields.error.text() else {
            return self.busy("a refusal without an OAuth error");
        };
        if let Some((class, code)) = RefusedClass::of_code(code) {
            let code = code.to_owned();
            return Exchange::Refused { class, code };
        }
        let shown = request.client_secret.into_iter().map(form::bytes);
        let shown = shown.chain([form::bytes(request.refresh_token)]);
        let given = fields.refresh_token.text().map(str::as_bytes);
        match is_plain(code) && !shown.chain(given).any(|secret| resembles(code, secret)) {
            true => self.busy(&format!("the error {code}")),
            false => self.busy("an error of no known form"),
        }
    }

    fn busy(&self, what: &str) -> Exchange {
        let what = format!("{what}, with status {}", self.status.as_u16());
        Exchange::Busy {
            why: sentence("The token endpoint gave no tokens", &what),
            retry_after: self.retry_after,
        }
    }
}

/// Statuses that refuse, if the body says so in OAuth's words.
fn may_refuse(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    )
}

fn tokens(fields: Fields, request: &RefreshRequest<'_>) -> Exchange {
    let (lifetime, lifetime_from) = lifetime::find(&fields, request.now);
    let token_type = fields.token_type.text().filter(|text| is_plain(text));
    let token_type = token_type.unwrap_or("Bearer").to_owned();
    let scope = fields.scope.words().filter(|text| {
        let is_printable = |byte: u8| matches!(byte, b' '..=b'~');
        text.len() <= SCOPE_BYTES_MAX && text.bytes().all(is_printable)
    });
    let Some(access_token) = fields.access_token.into_text() else {
        return doubtful("it holds no access token");
    };
    let refresh_token = fields.refresh_token.into_text();
    let longest = refresh_token.as_ref().map_or(0, |token| token.len());
    if longest.max(access_token.len()) > TOKEN_BYTES_MAX {
        return doubtful("it holds a token of more than 64 KiB");
    }
    Exchange::Tokens(TokenAnswer {
        access_token: Value::text(access_token),
        refresh_token: refresh_token.map(Value::text),
        token_type,
        scope,
        lifetime,
        lifetime_from,
    })
}

fn doubtful(why: &str) -> Exchange {
    Exchange::Doubtful {
        why: sentence("The answer of the token endpoint cannot be used", why),
    }
}

/// Whether it is a word that can be shown: a code or a type.
fn is_plain(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=TYPE_BYTES_MAX.min(Exchange::CODE_BYTES_MAX)).contains(&text.len())
        && text.bytes().all(known)
}

/// Whether a code repeats a secret or a stretch of one.
fn resembles(code: &str, secret: &[u8]) -> bool {
    let length = secret.len().clamp(1, SHARED_BYTES_MAX + 1);
    let mut stretches = secret.windows(length);
    stretches.any(|stretch| code.as_bytes().windows(length).any(|own| own == stretch))
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3); a date is not heeded.
fn retry_after(headers: &HeaderMap) -> Option<Ttl> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| {
        let seconds = text.parse().map_or(RETRY_AFTER_MAX, Ttl::seconds);
        seconds.min(RETRY_AFTER_MAX)
    })
}

/// A body into one buffer that never grows.
async fn read(mut body: Incoming, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let told = body.size_hint().upper().unwrap_or(u64::MAX);
    let told = usize::try_from(told).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(told.min(most)));
    while let Some(frame) = body.frame().await {
        let Ok(mut part) = frame.map_err(lost)?.into_data() else {
            continue;
        };
        if part.remaining() > most - bytes.len() {
            return Err("it is too long".to_owned());
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            bytes.extend_from_slice(chunk);
            part.advance(chunk.len());
        }
    }
    Ok(bytes)
}

#[cfg(any(test, fuzzing))]
#[path = "fuzzing.rs"]
pub(crate) mod fuzzing;
#[cfg(test)]
#[path = "properties.rs"]
mod properties;
