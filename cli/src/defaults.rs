//! `.coffer.toml`, which a repository commits so that `coffer get stripe` works in it: a default project and
//! environment. The nearest one counts, in the working directory or above it.
//!
//! Invariant: it can set nothing else, least of all an address or a token; an unknown key is refused.

use crate::failure::Failure;
use crate::names;
use serde::Deserialize;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The file's name.
pub const FILE: &str = ".coffer.toml";

/// A longer file is somebody's mistake.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a reference may leave out.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The project that short references lie in.
    pub project: Option<String>,
    /// The environment that short references lie in.
    pub environment: Option<String>,
}

impl Defaults {
    /// Reads the nearest file, looking from the working directory upwards; none is no failure.
    pub fn nearest() -> Result<Self, Failure> {
        let Ok(here) = std::env::current_dir() else {
            return Ok(Self::default());
        };
        Self::above(&here)
    }

    fn above(here: &Path) -> Result<Self, Failure> {
        for directory in here.ancestors() {
            let path = directory.join(FILE);
            let unreadable =
                |kind| Failure::usage(format!("{} cannot be read ({kind}).", path.display()));
            let file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(error.kind())),
            };
            let mut text = String::new();
            file.take(FILE_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(|error| unreadable(error.kind()))?;
            return Self::parse(&text)
                .map_err(|why| Failure::usage(format!("{}: {why}.", path.display())));
        }
        Ok(Self::default())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let defaults: Self =
            toml::from_str(text).map_err(|error| error.message().replace('\n', " "))?;
        for name in [&defaults.project, &defaults.environment]
            .into_iter()
            .flatten()
        {
            if !names::is_place(name) {
                return Err(format!(
                    "a project's or environment's name is {}",
                    names::PLACE_RULE
                ));
            }
        }
        Ok(defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_and_environment_and_nothing_else() {
        let both =
            Defaults::parse("project = \"payments\"\nenvironment = \"prod\"\n").expect("defaults");
        assert_eq!(both.project.as_deref(), Some("payments"));
        assert_eq!(both.environment.as_deref(), Some("prod"));
        assert_eq!(Defaults::parse("").expect("defaults"), Defaults::default());
        for bad in [
            "address = \"https://x\"",
            "token = \"x\"",
            "project = 1",
            "project = \"A\"",
            "project",
            "environment = \"a/b\"",
        ] {
            assert!(Defaults::parse(bad).is_err(), "{bad}");
        }
        let error = Defaults::parse("token = \"x\"").expect_err("refused");
        assert!(error.contains("token"), "{error}");
    }

    #[test]
    fn the_nearest_file_counts() {
        let top = tempfile::tempdir().expect("a directory");
        let below = top.path().join("a/b");
        std::fs::create_dir_all(&below).expect("directories");
        std::fs::write(top.path().join(FILE), "project = \"far\"").expect("a file");
        assert_eq!(
            Defaults::above(&below)
                .expect("defaults")
                .project
                .as_deref(),
            Some("far")
        );
        std::fs::write(top.path().join("a").join(FILE), "project = \"near\"").expect("a file");
        assert_eq!(
            Defaults::above(&below)
                .expect("defaults")
                .project
                .as_deref(),
            Some("near")
        );
    }
}
