//! What a command speaks of: a project, an environment, a secret, a connection, a folder of secrets, a field.
//! Names are canonical or refused, never repaired, by the same rules as the server's.
//!
//! Invariant: a reference of three parts or more is always whole; a shorter one lies where `.coffer.toml` says.

use crate::defaults::{Defaults, FILE};
use crate::failure::Failure;

/// The rule that [`is_place`] checks, for sentences.
pub const PLACE_RULE: &str = "lower-case letters, digits and -, starting with a letter, at most 63";

const PART_RULE: &str =
    "letters, digits and _.@:=~+-, starting with a letter, a digit or _, at most 128";
const PLACE_BYTES_MAX: usize = 63;
const PART_BYTES_MAX: usize = 128;
const PARTS_MAX: usize = 16;
const PATH_BYTES_MAX: usize = 512;
const FIELD_BYTES_MAX: usize = 128;
const ID_BYTES_MAX: usize = 128;

/// `project/environment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its project's name.
    pub project: String,
    /// Its own name.
    pub name: String,
}

/// `project/environment/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Where it lies.
    pub environment: Environment,
    /// Its path there, parts joined by `/`.
    pub path: String,
}

/// `project/environment/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where it lies.
    pub environment: Environment,
    /// Its name there, one part.
    pub name: String,
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.environment, self.path)
    }
}

impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.environment, self.name)
    }
}

/// A project's name.
pub fn project(text: &str) -> Result<String, Failure> {
    if is_place(text) && text != "sys" {
        return Ok(text.to_owned());
    }
    Err(Failure::usage(format!(
        "A project's name is {PLACE_RULE}, and not sys."
    )))
}

/// The named project, or the default one.
pub fn project_or_default(text: Option<&str>) -> Result<String, Failure> {
    match text {
        Some(text) => project(text),
        None => Defaults::nearest()?
            .project
            .ok_or_else(|| missing("PROJECT")),
    }
}

/// `P/E`, `E` in the default project, or the default environment.
pub fn environment(text: Option<&str>) -> Result<Environment, Failure> {
    environment_in(text, Defaults::nearest)
}

fn environment_in(
    text: Option<&str>,
    defaults: impl FnOnce() -> Result<Defaults, Failure>,
) -> Result<Environment, Failure> {
    let parts: Vec<&str> = text
        .map(|text| text.split('/').collect())
        .unwrap_or_default();
    match parts[..] {
        [project_name, name] => place(project_name, name),
        [name] => place(
            &defaults()?
                .project
                .ok_or_else(|| missing("PROJECT/ENVIRONMENT"))?,
            name,
        ),
        [] => default_environment(defaults()?, "PROJECT/ENVIRONMENT"),
        _ => Err(Failure::usage(
            "An environment is written PROJECT/ENVIRONMENT.",
        )),
    }
}

/// `P/E/PATH`, or a path of one or two parts in the default environment.
pub fn secret(text: &str) -> Result<Secret, Failure> {
    secret_in(text, Defaults::nearest)
}

fn secret_in(
    text: &str,
    defaults: impl FnOnce() -> Result<Defaults, Failure>,
) -> Result<Secret, Failure> {
    if let [project_name, name, path] = text.splitn(3, '/').collect::<Vec<_>>()[..] {
        return Ok(Secret {
            environment: place(project_name, name)?,
            path: whole_path(path)?,
        });
    }
    if text.contains('=') {
        return Err(Failure::usage(
            "The first argument is the secret: write PROJECT/ENVIRONMENT/PATH before any FIELD=VALUE.",
        ));
    }
    let path = whole_path(text)?;
    Ok(Secret {
        environment: default_environment(defaults()?, "PROJECT/ENVIRONMENT/PATH")?,
        path,
    })
}

/// `P/E/NAME`, or a name in the default environment.
pub fn connection(text: &str) -> Result<Connection, Failure> {
    connection_in(text, Defaults::nearest)
}

fn connection_in(
    text: &str,
    defaults: impl FnOnce() -> Result<Defaults, Failure>,
) -> Result<Connection, Failure> {
    const WANTED: &str = "PROJECT/ENVIRONMENT/NAME";
    let (place, name) = text
        .rsplit_once('/')
        .map_or((None, text), |(place, name)| (Some(place), name));
    if !is_part(name) {
        return Err(Failure::usage(format!(
            "A connection's name is {PART_RULE}."
        )));
    }
    let environment = match place.map(|place| place.split('/').collect::<Vec<_>>()) {
        None => default_environment(defaults()?, WANTED)?,
        Some(parts) => match parts[..] {
            [project_name, name] => self::place(project_name, name)?,
            _ => {
                return Err(Failure::usage(format!(
                    "A connection is written {WANTED}, and its name is one part."
                )));
            }
        },
    };
    Ok(Connection {
        environment,
        name: name.to_owned(),
    })
}

/// An environment and a path prefix in it: `P/E`, `P/E/PREFIX`, or nothing for the default environment.
pub fn folder(text: Option<&str>) -> Result<(Environment, Option<String>), Failure> {
    let text = text.map(|text| text.strip_suffix('/').unwrap_or(text));
    match text
        .map(|text| text.splitn(3, '/').collect::<Vec<_>>())
        .as_deref()
    {
        Some([project_name, name, prefix]) => {
            Ok((place(project_name, name)?, Some(whole_path(prefix)?)))
        }
        _ => Ok((environment(text)?, None)),
    }
}

/// A field's name.
pub fn field(text: &str) -> Result<String, Failure> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if text.len() <= FIELD_BYTES_MAX
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(rest)
    {
        return Ok(text.to_owned());
    }
    Err(Failure::usage(
        "A field's name is letters, digits and _.-, starting with a letter or _, at most 128.",
    ))
}

/// An id of a token or a secret.
pub fn id(text: &str) -> Result<String, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Failure::usage("An id is letters, digits, _ and -."))
}

/// Whether this can name a project or an environment.
pub fn is_place(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= PLACE_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(rest)
}

fn place(project_name: &str, name: &str) -> Result<Environment, Failure> {
    if !is_place(name) || name == "sys" {
        return Err(Failure::usage(format!(
            "An environment's name is {PLACE_RULE}, and not sys."
        )));
    }
    Ok(Environment {
        project: project(project_name)?,
        name: name.to_owned(),
    })
}

fn default_environment(defaults: Defaults, wanted: &str) -> Result<Environment, Failure> {
    match defaults {
        Defaults {
            project: Some(project_name),
            environment: Some(name),
        } => place(&project_name, &name),
        _ => Err(missing(wanted)),
    }
}

fn missing(wanted: &str) -> Failure {
    Failure::usage(format!(
        "There is no default to complete this with: write {wanted}, or set project and environment in {FILE}."
    ))
}

fn whole_path(text: &str) -> Result<String, Failure> {
    let parts = text.split('/');
    if text.len() > PATH_BYTES_MAX || parts.clone().count() > PARTS_MAX {
        return Err(Failure::usage(format!(
            "A path is at most {PARTS_MAX} parts and {PATH_BYTES_MAX} bytes."
        )));
    }
    if !parts.clone().all(is_part) {
        return Err(Failure::usage(format!(
            "Each part of a path is {PART_RULE}."
        )));
    }
    Ok(text.to_owned())
}

fn is_part(text: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@:=~+-".contains(&byte);
    text.len() <= PART_BYTES_MAX && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Result<Defaults, Failure> {
        Ok(Defaults::default())
    }

    fn payments() -> Result<Defaults, Failure> {
        Ok(Defaults {
            project: Some("payments".into()),
            environment: Some("prod".into()),
        })
    }

    #[test]
    fn three_parts_are_whole_and_fewer_need_defaults() {
        let whole = secret_in("a/b/c/d", || panic!("no default is needed")).expect("a secret");
        assert_eq!(
            (whole.to_string().as_str(), whole.path.as_str()),
            ("a/b/c/d", "c/d")
        );
        assert_eq!(
            secret_in("stripe", payments).expect("a secret").to_string(),
            "payments/prod/stripe"
        );
        assert_eq!(
            secret_in("db/main", payments)
                .expect("a secret")
                .to_string(),
            "payments/prod/db/main"
        );
        assert!(secret_in("stripe", none).is_err());
        assert_eq!(
            environment_in(None, payments).expect("a place").to_string(),
            "payments/prod"
        );
        assert_eq!(
            environment_in(Some("dev"), payments)
                .expect("a place")
                .to_string(),
            "payments/dev"
        );
        assert_eq!(
            environment_in(Some("x/y"), none)
                .expect("a place")
                .to_string(),
            "x/y"
        );
        assert!(environment_in(Some("x/y/z"), payments).is_err());
    }

    #[test]
    fn canonical_or_refused() {
        for bad in [
            "a/b/", "a/b//c", "a/b/.", "a/b/..", "a/b/.c", "a/b/c/", "A/b/c", "a/B/c", "a/b/c d",
            "a/b/é", "/a/b/c", "sys/b/c", "a/sys/c", "a/b/%41", "", "a/b/-c",
        ] {
            assert!(secret_in(bad, payments).is_err(), "{bad}");
        }
        for good in ["a/b/C", "a/b/_x", "a/b/user@host:1=2~3+4-5.6"] {
            assert!(secret_in(good, none).is_ok(), "{good}");
        }
        assert!(secret_in(&format!("a/b/{}", "x".repeat(129)), none).is_err());
        assert!(secret_in(&format!("a/b/{}", vec!["x"; 17].join("/")), none).is_err());
        assert!(secret_in(&format!("a/b/{}", vec!["x"; 16].join("/")), none).is_ok());
    }

    #[test]
    fn a_connection_has_a_name_of_one_part() {
        let whole = connection_in("a/b/C.d@e", || panic!("no default is needed"));
        assert_eq!(whole.expect("a connection").to_string(), "a/b/C.d@e");
        let short = connection_in("github", payments).expect("a connection");
        assert_eq!(short.to_string(), "payments/prod/github");
        assert!(connection_in("github", none).is_err());
        for bad in [
            "a/b/c/d", "a/b", "a/b/", "/b/c", "a//c", "a/b/.c", "A/b/c", "sys/b/c", "a/b/c d", "",
            "a/b/é", "a/b/%41",
        ] {
            let failure = connection_in(bad, payments).expect_err(bad);
            assert_eq!(failure.exit() as u8, 2, "{bad}");
        }
        assert!(connection_in(&format!("a/b/{}", "x".repeat(129)), none).is_err());
    }

    #[test]
    fn a_forgotten_reference_does_not_become_a_name() {
        let failure = secret_in("value=hunter2", payments).expect_err("refused");
        assert!(!failure.text().contains("hunter2"));
    }

    #[test]
    fn folders_fields_and_ids() {
        let (place, prefix) = folder(Some("a/b/c/d/")).expect("a folder");
        assert_eq!(
            (place.to_string().as_str(), prefix.as_deref()),
            ("a/b", Some("c/d"))
        );
        assert_eq!(folder(Some("a/b")).expect("a folder").1, None);
        assert!(field("api_key").is_ok() && field("_a.b-c").is_ok());
        for bad in ["", "1a", "a b", "a=b", "é", ".a"] {
            assert!(field(bad).is_err(), "{bad}");
        }
        assert!(
            id("0190-ab_C").is_ok() && id("..").is_err() && id("a/b").is_err() && id("").is_err()
        );
    }
}
