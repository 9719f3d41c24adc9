//! A connection to PostgreSQL, with the settings that the ledger rests on.
//! They are set by a statement and not in the start-up message, so that poolers of sessions pass them on.
//!
//! Invariant: no session goes on that may lose what it acknowledged (`fsync = off`), outside tests.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection as _};

use super::{LOCK_WAIT_MS, Role, RoleUrls, STATEMENTS_MAX, StoreError};

/// How long a connection may take to be made.
const CONNECT_MS: u64 = 5_000;
/// How long a statement may run.
pub(super) const STATEMENT_MS: u64 = 30_000;

/// Where PostgreSQL is, and whether it may be careless.
#[derive(Clone)]
pub(super) struct Postgres {
    options: PgConnectOptions,
    keeper: Option<PgConnectOptions>,
    owner: Option<PgConnectOptions>,
    accept_fsync_off: bool,
}

impl Postgres {
    pub fn new(url: &str, roles: &RoleUrls, accept_fsync_off: bool) -> Result<Self, StoreError> {
        let other = |url: &Option<String>| url.as_deref().map(options).transpose();
        Ok(Self {
            options: options(url)?,
            keeper: other(&roles.keeper)?,
            owner: other(&roles.owner)?,
            accept_fsync_off,
        })
    }

    /// Whether a role of its own does this.
    pub const fn has(&self, role: Role) -> bool {
        match role {
            Role::Reader | Role::Writer => true,
            Role::Keeper => self.keeper.is_some(),
            Role::Migrator => self.owner.is_some(),
        }
    }

    fn options(&self, role: Role) -> &PgConnectOptions {
        let other = match role {
            Role::Reader | Role::Writer => &None,
            Role::Keeper => &self.keeper,
            Role::Migrator => &self.owner,
        };
        other.as_ref().unwrap_or(&self.options)
    }

    pub async fn connect(&self, role: Role) -> Result<PgConnection, StoreError> {
        let connected = async {
            let mut conn = PgConnection::connect_with(self.options(role)).await?;
            let (lock_wait, statement, plans) = match role {
                Role::Reader => (LOCK_WAIT_MS, STATEMENT_MS, "auto"),
                // Few distinct statements, each run thousands of times: planned once, and by index, since a plan made
                // while the tables are small is still there when they are large.
                Role::Writer | Role::Keeper => (LOCK_WAIT_MS, STATEMENT_MS, "force_generic_plan"),
                Role::Migrator => (0, 0, "auto"),
            };
            let (fsync, ..): (String, String) = sqlx::query_as(SETTINGS)
                .bind(lock_wait.to_string())
                .bind(statement.to_string())
                .bind(plans)
                .fetch_one(&mut conn)
                .await?;
            Ok::<_, sqlx::Error>((conn, fsync))
        };
        let (conn, fsync) = tokio::time::timeout(Duration::from_millis(CONNECT_MS), connected)
            .await
            .map_err(|_| StoreError::Lost)??;
        if fsync == "off" && !self.accept_fsync_off {
            return Err(StoreError::Refused(
                "PostgreSQL runs with fsync = off and would lose what it acknowledged: turn it on."
                    .to_owned(),
            ));
        }
        Ok(conn)
    }
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    // The parser's own words could repeat a part of the URL, which holds a password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Refused("The database URL is not a PostgreSQL URL.".to_owned()))?;
    Ok(options
        .application_name("coffer")
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging())
}

// `synchronous_commit`: raised to `on`, and left where it waits for more than that.
const SETTINGS: &str = "
    SELECT current_setting('fsync'), concat(
        set_config('lock_timeout', $1, false),
        set_config('statement_timeout', $2, false),
        set_config('plan_cache_mode', $3, false),
        set_config('enable_seqscan', CASE $3 WHEN 'auto' THEN 'on' ELSE 'off' END, false),
        set_config('quote_all_identifiers', 'off', false),
        set_config('idle_in_transaction_session_timeout', '5s', false),
        set_config('tcp_user_timeout', '10s', false),
        set_config('tcp_keepalives_idle', '5', false),
        set_config('tcp_keepalives_interval', '2', false),
        set_config('tcp_keepalives_count', '3', false),
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)
    )";
