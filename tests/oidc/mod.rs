//! The same promises before a provider that is not ours: npm's oidc-provider, which ends a grant whose token is shown twice.
//! These run under `scripts/test --all` alone, which installs it; started without it they fail.

mod itself;
mod stories;
