//! Attacks that others have suffered, replayed against Coffer through its HTTP door: each test bears the row of the list
//! of advisories that it is the answer to.
//!
//! Invariant: an attack is answered with an exact status, and leaves everything as it was.

mod callers;
mod canaries;
mod endurance;
mod fields;
mod floods;
mod frames;
mod garbage;
mod handshakes;
mod heads;
mod leaks;
mod names;
mod raw;
mod shares;
mod spans;
mod strangers;
mod tenants;
mod tokens;
mod turns;
mod unread;
mod unsealing;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::vault::TestVault;

/// Everything that can be listed: places, secrets with their versions and states, keys' terms, tokens.
async fn all_there_is(v: &TestVault) -> Value {
    let mut there = vec![v.get("/projects", &v.root).await.is(200).json()];
    for project in there[0]["projects"].clone().as_array().expect("a list") {
        let project = project["name"].as_str().expect("a name");
        let path = format!("/projects/{project}/environments");
        let environments = v.get(&path, &v.root).await.is(200).json();
        for environment in environments["environments"].as_array().expect("a list") {
            let place = format!(
                "{project}/{}",
                environment["name"].as_str().expect("a name")
            );
            there.push(
                v.get(&format!("/keys/{place}"), &v.root)
                    .await
                    .is(200)
                    .json(),
            );
            let path = format!("/secrets/{place}?recursive=true&limit=100");
            let secrets = v.get(&path, &v.root).await.is(200).json();
            for secret in secrets["items"].as_array().expect("a list") {
                let path = secret["path"].as_str().expect("a path");
                let history = v.get(&format!("/history/{path}"), &v.root).await;
                there.push(history.is(200).json());
            }
            there.push(secrets);
        }
        there.push(environments);
    }
    there.push(v.get("/tokens?limit=100", &v.root).await.is(200).json());
    json!(there)
}

/// Runs the attacks, and asserts that nothing is different afterwards.
macro_rules! unchanged {
    ($vault:expr, $attacks:block) => {{
        let before = $crate::advisories::all_there_is(&$vault).await;
        let result = $attacks;
        let after = $crate::advisories::all_there_is(&$vault).await;
        assert_eq!(before, after, "something has changed");
        result
    }};
}
use unchanged;

/// The page names tests that are there, and every test of this folder that replays something.
#[test]
fn the_page_names_what_there_is() {
    let page = include_str!("../../docs/security/advisories.md");
    let all = crate::architecture::functions();
    let named = |word: &&str| word.contains('_') && !word.contains(['/', '.', '…']);
    let names: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(named).collect();
    assert!(names.len() > 50);
    for name in &names {
        assert!(all.contains(*name), "there is no {name}");
    }
    let targets = [
        include_str!("../../src/fuzzing.rs"),
        include_str!("../../cli/src/fuzzing.rs"),
    ];
    let is_target =
        |word: &&str| word.contains('-') && !word.contains([' ', '.', '/']) && *word != "no-store";
    for name in page.split('`').skip(1).step_by(2).filter(is_target) {
        let is_there = targets
            .iter()
            .any(|file| file.contains(&format!("(\"{name}\", ")));
        assert!(is_there, "there is no fuzz target {name}");
    }
    let replayed = all.iter().filter(|name| name.starts_with("replay_"));
    for name in replayed {
        assert!(names.contains(name.as_str()), "{name} is not on the page");
    }
}

/// Every row of the list has its line on the page, or is in the range of one.
#[test]
fn every_row_has_an_answer() {
    const ROWS: [(char, u32); 11] = [
        ('A', 15),
        ('B', 10),
        ('C', 9),
        ('D', 25),
        ('E', 22),
        ('F', 11),
        ('G', 16),
        ('H', 15),
        ('I', 12),
        ('J', 14),
        ('K', 7),
    ];
    let number = |row: &str| -> (char, u32) {
        let (group, number) = row.split_at(1);
        let group = group.chars().next().expect("a group");
        (group, number.parse().expect("a row's number"))
    };
    let page = include_str!("../../docs/security/advisories.md");
    let mut answered = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        if cells[0].trim() == "row" {
            continue;
        }
        assert!(cells.len() == 3 && cells[2].len() > 5, "{line}");
        for rows in cells[0].split(',').map(str::trim) {
            let (first, last) = rows.split_once('–').unwrap_or((rows, rows));
            let ((group, first), (_, last)) = (number(first), number(last));
            answered.extend((first..=last).map(|number| (group, number)));
        }
    }
    let all = ROWS
        .iter()
        .flat_map(|(group, last)| (1..=*last).map(|number| (*group, number)));
    assert_eq!(answered, all.collect::<BTreeSet<_>>());
}
