//! A table on a terminal: first column to the left, the others to the right, as wide as they must be.
//! Nothing is cut, so that a row can be pasted elsewhere.
//!
//! Invariant: every row has as many cells as the head.

/// The table's lines.
pub fn lines(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    [&head, &rules]
        .into_iter()
        .chain(rows)
        .map(|row| line(row, &widths))
        .collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (at, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width - cell.chars().count());
        let padded = if at == 0 {
            format!("{cell}{padding}")
        } else {
            format!("  {padding}{cell}")
        };
        text.push_str(&padded);
    }
    text.trim_end().to_owned()
}
