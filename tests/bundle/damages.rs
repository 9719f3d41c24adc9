//! The ways in which a bundle is damaged: its bytes, its lines, and a head that was true once.
//!
//! Invariant: whatever comes out differs from what went in.

/// A damaged bundle.
pub struct Damaged {
    /// The kind of damage.
    pub kind: &'static str,
    /// What was done, to which line or byte.
    pub what: String,
    /// The text.
    pub text: Vec<u8>,
}

/// Every byte with one of its bits flipped, in turn; the verifier in Python tries all eight.
pub fn flips(text: &[u8]) -> impl Iterator<Item = Damaged> {
    (0..text.len()).map(|at| {
        let bit = at % 8;
        let mut text = text.to_vec();
        text[at] ^= 1 << bit;
        Damaged {
            kind: "a flipped bit",
            what: format!("bit {bit} of byte {at}"),
            text,
        }
    })
}

/// Every line dropped, repeated and swapped with the next; some bytes flipped; the text cut, and made longer.
pub fn damages(text: &[u8]) -> Vec<Damaged> {
    let lines = lines(text);
    let mut all = Vec::new();
    let mut add = |kind, what: String, lines: Vec<&[u8]>| {
        let text = lines.concat();
        all.push(Damaged { kind, what, text });
    };
    for at in 0..lines.len() {
        let (before, after) = (&lines[..at], &lines[at + 1..]);
        let what = |verb| format!("line {} {verb}", at + 1);
        add("a dropped line", what("dropped"), [before, after].concat());
        let twice = [before, &[lines[at], lines[at]], after].concat();
        add("a repeated line", what("repeated"), twice);
        let Some((next, rest)) = after.split_first().filter(|(next, _)| **next != lines[at]) else {
            continue;
        };
        let swapped = [before, &[*next, lines[at]], rest].concat();
        add("two swapped lines", what("swapped with the next"), swapped);
    }
    let records = |line: &&[u8]| line.starts_with(b"{");
    let first = lines.iter().position(records);
    let first = first.expect("a record");
    for (kind, line) in [
        ("a flipped byte of the header", 0),
        ("a flipped byte of a head", first - 3),
        ("a flipped byte of a record", first),
        ("a flipped byte of the end", lines.len() - 1),
    ] {
        let mut text = text.to_vec();
        let at: usize = lines[..line].iter().map(|line| line.len()).sum();
        text[at + lines[line].len() / 2] ^= 1;
        let what = format!("in line {}", line + 1);
        all.push(Damaged { kind, what, text });
    }
    for length in [text.len() - 1, text.len() / 2, 1] {
        all.push(Damaged {
            kind: "a cut text",
            what: format!("{length} bytes left"),
            text: text[..length].to_vec(),
        });
    }
    for more in ["\n", " ", "end 0\n", "\0"] {
        all.push(Damaged {
            kind: "a longer text",
            what: format!("{more:?} more"),
            text: [text, more.as_bytes()].concat(),
        });
    }
    all
}

/// One head replaced by an older one of the same stream, truly signed: alone, and with the records cut to fit it.
pub fn damaged_heads(text: &[u8], older: &str) -> Vec<Damaged> {
    let lines = lines(text);
    let origin = older.split_inclusive('\n').next().expect("an origin");
    let at = lines.iter().position(|line| *line == origin.as_bytes());
    let at = at.expect("the older head is of a stream of this bundle");
    let number = |line: &str| line.trim_end().parse::<usize>().expect("a size");
    let size = number(std::str::from_utf8(lines[at + 1]).expect("text"));
    let kept = number(older.lines().nth(1).expect("a size"));
    assert!(kept < size, "the head is older");
    let records = &lines[at + 5..at + 5 + size];
    let rest = &lines[at + 5 + size..lines.len() - 1];
    let begin = [&lines[..at], &[older.as_bytes()]].concat();
    let end = lines[lines.len() - 1];
    let total = number(
        std::str::from_utf8(end)
            .expect("text")
            .trim_start_matches("end "),
    );
    let fewer = format!("end {}\n", total - (size - kept));
    let of = |kind, lines: Vec<&[u8]>| Damaged {
        kind,
        what: format!("{kept} of {size} records"),
        text: lines.concat(),
    };
    vec![
        of(
            "an older head alone",
            [&begin, records, rest, &[end]].concat(),
        ),
        of(
            "an older head, and the records cut to fit it",
            [&begin, &records[..kept], rest, &[fewer.as_bytes()]].concat(),
        ),
        of(
            "a stream left out",
            [
                &lines[..3],
                &[b"streams 1\n"],
                rest,
                &[format!("end {}\n", total - size).as_bytes()],
            ]
            .concat(),
        ),
    ]
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}
