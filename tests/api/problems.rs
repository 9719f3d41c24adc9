//! The codes of problems: one list for programs, which the source and the page for people agree with.

use std::collections::BTreeSet;

use coffer_api::PROBLEMS;

/// The status and the codes of each row of the page's table.
fn documented() -> BTreeSet<(u16, String)> {
    let page = include_str!("../../docs/api.md");
    let (_, table) = page.split_once("\n## Problems\n").expect("it has a table");
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let status: u16 = cells.next()?.parse().ok()?;
        Some((status, cells.next()?))
    });
    let codes = rows.flat_map(|(status, codes)| {
        let codes = codes.split('`').skip(1).step_by(2);
        codes.map(move |code| (status, code.to_owned()))
    });
    codes.collect()
}

#[test]
fn the_page_has_every_code() {
    let listed = PROBLEMS
        .iter()
        .map(|(status, code)| (*status, (*code).to_owned()));
    assert_eq!(listed.collect::<BTreeSet<_>>(), documented());
}

/// What operations call a clash is in the list, but for what only the system is told.
#[test]
fn the_list_has_every_clash_of_the_source() {
    let mut found = BTreeSet::new();
    for file in crate::architecture::texts() {
        for behind in file.split("Conflict(").skip(1) {
            let code = behind.trim_start().strip_prefix('"');
            found.extend(code.and_then(|code| Some(code.split_once('"')?.0.to_owned())));
        }
    }
    assert!(found.remove("not-due"));
    let listed = PROBLEMS.iter().filter(|(status, _)| *status == 409);
    assert_eq!(
        listed
            .map(|(_, code)| (*code).to_owned())
            .collect::<BTreeSet<_>>(),
        found
    );
}
