//! What may be answered on damaged ground: the truth, less of it, or, where something older was put back, what was true then.
//!
//! Invariant: a line that was never true, and a line for somebody who may not be told, is wrong whatever the damage is.

use std::collections::{BTreeMap, BTreeSet};

use super::questions::Question::{self, Access, Export, Own, Read};
use super::questions::Version::{Current, First, Previous};
use super::questions::{Answer, Answers};

/// The truth in the end, where it is the history's point: what is read, and what is refused.
pub fn assert_true(now: &Answers) {
    let read = |who, within, path, version| match &now[&Read(who, within, path, version)] {
        Ok(lines) => lines.iter().cloned().collect::<Vec<_>>().join(", "),
        Err(code) => (*code).to_owned(),
    };
    let api = "p/e/api 2 Current value=second api";
    assert_eq!(read("root", "p/e", "api", Current), api);
    assert_eq!(read("reader", "p/e", "api", Current), api);
    assert_eq!(read("child", "p/e", "api", Current), api);
    assert_eq!(read("app", "p/e", "api", Current), api);
    let first = "p/e/api 1 Retired value=first api";
    assert_eq!(read("root", "p/e", "api", First), first);
    let password = "p/e/db/password 1 Previous value=first password";
    assert_eq!(read("root", "p/e", "db/password", Previous), password);
    assert_eq!(read("root", "p/e", "gone", Current), "not-found");
    assert_eq!(read("root", "p/e", "shredded", First), "not-found");
    assert_eq!(read("revoked", "p/e", "api", Current), "token-revoked");
    assert_eq!(read("orphaned", "p/e", "api", Current), "token-revoked");
    assert_eq!(read("expired", "p/e", "api", Current), "token-expired");
    for (who, within, path) in [
        ("reader", "p/e", "root/inner"),
        ("reader", "q/e", "other"),
        ("child", "p/e", "root/inner"),
        ("app", "p/e", "db/password"),
    ] {
        let refused = now[&Read(who, within, path, Current)].as_ref();
        assert!(
            matches!(refused, Err(&"not-found" | &"forbidden")),
            "{who} {path}: {refused:?}"
        );
    }
    let token = now[&Access("root")].as_ref().expect("it is read");
    assert!(
        token.iter().all(|line| line.ends_with("second token")),
        "{token:?}"
    );
    assert!(now[&Access("app")].is_err());
    let others = now
        .iter()
        .filter(|(question, _)| !matches!(question, Read(..) | Own("orphaned") | Access("app")));
    for (question, answer) in others {
        assert!(answer.is_ok(), "{question:?}: {answer:?}");
    }
}

/// What is wrong with an answer on damaged ground, if anything is; `then` where something older was put back.
pub fn wrong(
    question: Question,
    answer: &Answer,
    now: &Answers,
    then: Option<&Answers>,
) -> Option<String> {
    let Ok(lines) = answer else { return None };
    let told = |answers: &Answers| answers[&question].is_ok();
    let may = told(now) || then.is_some_and(told) && !question.is_over();
    if !may && !lines.is_empty() {
        return Some(format!("nobody may be told: {lines:?}"));
    }
    if question == Export {
        return wrong_export(lines, &now[&Export]);
    }
    let known = |answers: &Answers, line: &String| {
        let mut same = answers.iter().filter(|(other, _)| other.is_about(question));
        same.any(|(_, answer)| answer.as_ref().is_ok_and(|lines| lines.contains(line)))
    };
    let mut never = lines
        .iter()
        .filter(|line| !known(now, line) && !then.is_some_and(|then| known(then, line)));
    never
        .next()
        .map(|line| format!("this was never true: {line}"))
}

/// Records are those that were there, or further on in a stream than those.
fn wrong_export(lines: &BTreeSet<String>, now: &Answer) -> Option<String> {
    let now = now.as_ref().expect("the log could be exported");
    let place = |line: &String| {
        let record = coffer_audit_log::Record::parse(line.as_bytes()).expect("a record");
        (record.stream.into_owned(), record.index)
    };
    let known: BTreeMap<_, _> = now.iter().map(|line| (place(line), line)).collect();
    let ends: BTreeMap<String, u64> = known.keys().cloned().collect();
    lines.iter().find_map(|line| {
        let (stream, index) = place(line);
        match known.get(&(stream.clone(), index)) {
            // The last records are those of the looking itself.
            Some(record) if *record == line || index + LOOKED > ends[&stream] => None,
            Some(record) => Some(format!("{record} was exported as {line}")),
            None => ends
                .get(&stream)
                .is_none_or(|end| index < *end)
                .then(|| format!("this was never recorded: {line}")),
        }
    })
}

/// Records that the questions before the last export have made, at most.
const LOOKED: u64 = 90;
