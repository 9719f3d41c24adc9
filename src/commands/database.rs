//! `database`: what Coffer asks of its database, printed for whoever runs it.
//! Nothing is connected to: the SQL is the same whatever is there.
//!
//! Invariant: what is printed comes from the table by which the server itself grants.

use clap::{Args, Subcommand};
use coffer::store::RoleNames;

use super::Failure;

#[derive(Subcommand)]
pub enum Database {
    /// Print the SQL that makes Coffer's three roles on PostgreSQL: to be run by a superuser in Coffer's own database.
    Roles(Roles),
}

#[derive(Args)]
pub struct Roles {
    /// The role that owns the tables and migrates them.
    #[arg(long, value_name = "ROLE", default_value = "coffer_owner", value_parser = name)]
    owner: String,
    /// The role that serves.
    #[arg(long, value_name = "ROLE", default_value = "coffer_server", value_parser = name)]
    server: String,
    /// The role that replaces and deletes segments of the audit log.
    #[arg(long, value_name = "ROLE", default_value = "coffer_keeper", value_parser = name)]
    keeper: String,
}

impl Database {
    pub fn run(self) -> Result<(), Failure> {
        let Self::Roles(Roles {
            owner,
            server,
            keeper,
        }) = self;
        if owner == server || owner == keeper || server == keeper {
            return Err(Failure::usage(
                "Owner, server and keeper are three roles: give each a name of its own.",
            ));
        }
        let names = RoleNames {
            owner,
            server,
            keeper,
        };
        print!("{}", names.sql());
        Ok(())
    }
}

/// A name that PostgreSQL takes as it is written, and no more than it keeps.
fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    if begins && text.len() <= 63 && text.bytes().all(plain) && !text.starts_with("pg_") {
        return Ok(text.to_owned());
    }
    Err("a role's name has small letters, digits and underscores, 63 at most".to_owned())
}
