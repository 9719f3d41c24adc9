//! The URL of a request, built part by part. Everything that a name may hold and a URL may carry stands as it is; the
//! rest is percent-encoded once, since the server decodes once.
//!
//! Invariant: no part can end its own segment or begin a query.

use crate::names::{Connection, Environment, Secret};
use coffer_api::API_ROOT;
use std::fmt::Write;

/// Path and query below the server's address.
#[derive(Clone, Debug)]
pub struct Route(String);

impl Route {
    /// `/api/v1/{verb}`.
    pub fn new(verb: &str) -> Self {
        Self(format!("{API_ROOT}/{verb}"))
    }

    /// `/api/v1/{verb}/{p}/{e}`.
    pub fn of_environment(verb: &str, environment: &Environment) -> Self {
        Self::new(verb)
            .part(&environment.project)
            .part(&environment.name)
    }

    /// `/api/v1/{verb}/{p}/{e}/{*path}`.
    pub fn of_secret(verb: &str, secret: &Secret) -> Self {
        secret.path.split('/').fold(
            Self::of_environment(verb, &secret.environment),
            |route, part| route.part(part),
        )
    }

    /// `/api/v1/connections/{p}/{e}/{name}`.
    pub fn of_connection(connection: &Connection) -> Self {
        Self::of_environment("connections", &connection.environment).part(&connection.name)
    }

    /// One more segment.
    pub fn part(mut self, part: &str) -> Self {
        self.0.push('/');
        encode(&mut self.0, part, b"@:=+");
        self
    }

    /// One more parameter; after it no segment can follow.
    pub fn query(mut self, key: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(key);
        self.0.push('=');
        encode(&mut self.0, value, b",/:@");
        self
    }

    /// The parameter, if there is a value.
    pub fn query_if(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(key, &value.to_string()),
            None => self,
        }
    }

    /// As it follows the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 3986: unreserved characters and `safe` stand, every other byte becomes `%XX`.
fn encode(url: &mut String, text: &str, safe: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn names_stand_as_they_are_and_nothing_else_breaks_out() {
        let secret = names::secret("a/b/c@d:1=2~3+4/e").expect("a secret");
        assert_eq!(
            Route::of_secret("secrets", &secret).as_str(),
            "/api/v1/secrets/a/b/c@d:1=2~3+4/e"
        );
        assert_eq!(
            Route::new("tokens").part("a/b?c#d%").as_str(),
            "/api/v1/tokens/a%2Fb%3Fc%23d%25"
        );
        let route = Route::new("x")
            .query("fields", "a,b")
            .query("cursor", "é&=+ ")
            .query_if("n", Some(1))
            .query_if("m", None::<u8>);
        assert_eq!(
            route.as_str(),
            "/api/v1/x?fields=a,b&cursor=%C3%A9%26%3D%2B%20&n=1"
        );
    }
}
