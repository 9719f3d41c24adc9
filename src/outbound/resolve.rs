//! Where a host is: an argument of every call, as time and chance are.
//! The system's resolver answers, but in tests, which give answers of their own one after the other.
//!
//! Invariant: a call asks once; what was answered is what is checked and what is connected to.

use std::io;
use std::net::SocketAddr;

/// Who answers where a name is.
pub enum Resolver {
    /// The operating system.
    System,
    /// Answers given beforehand, and how many were taken.
    #[cfg(test)]
    Given(std::sync::Mutex<std::collections::VecDeque<Vec<SocketAddr>>>),
}

impl Resolver {
    /// Every address of a name, with the port.
    pub async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, port)).await?.collect()),
            #[cfg(test)]
            Self::Given(answers) => {
                let mut answers = answers.lock().expect("no test panics in here");
                answers
                    .pop_front()
                    .ok_or_else(|| io::Error::other("no answer is left"))
            }
        }
    }
}
