//! The memory of another process as the kernel shows it: every page that is there, whatever it is mapped for, while the
//! process goes on.
//!
//! A server lets no process of its own user look (`PR_SET_DUMPABLE`). Root may; for anybody else, servers that tests start
//! leave that one door open ([`door`]), which changes nothing of what is in them.
//!
//! Invariant: a page that is skipped holds nothing: it was never touched, or is the kernel's.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Bytes of a key, and of its place.
const KEY_BYTES: usize = 32;
/// Bits of an entry of `pagemap` (proc(5)): the page is in memory, or in swap.
const THERE: u64 = 1 << 63 | 1 << 62;

/// What is mapped somewhere.
pub struct Mapping {
    /// Its addresses, rights and name, as in `/proc/PID/maps`.
    pub line: String,
    /// Two letters each, as in `/proc/PID/smaps` (`VmFlags`).
    pub flags: String,
    /// The pages that are there, one after another, each run with its address.
    pub runs: Vec<(u64, Vec<u8>)>,
}

/// A failpoint for servers whose memory is to be read; nothing when root reads it.
pub fn door() -> &'static str {
    if coffer::crypto::effective_user() == 0 {
        ""
    } else {
        "memory left open=plant"
    }
}

/// Everything that is in a process's memory now.
///
/// # Panics
/// It may not be read.
pub fn of(process: u32) -> Vec<Mapping> {
    those(process, |_| true)
}

/// The keys that a process has in the pages that are for keys, each as it stands there.
///
/// # Panics
/// They may not be read.
pub fn keys(process: u32) -> Vec<Vec<u8>> {
    let theirs = those(process, Mapping::is_for_keys);
    theirs.iter().flat_map(Mapping::keys).collect()
}

impl Mapping {
    /// Whether it is for keys: the kernel leaves such pages out of dumps and of children.
    pub fn is_for_keys(&self) -> bool {
        let has = |flag: &str| self.flags.split(' ').any(|known| known == flag);
        ["rd", "wr", "dd", "dc"].into_iter().all(has)
    }

    /// What stands in the places for keys that are taken.
    pub fn keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let runs = self.runs.iter();
        let places = runs.flat_map(|(_, bytes)| bytes.chunks_exact(KEY_BYTES));
        let taken = places.filter(|place| place.iter().any(|byte| *byte != 0));
        taken.map(<[u8]>::to_vec)
    }
}

/// Those of a process's mappings that are wanted.
fn those(process: u32, wanted: impl Fn(&Mapping) -> bool) -> Vec<Mapping> {
    let open = |name: &str| {
        let path = format!("/proc/{process}/{name}");
        File::open(&path).unwrap_or_else(|error| {
            panic!("{path}: {error}. As another user than root this needs a parent's right to trace its child (Yama: ptrace_scope 0 or 1).")
        })
    };
    let (memory, pages) = (open("mem"), open("pagemap"));
    let mut text = String::new();
    let read = open("smaps").read_to_string(&mut text);
    read.expect("the mappings are told");
    let mut mappings = Vec::new();
    let mut here = None;
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let (line, from, to) = here.take().expect("a mapping comes first");
            let mut mapping = Mapping {
                line,
                flags: flags.trim().to_owned(),
                runs: Vec::new(),
            };
            if wanted(&mapping) {
                mapping.runs = runs(&memory, &pages, from, to);
                mappings.push(mapping);
            }
        } else if let Some((from, to)) = addresses(line) {
            here = Some((line.to_owned(), from, to));
        }
    }
    mappings
}

/// The first and the last address in the first line of a mapping.
fn addresses(line: &str) -> Option<(u64, u64)> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some((address(from)?, address(to)?))
}

/// The pages between two addresses that are there and may be read.
fn runs(memory: &File, pages: &File, from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
    let count = usize::try_from((to - from) / PAGE).expect("pages that can be counted");
    let mut entries = vec![0; 8 * count];
    // Of the kernel's own page at the end of all addresses nothing is told.
    let Ok(told) = pages.read_at(&mut entries, from / PAGE * 8) else {
        return Vec::new();
    };
    let entry = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    let there = entries[..told].chunks_exact(8).map(entry);
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    for (page, _) in (0..).zip(there).filter(|(_, entry)| entry & THERE != 0) {
        let at = from + page * PAGE;
        let mut bytes = [0; PAGE as usize];
        // What was taken away since, is a guard, or is the kernel's cannot be read.
        if !matches!(memory.read_at(&mut bytes, at), Ok(read) if read == bytes.len()) {
            continue;
        }
        match runs.last_mut() {
            Some((begin, run)) if *begin + run.len() as u64 == at => run.extend_from_slice(&bytes),
            _ => runs.push((at, bytes.to_vec())),
        }
    }
    runs
}
