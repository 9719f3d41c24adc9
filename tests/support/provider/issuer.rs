//! What a strict authorisation server holds to: who a client is, what a refresh token is worth, and when a family ends.
//! RFC 6749, 2.3.1 and 6; a spent refresh token ends everything that came of its grant (RFC 9700, 4.14.2).
//!
//! Invariant: a refresh token that was exchanged for another is never taken again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coffer::model::{Timestamp, Ttl};
use url::form_urlencoded;

use crate::support::left;

/// What every grant is for.
pub const SCOPE: &str = "invoices:read invoices:write";

/// How a client has to prove who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// In the `Authorization` header, and nowhere else.
    Basic,
    /// In the body, and nowhere else.
    Post,
    /// A public client says its id in the body.
    Public,
}

/// An error code of RFC 6749, 5.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    UnsupportedGrantType,
}

impl Refusal {
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }
}

/// A client and its grant, as they are given to whoever refreshes.
#[derive(Clone, Debug)]
pub struct Issued {
    pub client_id: String,
    pub client_secret: Option<String>,
    pub refresh_token: String,
}

/// The tokens of one accepted refresh.
#[derive(Debug)]
pub struct Tokens {
    pub access_token: String,
    /// Nothing when the old one goes on.
    pub refresh_token: Option<String>,
    pub scope: String,
}

/// Everything that was ever issued.
#[derive(Default)]
pub struct Issuer {
    clients: HashMap<String, Client>,
    refresh_tokens: HashMap<String, RefreshToken>,
    access_tokens: HashMap<String, AccessToken>,
    ended: BTreeSet<String>,
    refreshes: u64,
    reuses: u64,
}

/// Each client has one grant, so its id names the family.
struct Client {
    proof: Proof,
    secret: Option<String>,
}

struct RefreshToken {
    client_id: String,
    spent: bool,
}

struct AccessToken {
    client_id: String,
    expires_at: Timestamp,
}

impl Issuer {
    /// A new client with a grant.
    pub fn issue(&mut self, proof: Proof) -> Issued {
        let client_id = unique("client");
        // Every sign that has to be encoded on its way.
        let secret = (proof != Proof::Public).then(|| unique("secret +/=&%:\u{e9}"));
        let client = Client {
            proof,
            secret: secret.clone(),
        };
        self.clients.insert(client_id.clone(), client);
        Issued {
            refresh_token: self.new_refresh_token(&client_id),
            client_id,
            client_secret: secret,
        }
    }

    /// What a request is answered, given its `Authorization` and its form.
    pub fn refresh(
        &mut self,
        authorization: Option<&str>,
        form: &[u8],
        (now, lifetime): (Timestamp, Ttl),
        rotates: bool,
    ) -> Result<Tokens, Refusal> {
        let form = fields(form)?;
        let client_id = self.client(authorization, &form)?;
        match form.get("grant_type").map(String::as_str) {
            Some("refresh_token") => {}
            Some(_) => return Err(Refusal::UnsupportedGrantType),
            None => return Err(Refusal::InvalidRequest),
        }
        let shown = form.get("refresh_token").ok_or(Refusal::InvalidRequest)?;
        self.check_grant(&client_id, shown)?;
        let scope = form.get("scope").map_or(SCOPE, String::as_str);
        let granted: BTreeSet<&str> = SCOPE.split(' ').collect();
        if !scope.split(' ').all(|one| granted.contains(one)) {
            return Err(Refusal::InvalidScope);
        }
        if rotates && let Some(token) = self.refresh_tokens.get_mut(shown) {
            token.spent = true;
        }
        self.refreshes += 1;
        let access_token = unique("access-token");
        let token = AccessToken {
            client_id: client_id.clone(),
            expires_at: now.after(lifetime),
        };
        self.access_tokens.insert(access_token.clone(), token);
        Ok(Tokens {
            access_token,
            refresh_token: rotates.then(|| self.new_refresh_token(&client_id)),
            scope: scope.to_owned(),
        })
    }

    /// Whether an access token may be used.
    pub fn accepts(&self, access_token: &str, now: Timestamp) -> bool {
        let token = self.access_tokens.get(access_token);
        token.is_some_and(|token| token.expires_at > now && self.lives(&token.client_id))
    }

    /// Whether a client's grant has not ended.
    pub fn lives(&self, client_id: &str) -> bool {
        !self.ended.contains(client_id)
    }

    /// Ends a client's grant, as its user does.
    pub fn end(&mut self, client_id: &str) {
        self.ended.insert(client_id.to_owned());
    }

    /// Accepted refreshes.
    pub const fn refreshes(&self) -> u64 {
        self.refreshes
    }

    /// How often a spent refresh token was shown.
    pub const fn reuses(&self) -> u64 {
        self.reuses
    }

    /// Every token and every client's secret that was ever given.
    pub fn secrets(&self) -> Vec<String> {
        let of_clients = self.clients.values().flat_map(|client| &client.secret);
        let tokens = self.refresh_tokens.keys().chain(self.access_tokens.keys());
        of_clients.chain(tokens).cloned().collect()
    }

    /// Who asks, proven in the one way that this client has.
    fn client(
        &self,
        authorization: Option<&str>,
        form: &HashMap<String, String>,
    ) -> Result<String, Refusal> {
        let in_body = (form.get("client_id"), form.get("client_secret"));
        let (proof, id, secret) = match (authorization, in_body) {
            (Some(header), (id, None)) => {
                let (shown, secret) = basic(header).ok_or(Refusal::InvalidClient)?;
                if id.is_some_and(|id| *id != shown) {
                    return Err(Refusal::InvalidClient);
                }
                (Proof::Basic, shown, Some(secret))
            }
            // More than one way at once (RFC 6749, 2.3).
            (Some(_), (_, Some(_))) => return Err(Refusal::InvalidRequest),
            (None, (Some(id), Some(secret))) => (Proof::Post, id.clone(), Some(secret.clone())),
            (None, (Some(id), None)) => (Proof::Public, id.clone(), None),
            (None, (None, _)) => return Err(Refusal::InvalidClient),
        };
        let client = self.clients.get(&id).ok_or(Refusal::InvalidClient)?;
        match client.proof == proof && client.secret == secret {
            true => Ok(id),
            false => Err(Refusal::InvalidClient),
        }
    }

    /// Lets a living token of this client pass; a spent one ends its family.
    fn check_grant(&mut self, client_id: &str, shown: &str) -> Result<(), Refusal> {
        let token = self.refresh_tokens.get(shown);
        let token = token.filter(|token| token.client_id == client_id);
        let spent = token.ok_or(Refusal::InvalidGrant)?.spent;
        if spent {
            self.reuses += 1;
            self.end(client_id);
        }
        match self.lives(client_id) {
            true => Ok(()),
            false => Err(Refusal::InvalidGrant),
        }
    }

    fn new_refresh_token(&mut self, client_id: &str) -> String {
        let text = unique("refresh-token");
        let token = RefreshToken {
            client_id: client_id.to_owned(),
            spent: false,
        };
        self.refresh_tokens.insert(text.clone(), token);
        text
    }
}

/// A text that no other provider of this run gives.
fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let text = format!("{what}-{}-{number:08}", std::process::id());
    if what != "client" {
        left::secret(what, text.as_bytes());
    }
    text
}

/// A form, each name at most once.
fn fields(form: &[u8]) -> Result<HashMap<String, String>, Refusal> {
    let mut fields = HashMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        let before = fields.insert(name.into_owned(), value.into_owned());
        if before.is_some() {
            return Err(Refusal::InvalidRequest);
        }
    }
    Ok(fields)
}

/// Id and secret of a Basic header, each form-encoded before they were joined.
fn basic(header: &str) -> Option<(String, String)> {
    let pair = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |text: &str| {
        let pair = format!("x={text}");
        let mut pairs = form_urlencoded::parse(pair.as_bytes());
        let (_, value) = pairs.next()?;
        pairs.next().is_none().then(|| value.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}
