//! Why a command failed: an exit code, and one sentence with what to do about it.
//! Everything that goes wrong anywhere in this program becomes a [`Failure`], so that scripts can rely on the code.
//!
//! Invariant: the text holds no value and no token, and nothing that would steer a terminal.

use crate::output::printable;
use coffer_api::Problem;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// The longest text taken over from a server, in characters.
const DETAIL_CHARS_MAX: usize = 1_000;
/// The longest wait that a server may ask for before a write is tried again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// How long is waited for a request of the same key that is still on its way.
const IN_USE_WAIT: Duration = Duration::from_secs(1);
/// Of a write that an answer to was lost, when what was heard since says nothing of it.
const AFTER_A_LOSS: &str = " What was sent before may have happened: look before you try again.";

/// The exit codes; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Failed, or refused for a reason that has no code of its own.
    Failed = 1,
    /// The command, its environment or what it was given is wrong.
    Usage = 2,
    /// No token, or not with this one.
    NotAllowed = 3,
    /// Not there, or not to be seen.
    NotFound = 4,
    /// Sealed, overloaded or unreachable.
    Unavailable = 5,
    /// Does not verify.
    Tampered = 6,
}

/// Whether a write that failed so may be tried again, with its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It was answered, or can never be.
    Never,
    /// Nothing has left.
    Unreached,
    /// Nobody knows whether it happened.
    Lost,
    /// The server asks for it, after this time at the earliest.
    After(Duration),
}

/// A failure to report.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    text: String,
    again: Again,
}

/// Why a file or a program could not be used, in words that a person would use.
pub fn why(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        kind => kind.to_string(),
    }
}

impl Failure {
    /// One sentence that says what happened, and what to do.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
            again: Again::Never,
        }
    }

    /// The same, of a write that may be tried again so.
    pub fn when(self, again: Again) -> Self {
        Self { again, ..self }
    }

    /// Whether a write that failed so may be tried again.
    pub const fn again(&self) -> Again {
        self.again
    }

    /// The same, of a write that an earlier answer to was lost.
    pub fn after_a_loss(mut self) -> Self {
        // A refusal for what is asked, or for what is there, comes after the server has looked for the key.
        let silent = matches!(
            self.exit,
            Exit::NotAllowed | Exit::NotFound | Exit::Unavailable
        );
        if silent && self.again != Again::Lost {
            self.text.push_str(AFTER_A_LOSS);
        }
        self
    }

    /// Exit code 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// Exit code 1.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, text)
    }

    /// What to make of standard output that cannot be written; silence when its reader has left.
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::failed(""),
            kind => Self::failed(format!("Standard output cannot be written ({kind}).")),
        }
    }

    /// What a server's refusal says, by its problem body or else by its status.
    pub fn refusal(status: u16, body: &[u8], request_id: &str) -> Self {
        let exit = match status {
            400 | 413 => Exit::Usage,
            401 | 403 => Exit::NotAllowed,
            404 => Exit::NotFound,
            429 | 503 => Exit::Unavailable,
            _ => Exit::Failed,
        };
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        let mut text = match &problem {
            Some(problem) if !problem.detail.is_empty() => problem.detail.to_string(),
            Some(problem) => format!("The server refused: {}.", problem.title),
            None => format!("The server answered {status} and did not say why."),
        };
        if let Some(seconds) = problem.as_ref().and_then(|problem| problem.retry_after) {
            text.push_str(&format!(" Try again in {seconds} s."));
        }
        if !request_id.is_empty() {
            text.push_str(&format!(" (request {request_id})"));
        }
        Self::new(exit, text).when(Again::of_refusal(status, problem.as_ref()))
    }

    /// Writes it to standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if !self.text.is_empty() {
            let text: String = self.text.chars().take(DETAIL_CHARS_MAX).collect();
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "coffer: {}", printable(&text));
        }
        ExitCode::from(self.exit as u8)
    }

    /// The exit code, for tests.
    #[cfg(test)]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The sentence, for tests.
    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Again {
    /// What a refusal says of trying again: a 503 that will be over soon, and a first try that is still on its way.
    fn of_refusal(status: u16, problem: Option<&Problem>) -> Self {
        let retry_after = problem.and_then(|problem| problem.retry_after);
        let soon = retry_after.map(Duration::from_secs);
        match (status, soon) {
            (503, Some(wait)) if wait <= RETRY_AFTER_MAX => Self::After(wait),
            (409, _) if problem.is_some_and(|problem| problem.code == "idempotency-key-in-use") => {
                Self::After(IN_USE_WAIT)
            }
            _ => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_exit_codes() {
        let cases = [
            (400, 2),
            (413, 2),
            (401, 3),
            (403, 3),
            (404, 4),
            (429, 5),
            (503, 5),
            (409, 1),
            (412, 1),
            (500, 1),
            (302, 1),
        ];
        for (status, code) in cases {
            assert_eq!(
                Failure::refusal(status, b"", "").exit() as u8,
                code,
                "{status}"
            );
        }
    }

    #[test]
    fn a_problem_speaks_for_itself() {
        let body = br#"{"type":"about:blank","title":"T","status":503,"detail":"It is sealed.","code":"sealed","request_id":"r","retry_after":2}"#;
        let failure = Failure::refusal(503, body, "r1");
        assert_eq!(
            failure.text(),
            "It is sealed. Try again in 2 s. (request r1)"
        );
        let bare = Failure::refusal(409, b"<html>", "");
        assert_eq!(bare.text(), "The server answered 409 and did not say why.");
    }
}
