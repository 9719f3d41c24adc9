//! What an exchange at a token endpoint may come to, in words that every layer shares.
//! Each outcome says what may be done next: whether to try again, whom to ask, and what is not known.
//!
//! Invariant: what can be printed here holds no token, no secret and no part of an answer's body beyond its error code.

use serde::{Deserialize, Serialize};

use super::{Ttl, Value};

/// How a client proves who it is (RFC 6749, 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// HTTP Basic, the id and the secret each form-encoded first.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
}

/// Where an access token's lifetime was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifetimeSource {
    /// `expires_in` of the answer.
    ExpiresIn,
    /// `expires_at` of the answer.
    ExpiresAt,
    /// `exp` of a token that looks like a JWT; not verified, a hint.
    JwtExp,
    /// In an earlier answer: this one did not say.
    Earlier,
    /// Nowhere: it is not known.
    None,
}

/// The tokens of one answer.
pub struct TokenAnswer {
    /// The access token, not empty, at most 64 KiB.
    pub access_token: Value,
    /// The new refresh token; without one the old one goes on.
    pub refresh_token: Option<Value>,
    /// `Bearer` unless the answer says otherwise; at most 64 printable bytes.
    pub token_type: String,
    /// What was granted, separated by spaces, when the answer says it; at most 4 KiB.
    pub scope: Option<String>,
    /// How long the access token lives, from when the request was sent.
    pub lifetime: Option<Ttl>,
    /// Where that was read.
    pub lifetime_from: LifetimeSource,
}

/// What a refusal is about, and so who can mend it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedClass {
    /// The refresh token is not taken: this connection has to be made anew.
    Grant,
    /// The client is not known by this secret, or may not do this: its connections are as good as before.
    Client,
    /// The user has to agree again.
    Consent,
}

/// What became of one exchange.
pub enum Exchange {
    /// Tokens were given.
    Tokens(TokenAnswer),
    /// The provider refused in OAuth's own words.
    Refused {
        /// What it is about.
        class: RefusedClass,
        /// The code, `invalid_grant`; at most [`Exchange::CODE_BYTES_MAX`].
        code: String,
    },
    /// No byte of the request left: trying again is safe.
    NotSent {
        /// One sentence, at most [`Exchange::WHY_BYTES_MAX`].
        why: String,
    },
    /// The provider answered, and it was neither tokens nor a refusal: trying again later is safe.
    Busy {
        /// One sentence, at most [`Exchange::WHY_BYTES_MAX`].
        why: String,
        /// How long it asked us to wait, at most a day.
        retry_after: Option<Ttl>,
    },
    /// The request may have been carried out, and its answer is lost: the refresh token may be spent.
    Doubtful {
        /// One sentence, at most [`Exchange::WHY_BYTES_MAX`].
        why: String,
    },
}

impl Exchange {
    /// The most bytes of a code.
    pub const CODE_BYTES_MAX: usize = 64;
    /// The most bytes of a sentence that says why.
    pub const WHY_BYTES_MAX: usize = 200;
}

impl RefusedClass {
    /// What an OAuth error code is about, with the code; `None` for one that says nothing of grant, client or consent.
    pub fn of_code(code: &str) -> Option<(Self, &'static str)> {
        CODES
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(known, class)| (*class, *known))
    }
}

/// RFC 6749, 5.2 and 4.1.2.1; OpenID Connect Core, 3.1.2.6.
const CODES: [(&str, RefusedClass); 7] = [
    ("invalid_grant", RefusedClass::Grant),
    ("invalid_client", RefusedClass::Client),
    ("unauthorized_client", RefusedClass::Client),
    ("invalid_scope", RefusedClass::Consent),
    ("consent_required", RefusedClass::Consent),
    ("interaction_required", RefusedClass::Consent),
    ("access_denied", RefusedClass::Consent),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_exact_and_fit() {
        assert_eq!(
            RefusedClass::of_code("invalid_grant"),
            Some((RefusedClass::Grant, "invalid_grant"))
        );
        for unknown in ["", "Invalid_Grant", "invalid_grant ", "server_error"] {
            assert_eq!(RefusedClass::of_code(unknown), None, "{unknown}");
        }
        assert!(
            CODES
                .iter()
                .all(|(code, _)| code.len() <= Exchange::CODE_BYTES_MAX)
        );
        assert_eq!(
            serde_json::to_string(&ClientAuth::Post).ok(),
            Some("\"post\"".to_owned())
        );
        let source = serde_json::to_string(&LifetimeSource::JwtExp).ok();
        assert_eq!(source, Some("\"jwt-exp\"".to_owned()));
    }
}
