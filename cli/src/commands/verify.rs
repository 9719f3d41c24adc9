//! `coffer audit verify`: whether a bundle is what the holder of a key signed, whole and unaltered.
//! It needs no server and believes none; the key has to come from elsewhere than the bundle.
//!
//! Invariant: 2 means that nothing was found out, 6 that the file is not a bundle of this key, undamaged.

use crate::failure::{Exit, Failure, why};
use crate::output::Output;
use clap::Args;
use coffer_api::AuditHeads;
use coffer_audit_log::{Checkpoint, Damage, Report, VerifierKey, open_note, verify_against};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// A verifier key is one short line.
const KEY_BYTES_MAX: u64 = 4 * 1024;
/// Heads of as many streams as a bundle can have, and more.
const HEADS_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Verify a bundle with the public key of its cluster; needs no server.
#[derive(Args)]
pub struct Verify {
    /// The bundle, as `coffer audit export --bundle` wrote it.
    bundle: PathBuf,
    /// The key, as `coffer audit key` printed it, or @FILE.
    #[arg(long, value_name = "VKEY|@FILE")]
    key: String,
    /// Heads that were kept elsewhere, as `coffer audit head -o json` printed them, or a single note: the bundle has to
    /// continue each of them. May be given more than once.
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
}

impl Verify {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let key = key(&self.key)?;
        let mut kept = Vec::new();
        for path in &self.head {
            kept.extend(heads(path, &key)?);
        }
        let file = open(&self.bundle).map_err(|error| unreadable(&self.bundle, error.kind()))?;
        let report = verify_against(BufReader::new(file), &key, &kept);
        let report = report.map_err(|damage| match damage {
            Damage::Unreadable { kind, .. } => unreadable(&self.bundle, kind),
            damage => {
                let said = damage.to_string();
                // What was kept elsewhere is on no line of the bundle.
                let said = said.strip_prefix("line 0: ").unwrap_or(&said);
                let path = self.bundle.display();
                Failure::new(Exit::Tampered, format!("{path} does not verify: {said}."))
            }
        })?;
        if output.is_json() {
            output.json(&report)
        } else {
            shown(output, &report)
        }
    }
}

fn shown(output: Output, report: &Report) -> Result<(), Failure> {
    let pruned: u64 = report.streams.iter().map(|stream| stream.pruned).sum();
    let but = match pruned {
        0 => String::new(),
        pruned => format!(", {pruned} of which its retention pruned"),
    };
    output.line(&format!(
        "verified: {} records of cluster {}{but}",
        report.records, report.cluster
    ))?;
    let row = |stream: &coffer_audit_log::StreamReport| {
        vec![
            stream.stream.to_string(),
            stream.size.to_string(),
            stream.root.to_string(),
        ]
    };
    output.table(
        &["STREAM", "RECORDS", "ROOT"],
        &report.streams.iter().map(row).collect::<Vec<_>>(),
    )
}

/// The heads of a file, each signed with the key.
fn heads(path: &Path, key: &VerifierKey) -> Result<Vec<Checkpoint>, Failure> {
    let mut text = String::new();
    open(path)
        .and_then(|file| file.take(HEADS_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| unreadable(path, error.kind()))?;
    let notes = match serde_json::from_str::<AuditHeads>(&text) {
        Ok(heads) => heads.heads.into_iter().map(|head| head.note).collect(),
        Err(_) => vec![text],
    };
    if notes.is_empty() {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} holds no head: `coffer audit head -o json` prints them."
        )));
    }
    let opened = notes.iter().map(|note| open_note(note, key));
    opened.collect::<Result<_, _>>().map_err(|reason| {
        let path = path.display();
        let text = format!("{path} holds no heads that were signed with this key: {reason}.");
        Failure::new(Exit::Tampered, text)
    })
}

fn key(text: &str) -> Result<VerifierKey, Failure> {
    let mut read = String::new();
    let text = match text.strip_prefix('@') {
        None => text,
        Some(path) => {
            let path = Path::new(path);
            let file = open(path).map_err(|error| unreadable(path, error.kind()))?;
            file.take(KEY_BYTES_MAX)
                .read_to_string(&mut read)
                .map_err(|error| unreadable(path, error.kind()))?;
            read.strip_suffix('\n').unwrap_or(&read)
        }
    };
    text.parse().map_err(|error| {
        Failure::usage(format!(
            "That is not the key: {error}; `coffer audit key` prints it, and a file of it is given as @FILE."
        ))
    })
}

/// A directory opens, and fails only when it is read: said at once here.
fn open(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(std::io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    }
}

fn unreadable(path: &Path, kind: std::io::ErrorKind) -> Failure {
    Failure::usage(format!(
        "{} cannot be read ({}): name a file that can.",
        path.display(),
        why(kind)
    ))
}
