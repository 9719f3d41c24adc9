//! The one table of routes: method, path, operation. What a route takes and answers stands beside its noun.
//! A path is matched as `url.rs` decoded it; a route's action and access are its operation's own.
//!
//! Invariant: every route but those of `open.rs` leads through the door, and a test reads this table to prove it.

use coffer_api::API_ROOT;
use hyper::Method;

use super::call::{Call, call, change};
use super::endpoint::{Captured, Endpoint};
use super::finish::Running;
use super::once::Change;
use super::open::{OPEN_ROUTES, OpenRoute};
use crate::door::Access;
use crate::model::Action;
use crate::operations::audit::{
    BundleLog, ExportLog, ReadCheckpoint, ReadHeads, ReadRecords, ReadTile, ReadVerifierKey,
};
use crate::operations::connections::{
    DeleteConnection, ImportConnection, ListConnections, ReadAccessToken,
};
use crate::operations::keys::{DestroyTerm, ListKeys, ReencryptKeys, RewrapKeys, RotateKey};
use crate::operations::places::{
    CreateEnvironment, CreateProject, DeleteEnvironment, DeleteProject, ListEnvironments,
    ListProjects, ReadProject,
};
use crate::operations::rotations::{DeleteRotation, ReadRotation, RotateNow, SetRotation};
use crate::operations::secrets::{
    DeleteSecret, DestroySecret, ListSecrets, ReadHistory, ReadSecret, UndeleteSecret, WriteSecret,
};
use crate::operations::tokens::{CreateToken, ListTokens, ReadOwnToken, RevokeToken};

/// Every route through the door, below [`API_ROOT`]. The first that fits is taken.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    get::<ReadSecret>           ("/secrets/{project}/{environment}/{*path}"),
    put::<WriteSecret>          ("/secrets/{project}/{environment}/{*path}"),
    patch::<WriteSecret>        ("/secrets/{project}/{environment}/{*path}"),
    delete::<DeleteSecret>      ("/secrets/{project}/{environment}/{*path}"),
    get::<ListSecrets>          ("/secrets/{project}/{environment}"),
    get::<ReadHistory>          ("/history/{project}/{environment}/{*path}"),
    post::<UndeleteSecret>      ("/undelete/{project}/{environment}/{*path}"),
    post::<DestroySecret>       ("/destroy/{project}/{environment}/{*path}"),

    get::<ReadRotation>         ("/rotations/{project}/{environment}/{*path}"),
    put::<SetRotation>          ("/rotations/{project}/{environment}/{*path}"),
    delete::<DeleteRotation>    ("/rotations/{project}/{environment}/{*path}"),
    post::<RotateNow>           ("/rotate/{project}/{environment}/{*path}"),

    post::<ImportConnection>    ("/connections/{project}/{environment}/{name}"),
    delete::<DeleteConnection>  ("/connections/{project}/{environment}/{name}"),
    get::<ListConnections>      ("/connections/{project}/{environment}"),
    get::<ReadAccessToken>      ("/connections/{project}/{environment}/{name}/token"),

    get::<ListProjects>         ("/projects"),
    post::<CreateProject>       ("/projects"),
    get::<ReadProject>          ("/projects/{project}"),
    delete::<DeleteProject>     ("/projects/{project}"),
    get::<ListEnvironments>     ("/projects/{project}/environments"),
    post::<CreateEnvironment>   ("/projects/{project}/environments"),
    delete::<DeleteEnvironment> ("/projects/{project}/environments/{environment}"),

    get::<ListKeys>             ("/keys/{project}/{environment}"),
    post::<RotateKey>           ("/keys/{project}/{environment}/rotate"),
    post::<RewrapKeys>          ("/keys/{project}/{environment}/rewrap"),
    post::<ReencryptKeys>       ("/keys/{project}/{environment}/reencrypt"),
    post::<DestroyTerm>         ("/keys/{project}/{environment}/destroy"),

    get::<ReadOwnToken>         ("/tokens/self"),
    get::<ListTokens>           ("/tokens"),
    post::<CreateToken>         ("/tokens"),
    delete::<RevokeToken>       ("/tokens/{id}"),

    get::<ReadRecords>          ("/audit/records"),
    get::<ExportLog>            ("/audit/export"),
    get::<BundleLog>            ("/audit/bundle"),
    get::<ReadHeads>            ("/audit/head"),
    get::<ReadVerifierKey>      ("/audit/key"),
    get::<ReadCheckpoint>       ("/audit/streams/{stream}/checkpoint"),
    get::<ReadTile>             ("/audit/streams/{stream}/tile/{*tile}"),
];

/// One line of the table.
pub struct Route {
    /// The HTTP method.
    pub method: Method,
    /// The path: `{name}` is one part, `{*name}` the rest.
    pub pattern: &'static str,
    /// The first part of the path, which is never a `{name}`, with its slash.
    noun: &'static str,
    /// What scopes are asked for, and what the record says.
    pub action: Action,
    /// How it is authorised.
    pub access: Access,
    pub(super) run: fn(Call) -> Running,
}

const fn route<O: Endpoint>(
    method: Method,
    pattern: &'static str,
    run: fn(Call) -> Running,
) -> Route {
    Route {
        method,
        pattern,
        noun: first_part(pattern),
        action: O::ACTION,
        access: O::ACCESS,
        run,
    }
}

/// Up to the second slash. A byte of a longer character is never a slash.
const fn first_part(path: &str) -> &str {
    let bytes = path.as_bytes();
    let mut end = 1;
    while end < bytes.len() && bytes[end] != b'/' {
        end += 1;
    }
    if end < bytes.len() {
        path.split_at(end).0
    } else {
        path
    }
}

const fn get<O: Endpoint>(pattern: &'static str) -> Route {
    route::<O>(Method::GET, pattern, call::<O>)
}

const fn put<O: Change>(pattern: &'static str) -> Route {
    route::<O>(Method::PUT, pattern, change::<O>)
}

const fn patch<O: Change>(pattern: &'static str) -> Route {
    route::<O>(Method::PATCH, pattern, change::<O>)
}

const fn post<O: Change>(pattern: &'static str) -> Route {
    route::<O>(Method::POST, pattern, change::<O>)
}

const fn delete<O: Change>(pattern: &'static str) -> Route {
    route::<O>(Method::DELETE, pattern, change::<O>)
}

/// What a method and a decoded path lead to.
pub(super) enum Found {
    /// One of [`ROUTES`], and where it stands there.
    Route(usize, &'static Route),
    /// One of [`OPEN_ROUTES`], and where it stands there.
    Open(usize, &'static OpenRoute),
    /// The path has routes, for these methods.
    OtherMethods(String),
    Nothing,
}

pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut allowed = Vec::new();
    if let Some(below) = path.strip_prefix(API_ROOT) {
        let noun = first_part(below);
        for (number, route) in ROUTES.iter().enumerate() {
            if route.noun != noun || fit(route.pattern, below).is_none() {
                continue;
            }
            if route.method == *method {
                return Found::Route(number, route);
            }
            allowed.push(route.method.as_str());
        }
    }
    for (number, route) in OPEN_ROUTES.iter().enumerate() {
        if route.pattern != path {
            continue;
        }
        if route.method == *method {
            return Found::Open(number, route);
        }
        allowed.push(route.method.as_str());
    }
    if allowed.is_empty() {
        Found::Nothing
    } else {
        Found::OtherMethods(allowed.join(", "))
    }
}

/// What a route's pattern names in a path that it fits.
pub(super) fn capture<'a>(pattern: &str, path: &'a str) -> Option<Captured<'a>> {
    fit(pattern, path.strip_prefix(API_ROOT)?)
}

fn fit<'a>(pattern: &str, path: &'a str) -> Option<Captured<'a>> {
    let (mut captured, mut count) = (Captured::default(), 0);
    let (mut pattern, mut path) = (pattern.strip_prefix('/')?, path.strip_prefix('/')?);
    loop {
        let (want, wants) = next_part(pattern);
        if want.starts_with("{*") {
            captured.0[count] = path;
            return Some(captured);
        }
        let (part, parts) = next_part(path);
        if want.starts_with('{') {
            captured.0[count] = part;
            count += 1;
        } else if want != part {
            return None;
        }
        match (wants, parts) {
            (None, None) => return Some(captured),
            (Some(wants), Some(parts)) => (pattern, path) = (wants, parts),
            _ => return None,
        }
    }
}

/// The first part, and what follows its slash.
fn next_part(path: &str) -> (&str, Option<&str>) {
    path.split_once('/')
        .map_or((path, None), |(part, rest)| (part, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> String {
        match find(&method, path) {
            Found::Route(_, route) => format!("{} {}", route.method, route.pattern),
            Found::Open(_, route) => format!("open {}", route.pattern),
            Found::OtherMethods(allowed) => format!("405 {allowed}"),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn paths_lead_where_the_table_says() {
        let get = |path| found(Method::GET, path);
        assert_eq!(
            get("/api/v1/secrets/a/b/c/d"),
            "GET /secrets/{project}/{environment}/{*path}"
        );
        assert_eq!(
            get("/api/v1/secrets/a/b"),
            "GET /secrets/{project}/{environment}"
        );
        assert_eq!(get("/api/v1/secrets/a"), "404");
        assert_eq!(get("/api/v1/tokens/self"), "GET /tokens/self");
        assert_eq!(get("/api/v1/status"), "open /api/v1/status");
        assert_eq!(get("/health/ready"), "open /health/ready");
        assert_eq!(
            found(Method::DELETE, "/api/v1/tokens/self"),
            "DELETE /tokens/{id}"
        );
        assert_eq!(
            found(Method::DELETE, "/api/v1/tokens/x"),
            "DELETE /tokens/{id}"
        );
        assert_eq!(found(Method::HEAD, "/health/live"), "405 GET");
        assert_eq!(
            found(Method::HEAD, "/api/v1/secrets/a/b/c"),
            "405 GET, PUT, PATCH, DELETE"
        );
        assert_eq!(found(Method::OPTIONS, "/api/v1/projects"), "405 GET, POST");
        for nothing in [
            "/",
            "/api",
            "/api/v1",
            "/api/v10/projects",
            "/api/v2/projects",
            "/v1/sys/health",
            "/secrets/a/b/c",
            "/health",
        ] {
            assert_eq!(get(nothing), "404", "{nothing}");
        }
        assert_eq!(
            capture(
                "/secrets/{project}/{environment}/{*path}",
                "/api/v1/secrets/a/b/c/d"
            ),
            Some(Captured(["a", "b", "c/d"]))
        );
        assert_eq!(
            capture("/tokens/{id}", "/api/v1/tokens/x"),
            Some(Captured(["x", "", ""]))
        );
    }

    /// The routes of `surface.md` that this release has; a route that is not here was not thought about.
    #[test]
    fn the_table_holds_each_route_once() {
        let mut lines: Vec<String> = ROUTES
            .iter()
            .map(|route| format!("{} {}", route.method, route.pattern))
            .collect();
        assert_eq!(lines.len(), 39);
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 39, "a route stands twice");
        assert!(
            ROUTES
                .iter()
                .all(|route| route.pattern.starts_with('/') && !route.pattern.ends_with('/'))
        );
    }
}
