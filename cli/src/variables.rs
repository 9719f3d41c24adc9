//! The environment variables that `run` gives a command: one a field, `PATH_FIELD` in upper case with `/ . -` as `_`;
//! a field called `value` adds nothing to the name.
//!
//! Invariant: no two fields share a variable, and no secret decides how the command itself is found or loaded.

use crate::failure::Failure;
use std::collections::BTreeMap;

/// Names that steer the loader, the shell or `coffer`, so that who may write a secret cannot run code with them.
const RESERVED: [&str; 21] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PROMPT_COMMAND",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "NODE_OPTIONS",
    "PERL5LIB",
    "PERL5OPT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "RUBYLIB",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "COFFER_ADDR",
    "COFFER_TOKEN",
    "COFFER_CACERT",
];
const RESERVED_BEGINNINGS: [&str; 2] = ["LD_", "DYLD_"];

/// The variable for a field of the secret at `path`.
pub fn variable(prefix: &str, path: &str, field: &str) -> String {
    let mut name = format!("{prefix}{}", upper(path));
    if field != "value" {
        name.push('_');
        name.push_str(&upper(field));
    }
    name
}

/// Whether the secret at `path` can have given a variable this name.
pub fn may_name(prefix: &str, path: &str, name: &str) -> bool {
    let base = variable(prefix, path, "value");
    name.strip_prefix(base.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Variables with the path and field they come from.
#[derive(Default)]
pub struct Variables(BTreeMap<String, (String, String)>);

impl Variables {
    /// Takes one more name in, or says what it clashes with.
    pub fn add(&mut self, name: &str, path: &str, field: &str) -> Result<(), Failure> {
        if !is_legal(name) {
            return Err(Failure::failed(format!(
                "Field {field} of {path} would become {name}, which cannot name a variable: rename it or leave it out with --only."
            )));
        }
        if RESERVED.contains(&name)
            || RESERVED_BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning))
        {
            return Err(Failure::failed(format!(
                "Field {field} of {path} would become {name}, which decides what is run: give a --prefix or leave it out with --only."
            )));
        }
        let source = (path.to_owned(), field.to_owned());
        match self.0.insert(name.to_owned(), source) {
            None => Ok(()),
            Some((other_path, other_field)) => Err(Failure::failed(format!(
                "Field {other_field} of {other_path} and field {field} of {path} would both become {name}: leave one out with --only."
            ))),
        }
    }
}

fn upper(name: &str) -> String {
    name.replace(['/', '.', '-'], "_").to_ascii_uppercase()
}

fn is_legal(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && name.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(variable("", "stripe", "api_key"), "STRIPE_API_KEY");
        assert_eq!(
            variable("", "db/main-1.eu", "user.name-x"),
            "DB_MAIN_1_EU_USER_NAME_X"
        );
        assert_eq!(variable("", "stripe", "value"), "STRIPE");
        assert_eq!(variable("", "stripe", "VALUE"), "STRIPE_VALUE");
        assert_eq!(variable("APP_", "stripe", "value"), "APP_STRIPE");
        assert!(
            may_name("", "stripe", "STRIPE_KEY")
                && may_name("", "stripe", "STRIPE")
                && !may_name("", "stripe", "STRIPES")
        );
    }

    #[test]
    fn a_collision_names_both() {
        let mut variables = Variables::default();
        variables.add("A_B", "a/b", "value").expect("the first");
        let failure = variables.add("A_B", "a", "b").expect_err("the second");
        assert_eq!(failure.exit() as u8, 1);
        for part in ["a/b", "value", "field b of a ", "A_B"] {
            assert!(failure.text().contains(part), "{}", failure.text());
        }
    }

    #[test]
    fn illegal_and_reserved_names() {
        for name in [
            "1A",
            "A@B",
            "A B",
            "",
            "A+B",
            "A:B",
            "PATH",
            "LD_PRELOAD",
            "COFFER_ADDR",
        ] {
            let failure = Variables::default().add(name, "p", "f").expect_err(name);
            assert_eq!(failure.exit() as u8, 1, "{name}");
        }
        Variables::default().add("_PATH", "p", "f").expect("legal");
    }
}
