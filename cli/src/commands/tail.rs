//! `coffer audit tail`: the newest records, and with `-f` those that come after.
//! Asking leaves records too; those that following itself makes are not shown, or it would never be quiet.
//!
//! Invariant: what went by between two questions unseen is said, not hidden.

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::records::Record;
use crate::routes::Route;
use clap::Args;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How often `-f` asks.
const POLL: Duration = Duration::from_secs(1);
/// The most that can be asked for at a time.
const RECORDS_MAX: i64 = 1_000;
/// How many `-f` asks for each time; of as many of its own requests it knows the records.
const RECORDS_A_POLL: u32 = 200;

/// Print the newest records, the newest last.
#[derive(Args)]
pub struct Tail {
    /// How many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=RECORDS_MAX))]
    lines: u32,
    /// Go on printing records as they are made.
    #[arg(short, long)]
    follow: bool,
}

impl Tail {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let client = Client::from_environment()?;
        let mut own = VecDeque::new();
        // What goes by unnoticed between two questions is told from what is seen now, so `-f` has to see as much each time.
        let asked = if self.follow {
            self.lines.max(RECORDS_A_POLL)
        } else {
            self.lines
        };
        let mut last = newest(&client, asked, &mut own)?;
        let before = last.len().saturating_sub(self.lines as usize);
        print(output, last[before..].iter())?;
        if !self.follow {
            return Ok(());
        }
        loop {
            std::thread::sleep(POLL);
            let next = newest(&client, asked, &mut own)?;
            let seen: BTreeSet<&str> = last.iter().map(|record| record.text("id")).collect();
            let fresh: Vec<&Record> = next
                .iter()
                .filter(|record| !seen.contains(record.text("id")))
                .collect();
            if !seen.is_empty() && fresh.len() == next.len() {
                output::note(
                    "Records may have gone by unseen: `coffer audit export` has them all.",
                );
            }
            let of_others =
                |record: &&Record| !own.iter().any(|request| request == record.text("request"));
            print(output, fresh.into_iter().filter(of_others))?;
            last = next;
        }
    }
}

/// The newest records, the newest last; the request's own id is remembered.
fn newest(client: &Client, limit: u32, own: &mut VecDeque<String>) -> Result<Vec<Record>, Failure> {
    let reply = client.get(
        &Route::new("audit")
            .part("records")
            .query_if("limit", Some(limit)),
    )?;
    own.push_back(reply.request_id.clone());
    if own.len() > RECORDS_A_POLL as usize {
        own.pop_front();
    }
    let lines = reply.body.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(Record::parse)
        .collect()
}

fn print<'a>(output: Output, records: impl Iterator<Item = &'a Record>) -> Result<(), Failure> {
    for record in records {
        record.print(output)?;
    }
    Ok(())
}
