//! What the matrix knows of each route: a request that the right scope lets through, and what its record says.
//! Everything else, each scope that a column needs included, follows from the action and the resource.
//!
//! Invariant: every route has exactly one row; the table of routes itself is what this is held against.

use reqwest::Method;

/// How a route is authorised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A scope for the action on exactly the resource.
    Exact,
    /// A list: a scope that reaches into the place; a refusal takes away what is shown, not the list.
    Reach,
    /// Every living token: what is shown depends on it.
    Anyone,
    /// Every living token, for scopes that it has; a refusal binds the child through its parent.
    Child,
}

/// One route.
pub struct Row {
    /// Method and pattern, as the table of routes has them.
    pub route: &'static str,
    /// The path, `{token}` standing for the id of a token that may be revoked, `{stream}` for that of the log's stream.
    pub path: &'static str,
    /// The body; none when it is empty. `{import}` stands for a grant.
    pub body: &'static str,
    /// How it is authorised.
    pub kind: Kind,
    /// The action that the record says, and that the scopes are asked for.
    pub action: &'static str,
    /// The resource that the record says.
    pub resource: &'static str,
    /// The status when it is done.
    pub done: u16,
}

impl Row {
    /// The method.
    pub fn method(&self) -> Method {
        let (method, _) = self.route.split_once(' ').expect("a method and a pattern");
        method.parse().expect("a method")
    }

    /// The path with this token's id in it, and a stream that there is not.
    pub fn path_with(&self, token: &str) -> String {
        let path = self.path.replace("{token}", token);
        path.replace("{stream}", "00000000-0000-0000-0000-000000000000")
    }

    /// The resource as far as the path says: it is all that a dead token's record knows, whose body is not read.
    pub fn resource_of_path(&self) -> &'static str {
        match self.route {
            "POST /projects" => "*",
            "POST /projects/{project}/environments" => "payments",
            _ => self.resource,
        }
    }

    /// Whether it imports a grant, which takes several decisions.
    pub fn imports(&self) -> bool {
        self.body == IMPORT
    }

    /// Whether it is begun by one decision and ended by another, when there is nothing in between.
    pub fn is_begun_apart(&self) -> bool {
        self.imports() || self.route.ends_with("/reencrypt")
    }

    /// What the scopes are asked for, where that is not what the record says.
    pub fn asked(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Child => ("read", "payments/prod/given"),
            _ => (self.action, self.resource),
        }
    }
}

const fn row(
    route: &'static str,
    path: &'static str,
    body: &'static str,
    kind: Kind,
    (action, resource): (&'static str, &'static str),
    done: u16,
) -> Row {
    Row {
        route,
        path,
        body,
        kind,
        action,
        resource,
        done,
    }
}

const FIELDS: &str = r#"{"fields":{"value":"1"}}"#;
/// The one that the row before it leaves behind.
const TERM: &str = r#"{"term":1}"#;
const IMPORT: &str = "{import}";
const TOKEN: &str = r#"{"scopes":["read:payments/prod/given"],"ttl":60}"#;

use Kind::{Anyone, Child, Exact, Reach};

/// Every route. [`prepare`](super::prepare) makes what they need.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    row("GET /secrets/{project}/{environment}/{*path}",    "/secrets/payments/prod/read",        "",     Exact, ("read", "payments/prod/read"),         200),
    row("PUT /secrets/{project}/{environment}/{*path}",    "/secrets/payments/prod/put",         FIELDS, Exact, ("write", "payments/prod/put"),         201),
    row("PATCH /secrets/{project}/{environment}/{*path}",  "/secrets/payments/prod/patch",       FIELDS, Exact, ("write", "payments/prod/patch"),       200),
    row("DELETE /secrets/{project}/{environment}/{*path}", "/secrets/payments/prod/delete",      "",     Exact, ("delete", "payments/prod/delete"),     204),
    row("GET /secrets/{project}/{environment}",            "/secrets/payments/prod",             "",     Reach, ("list", "payments/prod"),              200),
    row("GET /history/{project}/{environment}/{*path}",    "/history/payments/prod/read",        "",     Exact, ("list", "payments/prod/read"),         200),
    row("POST /undelete/{project}/{environment}/{*path}",  "/undelete/payments/prod/undelete",   "",     Exact, ("write", "payments/prod/undelete"),    200),
    row("POST /destroy/{project}/{environment}/{*path}",   "/destroy/payments/prod/destroy",     "",     Exact, ("destroy", "payments/prod/destroy"),   200),

    row("GET /rotations/{project}/{environment}/{*path}",    "/rotations/payments/prod/policy",  "",     Exact, ("list", "payments/prod/policy"),       200),
    row("PUT /rotations/{project}/{environment}/{*path}",    "/rotations/payments/prod/planned", r#"{"every":3600}"#, Exact, ("write", "payments/prod/planned"), 201),
    row("DELETE /rotations/{project}/{environment}/{*path}", "/rotations/payments/prod/dropped", "",     Exact, ("write", "payments/prod/dropped"),     204),
    row("POST /rotate/{project}/{environment}/{*path}",      "/rotate/payments/prod/policy",     "",     Exact, ("rotate", "payments/prod/policy"),     200),

    row("POST /connections/{project}/{environment}/{name}",      "/connections/payments/prod/imported",      IMPORT, Exact, ("connect", "payments/prod/imported"),      201),
    row("DELETE /connections/{project}/{environment}/{name}",    "/connections/payments/prod/dropped-grant", "",     Exact, ("connect", "payments/prod/dropped-grant"), 204),
    row("GET /connections/{project}/{environment}",              "/connections/payments/prod",               "",     Reach, ("list", "payments/prod"),                  200),
    row("GET /connections/{project}/{environment}/{name}/token", "/connections/payments/prod/grant/token",   "",     Exact, ("read", "payments/prod/grant"),            200),

    row("GET /projects",                                "/projects",               "",                     Anyone, ("list", "*"),                200),
    row("POST /projects",                               "/projects",               r#"{"name":"made"}"#,   Exact,  ("manage", "made"),           201),
    row("GET /projects/{project}",                      "/projects/payments",      "",                     Exact,  ("list", "payments"),         200),
    row("DELETE /projects/{project}",                   "/projects/empty",         "",                     Exact,  ("manage", "empty"),          204),
    row("GET /projects/{project}/environments",         "/projects/payments/environments", "",             Reach,  ("list", "payments"),         200),
    row("POST /projects/{project}/environments",        "/projects/payments/environments", r#"{"name":"made"}"#, Exact, ("manage", "payments/made"), 201),
    row("DELETE /projects/{project}/environments/{environment}", "/projects/payments/environments/spare", "", Exact, ("manage", "payments/spare"), 204),

    row("GET /keys/{project}/{environment}",            "/keys/payments/aged",         "", Exact, ("list", "payments/aged"),   200),
    row("POST /keys/{project}/{environment}/rotate",    "/keys/payments/aged/rotate",  "", Exact, ("rotate", "payments/aged"), 200),
    row("POST /keys/{project}/{environment}/rewrap",    "/keys/payments/aged/rewrap",  "", Exact, ("rotate", "payments/aged"), 200),
    row("POST /keys/{project}/{environment}/reencrypt", "/keys/payments/aged/reencrypt", "", Exact, ("rotate", "payments/aged"), 200),
    row("POST /keys/{project}/{environment}/destroy",   "/keys/payments/aged/destroy", TERM, Exact, ("destroy", "payments/aged"), 200),

    row("GET /tokens/self",     "/tokens/self",    "",    Anyone, ("list", "sys/tokens/self"), 200),
    row("GET /tokens",          "/tokens",         "",    Anyone, ("manage", "sys/tokens"),    200),
    row("POST /tokens",         "/tokens",         TOKEN, Child,  ("manage", "sys/tokens"),    201),
    row("DELETE /tokens/{id}",  "/tokens/{token}", "",    Exact,  ("manage", "sys/tokens"),    204),

    row("GET /audit/records", "/audit/records", "", Exact, ("audit", "sys/audit"), 200),
    row("GET /audit/export",  "/audit/export",  "", Exact, ("audit", "sys/audit"), 200),
    row("GET /audit/bundle",  "/audit/bundle",  "", Exact, ("audit", "sys/audit"), 200),
    row("GET /audit/head",    "/audit/head",    "", Exact, ("audit", "sys/audit"), 200),
    row("GET /audit/key",     "/audit/key",     "", Exact, ("audit", "sys/audit"), 200),
    row("GET /audit/streams/{stream}/checkpoint",  "/audit/streams/{stream}/checkpoint",     "", Exact, ("audit", "sys/audit"), 200),
    row("GET /audit/streams/{stream}/tile/{*tile}", "/audit/streams/{stream}/tile/0/000.p/1", "", Exact, ("audit", "sys/audit"), 200),
];
