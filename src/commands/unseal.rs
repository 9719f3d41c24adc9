//! `unseal`: a passphrase from an operator to a sealed server, over a local socket that only its user may open.
//! There is no unseal over the network, so nobody without an account on the machine can try one (advisories I1, I2, H13).
//!
//! Invariant: one attempt at a time, each failure makes the next one wait, and the passphrase is wiped after it.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use coffer::crypto::{RootKey, SecretBytes, effective_user};
use coffer::seal::passphrase::PASSPHRASE_BYTES_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::node::Sealed;
use super::{ConfigFile, Failure, UNAVAILABLE, terminal};

/// An operator's client sends all at once.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 1_024;
const DONE: &str = "unsealed";

/// Waits for an operator who brings the right passphrase.
pub async fn wait(sealed: &Sealed, socket: &Path) -> Result<(RootKey, Operator), Failure> {
    let refused = |error| {
        Failure::failed(format!(
            "The socket {} cannot be made ({error}).",
            socket.display()
        ))
    };
    // A socket that is there is a dead server's: this one holds the state directory's lock.
    if let Err(error) = std::fs::remove_file(socket)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(refused(error));
    }
    let listener = UnixListener::bind(socket).map_err(refused)?;
    std::fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(refused)?;
    let mut pause = WAIT_MIN;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(WAIT_MIN).await;
            continue;
        };
        let mut operator = Operator(stream);
        let Some(phrase) = operator.passphrase().await else {
            continue;
        };
        match sealed.root_by_passphrase(phrase).await? {
            Ok(root) => {
                let _ = std::fs::remove_file(socket);
                return Ok((root, operator));
            }
            Err(error) => {
                tracing::warn!("an attempt to unseal failed");
                operator.say(&error.to_string()).await;
                sleep(pause).await;
                pause = WAIT_MAX.min(2 * pause);
            }
        }
    }
}

/// The operator at the other end of the socket.
pub struct Operator(UnixStream);

impl Operator {
    /// What they sent, if they are who they must be and sent it in time.
    async fn passphrase(&mut self) -> Option<SecretBytes> {
        let user = self.0.peer_cred().ok()?.uid();
        if user != effective_user() && user != 0 {
            return None;
        }
        let mut bytes = Zeroizing::new([0; PASSPHRASE_BYTES_MAX + 1]);
        let mut length = 0;
        let read = async {
            while length < bytes.len() {
                match self.0.read(&mut bytes[length..]).await.ok()? {
                    0 => return Some(()),
                    count => length += count,
                }
            }
            None
        };
        timeout(READ_TIME_MAX, read).await.ok()??;
        Some(SecretBytes::new(bytes[..length].to_vec()))
    }

    /// Says how the start went on with their passphrase.
    pub async fn tell(mut self, failure: Option<&Failure>) {
        let answer = failure.map_or_else(|| DONE.to_owned(), ToString::to_string);
        self.say(&answer).await;
    }

    async fn say(&mut self, answer: &str) {
        // Whoever has gone away does not hear it; the server goes on all the same.
        let _ = timeout(READ_TIME_MAX, self.0.write_all(answer.as_bytes())).await;
        let _ = timeout(READ_TIME_MAX, self.0.shutdown()).await;
    }
}

#[derive(Args)]
pub struct Unseal {
    #[command(flatten)]
    config: ConfigFile,
}

impl Unseal {
    pub fn run(self) -> Result<(), Failure> {
        let config = self.config.read()?;
        let socket = coffer::door::StateDir::socket_in(&config.state_dir);
        let absent = |error| {
            let sentence = format!(
                "No sealed server waits at {} ({error}): is it running, and sealed?",
                socket.display()
            );
            Failure::new(UNAVAILABLE, sentence)
        };
        // Asked for first, so that no server waits while a person types.
        if !socket.exists() {
            return Err(absent(std::io::ErrorKind::NotFound.into()));
        }
        let phrase = terminal::passphrase("Passphrase: ")?;
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).map_err(absent)?;
        let lost =
            |error| Failure::new(UNAVAILABLE, format!("The server did not answer ({error})."));
        stream
            .write_all(phrase.expose())
            .and_then(|()| stream.shutdown(Shutdown::Write))
            .map_err(lost)?;
        let mut answer = String::new();
        stream
            .take(ANSWER_BYTES_MAX)
            .read_to_string(&mut answer)
            .map_err(lost)?;
        match answer.as_str() {
            DONE => {
                eprintln!("The server is unsealed.");
                Ok(())
            }
            "" => Err(Failure::new(
                UNAVAILABLE,
                "The server did not answer: try again.",
            )),
            refused => Err(Failure::failed(refused)),
        }
    }
}
