//! The Dockerfile, the compose file and the configuration of `deploy/` as far as the rules need them.
//! What a line means is read here once, and the rules and the run of the image both stand on it.
//!
//! Invariant: an instruction that is not understood fails the test that reads it.

use std::path::Path;

/// A Dockerfile, stage by stage.
pub struct Dockerfile {
    pub stages: Vec<Stage>,
}

/// What is between one `FROM` and the next.
pub struct Stage {
    /// The image it begins with.
    pub image: String,
    /// What other stages call it.
    pub name: Option<String>,
    pub instructions: Vec<Instruction>,
}

/// One instruction, its continued lines joined.
pub struct Instruction {
    pub word: String,
    pub rest: String,
}

/// What a container is run with besides its image.
pub struct Compose(String);

/// A file of the repository.
pub fn text_of(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("a file of the repository")
}

impl Dockerfile {
    pub fn read() -> Self {
        let joined = text_of("Dockerfile").replace("\\\n", " ");
        let lines = joined.lines().map(str::trim);
        let mut stages: Vec<Stage> = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').expect("an instruction says something");
            let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
            if word == "FROM" {
                let (image, name) = match rest.split_once(" AS ") {
                    Some((image, name)) => (image.to_owned(), Some(name.to_owned())),
                    None => (rest, None),
                };
                let instructions = Vec::new();
                stages.push(Stage {
                    image,
                    name,
                    instructions,
                });
            } else {
                let stage = stages.last_mut().expect("FROM comes first");
                let word = word.to_owned();
                stage.instructions.push(Instruction { word, rest });
            }
        }
        Self { stages }
    }

    /// The stage that becomes the image.
    pub fn last(&self) -> &Stage {
        self.stages.last().expect("there is a stage")
    }
}

impl Stage {
    /// Every instruction of this kind.
    pub fn all(&self, word: &str) -> impl Iterator<Item = &Instruction> {
        self.instructions.iter().filter(move |one| one.word == word)
    }

    /// The one instruction of this kind.
    pub fn one(&self, word: &str) -> &Instruction {
        let mut found = self.all(word);
        let one = found.next();
        assert!(found.next().is_none(), "{word} is there twice");
        one.unwrap_or_else(|| panic!("there is no {word}"))
    }

    /// The environment that a container begins with.
    pub fn environment(&self) -> Vec<(String, String)> {
        let pairs = self.all("ENV").flat_map(|line| line.rest.split(' '));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        };
        pairs.map(pair).collect()
    }

    /// The program of a container with its first arguments, and those that may be replaced.
    pub fn entry(&self) -> (Vec<String>, Vec<String>) {
        (self.one("ENTRYPOINT").words(), self.one("CMD").words())
    }

    /// What tells whether a container is well.
    pub fn health(&self) -> Vec<String> {
        let check = &self.one("HEALTHCHECK").rest;
        let (_, command) = check.split_once("CMD ").expect("it has a command");
        list(command)
    }
}

impl Instruction {
    /// The words of an instruction that needs no shell.
    pub fn words(&self) -> Vec<String> {
        list(&self.rest)
    }
}

/// An instruction in its exec form: a list of words, which no shell reads.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("this needs a shell: {text}"))
}

impl Compose {
    pub fn read() -> Self {
        Self(text_of("deploy/compose.yaml"))
    }

    /// What a key of the service, or of its `ulimits`, says on its own line.
    pub fn value(&self, key: &str) -> &str {
        let begin = format!("{key}: ");
        let mut lines = self.0.lines().map(str::trim_start);
        let found = lines.find_map(|line| line.strip_prefix(&begin));
        found.unwrap_or_else(|| panic!("deploy/compose.yaml has no {key}"))
    }

    /// The mounts of the service: from, to, and whether they may be written to.
    pub fn mounts(&self) -> Vec<(&str, &str, bool)> {
        let (_, below) = self.0.split_once("    volumes:\n").expect("it has volumes");
        let items = below
            .lines()
            .map_while(|line| line.strip_prefix("      - "));
        let mount = |item| {
            let parts: Vec<&str> = str::split(item, ':').collect();
            match parts[..] {
                [from, to] => (from, to, true),
                [from, to, "ro"] => (from, to, false),
                _ => panic!("no mount: {item}"),
            }
        };
        items.map(mount).collect()
    }

    /// The hard limit of something, which must be the soft one as well.
    pub fn limit(&self, name: &str) -> u64 {
        let both = self.value(name);
        let one = both
            .split_once("soft: ")
            .and_then(|(_, rest)| rest.split_once(','));
        let soft = one.expect("it has a soft limit").0;
        assert_eq!(both, format!("{{ soft: {soft}, hard: {soft} }}"));
        soft.parse().expect("a number")
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}
