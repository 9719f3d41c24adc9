//! Rust text as far as the rules need it: words without comments and strings, and the paths that they make.
//! A small reader of our own, so that a path in the middle of an expression counts as much as a `use`.
//!
//! Invariant: nothing that the compiler would take as a path is passed over as a comment or a string.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One file of the repository.
pub struct File {
    /// From the repository's root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Its words and signs, without comments and with empty strings.
    pub words: Vec<String>,
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
/// For tests and for fuzzers, which no program is.
#[rustfmt::skip]
const CFG_FUZZING: [&str; 12] = ["#", "[", "cfg", "(", "any", "(", "test", ",", "fuzzing", ")", ")", "]"];

/// What may stand between a mark and the module that it marks.
#[rustfmt::skip]
const BEFORE_MOD: [&str; 16] = [
    "#", "[", "]", "(", ")", "=", "\"\"", "path", "doc", "hidden", "pub", "crate", "super", "in", "::", "door",
];

/// Every `.rs` file below these folders, but what was built.
pub fn files(folders: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut files = Vec::new();
    while let Some(at) = waiting.pop() {
        if at.is_dir() {
            let entries = std::fs::read_dir(&at).expect("a folder can be read");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if at.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&at).expect("a source file is text");
            let path = at.strip_prefix(root).expect("it is in the repository");
            files.push(File {
                path: path.display().to_string(),
                words: words(&text),
                text,
            });
        }
    }
    assert!(!files.is_empty(), "no source file in {folders:?}");
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

impl File {
    /// The modules that lead to it from the crate's root: `src/door/ledger/mod.rs` is `door`, `ledger`.
    pub fn modules(&self) -> Vec<String> {
        let inside = self
            .path
            .strip_prefix("src/")
            .expect("a file of the library");
        let inside = inside.strip_suffix(".rs").expect("a Rust file");
        let parts = inside.split('/').map(str::to_owned);
        let mut modules: Vec<String> = parts.collect();
        modules.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
        modules
    }

    /// The names right below the crate's root that this file mentions, with `crate::`, `coffer::` or enough `super::`.
    pub fn names_below_root(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let depth = self.modules().len();
        for (at, inline) in self.positions() {
            let word = self.words[at].as_str();
            let after_path = at > 0 && self.words[at - 1] == "::";
            let next = self.words.get(at + 1).map(String::as_str);
            match word {
                "crate" if next == Some("::") => found.extend(self.heads(at + 2)),
                // `pub(crate)` is no path; anything else would give the root another name.
                "crate" if next != Some(")") => drop(found.insert("crate renamed".to_owned())),
                "coffer" if next == Some("::") && !after_path => found.extend(self.heads(at + 2)),
                "super" if !after_path => {
                    let (ups, rest) = self.ups(at);
                    if ups >= depth + inline {
                        found.extend(self.heads(rest));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The crates among `wanted` that a path of this file begins with.
    pub fn crates<'a>(&self, wanted: &[&'a str]) -> BTreeSet<&'a str> {
        let begins = |at: usize, name: &str| {
            self.words[at] == name
                && self.words.get(at + 1).is_some_and(|next| next == "::")
                && (at == 0 || !matches!(self.words[at - 1].as_str(), "::" | "."))
        };
        let named = |name: &&&str| (0..self.words.len()).any(|at| begins(at, name));
        wanted.iter().filter(named).copied().collect()
    }

    /// How often these words stand in a row, outside of what is compiled for tests alone.
    pub fn count_in_program(&self, row: &[&str]) -> usize {
        let program = self.without_tests();
        program.windows(row.len()).filter(|at| *at == row).count()
    }

    /// The files, without `.rs`, that are compiled for tests alone because this one says so.
    pub fn test_files(&self) -> Vec<String> {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let below = match name {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
        };
        let after = |mark: &[&str]| -> Vec<usize> {
            let marks = self.words.windows(mark.len()).enumerate();
            let marks = marks.filter(|(_, words)| *words == mark);
            marks.map(|(at, _)| at + mark.len()).collect()
        };
        let begins = after(&CFG_TEST).into_iter().chain(after(&CFG_FUZZING));
        let named = |begin: usize| {
            let rest = &self.words[begin..];
            let at = rest.iter().take(16).position(|word| word == "mod")?;
            let before = &rest[..at];
            let is_said = |word: &String| BEFORE_MOD.contains(&word.as_str());
            let is_file = before.iter().all(is_said) && rest.get(at + 2)? == ";";
            // A file that says where it is stands in the same folder as the one that names it.
            let is_beside = before.iter().any(|word| word == "path");
            let folder = if is_beside { folder } else { &below };
            is_file.then(|| format!("{folder}/{}", rest[at + 1]))
        };
        begins.filter_map(named).collect()
    }

    fn without_tests(&self) -> Vec<&str> {
        let marked = [&CFG_TEST[..], &["mod"]].concat();
        let mut program = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            let here = &self.words[at..];
            if here.len() > marked.len() + 1
                && here[..marked.len()] == marked
                && here[marked.len() + 1] == "{"
            {
                at = self.end_of_block(at + marked.len() + 1);
            } else {
                program.push(self.words[at].as_str());
                at += 1;
            }
        }
        program
    }

    fn end_of_block(&self, begin: usize) -> usize {
        let mut open = 0_usize;
        for (at, word) in self.words.iter().enumerate().skip(begin) {
            match word.as_str() {
                "{" => open += 1,
                "}" if open == 1 => return at + 1,
                "}" => open -= 1,
                _ => {}
            }
        }
        self.words.len()
    }

    /// Every word's index, and in how many inline modules it stands.
    fn positions(&self) -> Vec<(usize, usize)> {
        let mut open = 0_usize;
        let mut inline = Vec::new();
        let mut positions = Vec::with_capacity(self.words.len());
        for (at, word) in self.words.iter().enumerate() {
            positions.push((at, inline.len()));
            match word.as_str() {
                "{" => {
                    open += 1;
                    if at >= 2 && self.words[at - 2] == "mod" {
                        inline.push(open);
                    }
                }
                "}" => {
                    inline.pop_if(|begun| *begun == open);
                    open = open.saturating_sub(1);
                }
                _ => {}
            }
        }
        positions
    }

    /// How many `super::` follow one another, and where the path goes on.
    fn ups(&self, mut at: usize) -> (usize, usize) {
        let mut ups = 0;
        while self.words.get(at).is_some_and(|word| word == "super") {
            ups += 1;
            at += 2;
        }
        (ups, at)
    }

    /// The first names of a path that goes on here, or of each path of a group.
    fn heads(&self, at: usize) -> Vec<String> {
        if self.words.get(at).is_none_or(|word| word != "{") {
            return self.words.get(at).cloned().into_iter().collect();
        }
        let (mut heads, mut open, mut expected) = (Vec::new(), 1, true);
        for word in &self.words[at + 1..] {
            match word.as_str() {
                "{" => open += 1,
                "}" => open -= 1,
                "," if open == 1 => expected = true,
                _ if expected => {
                    heads.push(word.clone());
                    expected = false;
                }
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
        heads
    }
}

/// Words, `::`, and every other sign by itself.
fn words(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let (mut words, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        match rest {
            ['/', '/', ..] => at += until(rest, "\n"),
            ['/', '*', ..] => at += block_comment(rest),
            ['"', ..] => {
                words.push("\"\"".to_owned());
                at += string(rest);
            }
            ['r', '"' | '#', ..] if raw_string(rest).is_some() => {
                words.push("\"\"".to_owned());
                at += raw_string(rest).unwrap_or(1);
            }
            ['b', 'r', '"' | '#', ..] if raw_string(&rest[1..]).is_some() => {
                words.push("\"\"".to_owned());
                at += 1 + raw_string(&rest[1..]).unwrap_or(1);
            }
            ['\'', ..] => {
                words.push("'".to_owned());
                at += character(rest);
            }
            [':', ':', ..] => {
                words.push("::".to_owned());
                at += 2;
            }
            [first, ..] if is_word(*first) => {
                let length = rest.iter().take_while(|sign| is_word(**sign)).count();
                // `b"…"` and `br"…"`: the letters are no word.
                let prefix = length <= 2 && matches!(rest.get(length), Some('"'));
                if !prefix {
                    words.push(rest[..length].iter().collect());
                }
                at += length;
            }
            [first, ..] if first.is_whitespace() => at += 1,
            [first, ..] => {
                words.push(first.to_string());
                at += 1;
            }
            [] => unreachable!("the loop ends before"),
        }
    }
    words
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn until(rest: &[char], end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    let found = rest.windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |at| at + end.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut open) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (at, open) = (at + 2, open + 1),
            ['*', '/', ..] => (at, open) = (at + 2, open - 1),
            _ => at += 1,
        }
        if open == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|sign| **sign == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then(|| {
        let end = format!("\"{}", "#".repeat(hashes));
        2 + hashes + until(&rest[2 + hashes..], &end)
    })
}

/// A character, or the apostrophe of a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, ..] => 3 + until(&rest[3..], "'"),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

#[test]
fn words_are_read_as_the_compiler_would() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: String::new(),
        words: words(text),
    };
    let door = |text: &str| {
        let found = file("src/door/view.rs", text).names_below_root();
        found.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(door("use crate::store::{Reader, Store};"), ["store"]);
    assert_eq!(
        door("pub use crate::{a::B, c::{d::E, f}, g};"),
        ["a", "c", "g"]
    );
    assert_eq!(door("let x = 1 + crate::store::MAX;"), ["store"]);
    assert_eq!(
        door("// crate::a\n/* crate::b /* */ crate::c */ \"crate::d\" 'x'"),
        [""; 0]
    );
    assert_eq!(
        door(r##"r#"crate::a"# b"crate::b" '"' crate::c "\"crate::d""##),
        ["c"]
    );
    assert_eq!(door(r##"br#"{"crate::a"#; crate::b; br"crate::c""##), ["b"]);
    assert_eq!(door("fn f<'a>(x: &'a str) -> crate::a::B<'a> {}"), ["a"]);
    assert_eq!(door("super::super::store::x; super::cache::y"), ["store"]);
    assert_eq!(
        door("mod tests { use super::super::super::store; use super::super::cache; }"),
        ["store"]
    );
    assert_eq!(door("use crate as c;"), ["crate renamed"]);
    assert_eq!(door("pub(crate) fn f() {}"), [""; 0]);
    assert_eq!(
        file("src/door/mod.rs", "use super::store::Store;").names_below_root(),
        ["store".to_owned()].into()
    );
    let tested = file(
        "src/a/mod.rs",
        "x.expose(); #[cfg(test)] mod tests { y.expose(); } z.expose(); #[cfg(test)] mod stories;",
    );
    assert_eq!(tested.count_in_program(&[".", "expose", "("]), 2);
    assert_eq!(tested.test_files(), ["src/a/stories"]);
    let beside = file("src/a/b.rs", "#[cfg(test)] #[path = \"c.rs\"] mod c;");
    assert_eq!(beside.test_files(), ["src/a/c"]);
}
