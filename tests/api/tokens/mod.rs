//! Tokens: made, shown once, listed, revoked; and what a chain of them may do.
//! Every story asserts that what was not allowed did not happen.

mod chain;
mod making;
mod scopes;
