//! `init`: founds a cluster in an empty store, and shows its first token once.
//! Where the token goes is settled before anything is made, so that it cannot be lost for want of a place.
//!
//! Invariant: the token goes to a terminal or into a new 0600 file, never to a log.

use std::path::PathBuf;

use clap::Args;
use coffer::config::{Config, SealSource};
use coffer::crypto::SecretBytes;
use coffer::model::Ttl;

use super::node::Ground;
use super::terminal::{self, Outlet};
use super::{ConfigFile, Failure, runtime};

/// How long the first token lives, unless it is said.
pub const FIRST_TOKEN_TTL: &str = "365d";

#[derive(Args)]
pub struct Init {
    #[command(flatten)]
    config: ConfigFile,
    /// Write the first token to this new file (mode 0600) instead of the terminal.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long the first token lives: a number and s, m, h or d.
    #[arg(long, value_name = "DURATION", default_value = FIRST_TOKEN_TTL, value_parser = duration)]
    ttl: Ttl,
}

impl Init {
    pub fn run(self) -> Result<(), Failure> {
        let config = self.config.read()?;
        let outlet = Outlet::open(self.token_file.as_deref())?;
        let founded = passphrase(&config)
            .and_then(|given| runtime(None)?.block_on(found(&config, given, self.ttl)));
        match founded {
            Ok(token) => {
                outlet.give(token.expose())?;
                eprintln!(
                    "The cluster is founded. Keep the token safe: it is not shown again. Next: coffer-server serve."
                );
                Ok(())
            }
            Err(failure) => {
                outlet.close();
                Err(failure)
            }
        }
    }
}

fn passphrase(config: &Config) -> Result<Option<SecretBytes>, Failure> {
    match config.seal {
        SealSource::Passphrase(None) => terminal::new_passphrase().map(Some),
        SealSource::Passphrase(Some(_)) | SealSource::File(_) => Ok(None),
    }
}

async fn found(
    config: &Config,
    given: Option<SecretBytes>,
    ttl: Ttl,
) -> Result<coffer::crypto::PlainToken, Failure> {
    let ground = Ground::open(config).await?;
    // Said before a key file is made for nothing; the transaction itself decides.
    if ground.sealed().await?.is_some() {
        return Err(Failure::failed(
            "This store already holds a cluster: start it with coffer-server serve.",
        ));
    }
    let kept = ground.state_dir.node().ok().flatten();
    let node = config
        .node
        .clone()
        .or(kept)
        .unwrap_or_else(|| ground.new_node_name());
    ground.found(&config.seal, given, node, ttl).await
}

/// A number and `s`, `m`, `h` or `d`; at least a minute.
pub fn duration(text: &str) -> Result<Ttl, String> {
    let wrong = || "a duration is a number and s, m, h or d, as 30d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    let number: u64 = Some(digits)
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(wrong)?;
    let ttl = Ttl::seconds(number.checked_mul(factor).ok_or_else(wrong)?);
    if ttl < Ttl::seconds(60) || ttl > Ttl::MAX {
        return Err("a token lives between a minute and a hundred years".to_owned());
    }
    Ok(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(Ttl::seconds(90)));
        assert_eq!(duration("30d"), Ok(Ttl::days(30)));
        assert_eq!(duration(FIRST_TOKEN_TTL), Ok(Ttl::days(365)));
        for bad in [
            "",
            "d",
            "30",
            "30w",
            "-1d",
            "+1d",
            "1.5h",
            "1 d",
            "59s",
            "99999d",
            "99999999999999999999d",
            "1é",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
