//! Fuzz targets of the configuration: a mistake is one clause that holds no value, and a network is the addresses it says.
//!
//! Invariant: nothing is read from the disk.

use std::net::IpAddr;
use std::path::Path;

use super::{Config, DatabaseUrl, DatabaseVariables, Exception, Network};
use crate::fuzzing::{lines, text};

/// The shortest value that is looked for in a clause: shorter words stand there by themselves.
const VALUE_BYTES_MIN: usize = 12;

/// The whole file.
pub(crate) fn file(input: &[u8]) {
    let Some(text) = text(input) else {
        return;
    };
    match Config::parse(
        text,
        Path::new("/etc/coffer"),
        &DatabaseVariables::default(),
    ) {
        Ok(config) => {
            assert!(config.state_dir.is_absolute() && config.certificate.is_absolute());
            assert!(config.trusted_proxies.len() <= 256 && config.outbound.allow.len() <= 256);
            let again = Config::parse(
                text,
                Path::new("/etc/coffer"),
                &DatabaseVariables::default(),
            );
            assert_eq!(again.as_ref(), Ok(&config));
            if let DatabaseUrl::Postgres(url) = &config.database.url {
                assert!(!format!("{config:?}").contains(url));
            }
        }
        Err(why) => {
            assert!(!why.contains('\n') && why.len() < 400, "{why}");
            let Ok(toml) = toml::from_str::<toml::Table>(text) else {
                return;
            };
            // A key is repeated, whatever it holds.
            let mut why = why;
            for key in keys(&toml) {
                why = why.replace(&format!("`{key}`"), "");
            }
            for value in values(&toml::Value::Table(toml)) {
                assert!(
                    !is_like_a_password(&value) || !why.contains(&value),
                    "{why}"
                );
            }
        }
    }
}

/// A word with a digit in it, as long as no word of a clause: the examples in clauses have dots and colons.
fn is_like_a_password(value: &str) -> bool {
    value.len() >= VALUE_BYTES_MIN
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && value.bytes().any(|byte| byte.is_ascii_digit())
}

/// Every key of a table, and of those within.
fn keys(table: &toml::Table) -> Vec<&str> {
    let within = table.values().filter_map(toml::Value::as_table);
    let own = table.keys().map(String::as_str);
    own.chain(within.flat_map(keys)).collect()
}

/// Every text among a table's values.
fn values(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Array(values) => values.iter().flat_map(values_of).collect(),
        toml::Value::Table(table) => table
            .iter()
            .flat_map(|(_, value)| values_of(value))
            .collect(),
        _ => Vec::new(),
    }
}

fn values_of(value: &toml::Value) -> Vec<String> {
    values(value)
}

/// A network and an address, a line each.
pub(crate) fn network(input: &[u8]) {
    if let Some(entry) = text(input).and_then(|text| text.parse::<Exception>().ok()) {
        let shape = match entry {
            Exception::Host { name, port } => {
                port.map_or(name.clone(), |port| format!("{name}:{port}"))
            }
            Exception::Network(_) => return,
            Exception::Origin { .. } => return,
        };
        assert_eq!(shape.as_bytes(), input, "a name has one spelling");
    }
    let Some([network, address]) = lines::<2>(input) else {
        return;
    };
    let (Ok(read), Ok(address)) = (network.parse::<Network>(), address.parse::<IpAddr>()) else {
        return;
    };
    let (own, prefix) = network.split_once('/').unwrap_or((network, "128"));
    let own: IpAddr = own.parse().expect("it was read");
    let prefix: usize = prefix.parse().expect("it was read");
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => format!("{:032b}", address.to_bits()),
        IpAddr::V6(address) => format!("{:0128b}", address.to_bits()),
    };
    let (own, there) = (bits(own), bits(address.to_canonical()));
    let prefix = prefix.min(own.len());
    let is_in = own.len() == there.len() && own[..prefix] == there[..prefix];
    assert_eq!(read.contains(address), is_in, "{network} {address}");
    assert!(
        own[prefix..].bytes().all(|bit| bit == b'0'),
        "no bit beyond the prefix"
    );
}
