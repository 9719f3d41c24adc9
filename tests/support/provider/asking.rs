//! One refresh as a client asks for it, without anything of Coffer: what a provider answers by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{Grant, Proof};
use crate::support::client::install_provider;

/// Status and body of a refresh with this token, or nothing when the connection was closed instead.
/// A body that is no JSON is null.
pub async fn refresh(grant: &Grant, refresh_token: &str) -> Option<(u16, Value)> {
    let (authorization, form) = request(grant, refresh_token);
    ask(&grant.token_url, authorization, form).await
}

/// A POST of a form.
pub async fn ask(url: &str, authorization: Option<String>, form: String) -> Option<(u16, Value)> {
    install_provider();
    let client = reqwest::Client::builder().no_proxy().build();
    let request = client.expect("a client").post(url).body(form);
    let mut request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.text().await.expect("a body");
    Some((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

/// The header, id and secret each form-encoded first (RFC 6749, 2.3.1).
pub fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    format!("Basic {}", STANDARD.encode(pair))
}

fn request(grant: &Grant, refresh_token: &str) -> (Option<String>, String) {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token");
    form.append_pair("refresh_token", refresh_token);
    let secret = grant.client_secret.as_deref().unwrap_or_default();
    let mut authorization = None;
    match grant.proof {
        Proof::Basic => authorization = Some(basic(&grant.client_id, secret)),
        Proof::Post => {
            form.append_pair("client_id", &grant.client_id);
            form.append_pair("client_secret", secret);
        }
        Proof::Public => {
            form.append_pair("client_id", &grant.client_id);
        }
    }
    (authorization, form.finish())
}
