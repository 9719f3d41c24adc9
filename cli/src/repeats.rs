//! A write whose answer was lost is sent again, a few times: each try carries the key by which the server does it once.
//! What no answer can come of is not tried again, nor what was refused; a server that cannot be reached is said at once,
//! unless something may have left before.
//!
//! Invariant: every try of a write has the same key, and no two writes have one.

use crate::failure::{Again, Failure};
use reqwest::header::HeaderValue;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long is waited before each further try, in milliseconds.
const PAUSES_MS: [u64; 6] = [200, 400, 800, 1_600, 3_200, 6_400];
/// No try begins later than this after the first one ended.
const REPEATED_FOR: Duration = Duration::from_secs(30);
/// A pause of this length is not waited without a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);
const KEY_BYTES: usize = 16;

/// A key that nobody has used.
pub fn fresh_key() -> Result<HeaderValue, Failure> {
    let mut bytes = [0; KEY_BYTES];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let none = || Failure::failed("The system gives no random bytes, and nothing was sent.");
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| none())?;
    let mut text = String::with_capacity(2 * KEY_BYTES);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    HeaderValue::try_from(text).map_err(|_| none())
}

/// The tries of one write.
#[derive(Default)]
pub struct Repeats {
    since: Option<Instant>,
    count: usize,
    /// Whether something left that nobody has answered.
    lost: bool,
    said: bool,
}

impl Repeats {
    /// Waits before the next try; or the failure is the last word.
    pub async fn pause(&mut self, failure: Failure) -> Result<(), Failure> {
        let wait = match failure.again() {
            Again::Never => None,
            Again::Unreached => self.lost.then_some(Duration::ZERO),
            Again::Lost => Some(Duration::ZERO),
            Again::After(wait) => Some(wait),
        };
        let (Some(wait), Some(pause_ms)) = (wait, PAUSES_MS.get(self.count)) else {
            return Err(self.ended(failure));
        };
        self.lost = true;
        let pause = wait.max(Duration::from_millis(*pause_ms));
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() + pause > REPEATED_FOR {
            return Err(self.ended(failure));
        }
        self.count += 1;
        if pause >= WORTH_A_WORD && !self.said {
            self.said = true;
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "coffer: {TRYING_AGAIN}");
        }
        sleep(pause).await;
        Ok(())
    }

    fn ended(&self, failure: Failure) -> Failure {
        if self.lost {
            failure.after_a_loss()
        } else {
            failure
        }
    }
}

const TRYING_AGAIN: &str =
    "There is no answer yet: trying again, with the key by which it is done once.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn failed(again: Again) -> Failure {
        Failure::new(Exit::Unavailable, "It failed.").when(again)
    }

    /// How many tries there are when each fails so, the first of all included.
    async fn tries(first: Again, then: Again) -> (usize, Failure) {
        let (mut repeats, mut again) = (Repeats::default(), first);
        for count in 1.. {
            if let Err(last) = repeats.pause(failed(again)).await {
                return (count, last);
            }
            again = then;
        }
        unreachable!("there is an end of tries")
    }

    #[tokio::test(start_paused = true)]
    async fn tries_come_to_an_end() {
        use Again::{After, Lost, Never, Unreached};
        let began = Instant::now();
        let (count, last) = tries(Lost, Lost).await;
        assert_eq!((count, last.text()), (7, "It failed."));
        assert!(began.elapsed() < REPEATED_FOR);
        assert_eq!(tries(Never, Never).await.0, 1);
        assert_eq!(tries(Unreached, Unreached).await.0, 1);
        let (count, last) = tries(Lost, Unreached).await;
        assert_eq!(count, 7);
        assert!(last.text().ends_with("look before you try again."));
        let (count, last) = tries(Lost, Never).await;
        assert!(count == 2 && last.text().ends_with("look before you try again."));
        let slow = After(Duration::from_secs(9));
        assert_eq!(tries(slow, slow).await.0, 4);
    }

    #[test]
    fn no_two_keys_are_alike() {
        let key = || fresh_key().expect("a key");
        assert_eq!(key().len(), 2 * KEY_BYTES);
        assert_ne!(key(), key());
    }
}
