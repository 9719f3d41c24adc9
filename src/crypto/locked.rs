//! Memory that keys may live in: pages that are locked (never swapped), left out of core dumps, gone in a forked child,
//! and fenced by guard pages; and the switches that keep other processes out. The only module with `unsafe` code.
//!
//! Invariant: a slot belongs to exactly one [`LockedKey`], and is wiped before it is handed out again.
#![allow(unsafe_code)]

use std::{
    ptr::NonNull,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use zeroize::{Zeroize, Zeroizing};

use crate::{entropy::Entropy, fault};

/// Length of every key in Coffer, in bytes; also the size of a slot.
pub const KEY_BYTES: usize = 32;

/// Sizes tried for the arena, in bytes, until one fits under `RLIMIT_MEMLOCK`; each key takes [`KEY_BYTES`].
const ARENA_BYTES: [usize; 4] = [1 << 20, 256 << 10, 48 << 10, 16 << 10];

/// One slot in eight is kept for ranks of keys: a full cache of derived keys must not push a system key out of the arena.
const RESERVED_SHARE: usize = 8;

/// A key of 32 bytes in locked memory, or on the plain heap when the arena is full. Wiped on drop either way.
pub struct LockedKey(Slot);

enum Slot {
    Arena(NonNull<[u8; KEY_BYTES]>),
    Heap(Box<Zeroizing<[u8; KEY_BYTES]>>),
}

// SAFETY: a slot is owned by one `LockedKey` alone and lies in a mapping that lives as long as the process, so moving the
// owner to another thread moves nothing else.
unsafe impl Send for LockedKey {}
// SAFETY: through `&LockedKey` the bytes are only read.
unsafe impl Sync for LockedKey {}

impl LockedKey {
    /// A key drawn in place.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::built(0, |bytes| entropy.fill(bytes))
    }

    /// A copy of these bytes; the caller wipes its own.
    #[must_use]
    pub fn copy_of(bytes: &[u8; KEY_BYTES]) -> Self {
        Self::built(0, |slot| slot.copy_from_slice(bytes))
    }

    /// A copy for a cache, which leaves the reserved share of the arena alone.
    #[must_use]
    pub fn cached(bytes: &[u8; KEY_BYTES]) -> Self {
        Self::built(arena().slots / RESERVED_SHARE, |slot| {
            slot.copy_from_slice(bytes)
        })
    }

    /// The key's bytes, for the primitives of `crypto` alone.
    #[must_use]
    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        match &self.0 {
            // SAFETY: the slot is in the arena's mapping, aligned (u8), initialised (zeroes, then the key), never
            // unmapped, and written by nobody while `self` is borrowed: only `built` and `drop` write, and both own it.
            Slot::Arena(slot) => unsafe { slot.as_ref() },
            Slot::Heap(bytes) => bytes,
        }
    }

    fn built(leave: usize, fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> Self {
        let mut key = Self(arena().take(leave).map_or_else(
            || {
                OVERFLOW.fetch_add(1, Ordering::Relaxed);
                Slot::Heap(Box::new(Zeroizing::new([0; KEY_BYTES])))
            },
            Slot::Arena,
        ));
        match &mut key.0 {
            // SAFETY: as in `expose`; `key` is owned here, so the reference is exclusive.
            Slot::Arena(slot) => fill(unsafe { slot.as_mut() }),
            Slot::Heap(bytes) => fill(bytes),
        }
        key
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        match &mut self.0 {
            // SAFETY: `self` owns the slot, which came from this arena, and is gone after this.
            Slot::Arena(slot) => unsafe { arena().give_back(*slot) },
            Slot::Heap(_) => {
                OVERFLOW.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// How many keys are on the plain heap because the arena was full.
static OVERFLOW: AtomicUsize = AtomicUsize::new(0);

/// What became of the wish for locked memory: a field of `status`, and a warning at start when it is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedMemory {
    /// Whether the key pages are locked into memory.
    pub locked: bool,
    /// Size of the key pages, in bytes.
    pub bytes: usize,
    /// Keys in the pages now.
    pub keys: usize,
    /// Keys on the plain heap now, because the pages were full.
    pub overflow: usize,
    /// Why the pages are not locked: one sentence.
    pub reason: Option<String>,
}

/// The state of the key pages; makes them at the first call.
#[must_use]
pub fn locked_memory() -> LockedMemory {
    let arena = arena();
    let free = arena.free.lock().unwrap_or_else(PoisonError::into_inner);
    LockedMemory {
        locked: arena.reason.is_none(),
        bytes: arena.slots * KEY_BYTES,
        keys: free.fresh - free.returned.len(),
        overflow: OVERFLOW.load(Ordering::Relaxed),
        reason: arena.reason.clone(),
    }
}

struct Arena {
    base: NonNull<u8>,
    slots: usize,
    free: Mutex<Free>,
    reason: Option<String>,
}

/// Slots below `fresh` have been handed out at least once; those of them that came back wait in `returned`.
struct Free {
    fresh: usize,
    returned: Vec<NonNull<[u8; KEY_BYTES]>>,
}

// SAFETY: `base` is only an address; slots are handed out under the mutex.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

fn arena() -> &'static Arena {
    static ARENA: OnceLock<Arena> = OnceLock::new();
    ARENA.get_or_init(Arena::new)
}

impl Arena {
    fn new() -> Self {
        let mut reason = None;
        for bytes in ARENA_BYTES {
            match map(bytes, true) {
                Ok(base) => return Self::of(base, bytes, None),
                Err(error) => reason = Some(error),
            }
        }
        let bytes = ARENA_BYTES[0];
        let why = reason.map_or_else(String::new, |error| format!(" ({error})"));
        let sentence = |what: &str| {
            format!(
                "{what}{why}: raise RLIMIT_MEMLOCK (LimitMEMLOCK=, ulimit -l) or grant CAP_IPC_LOCK."
            )
        };
        match map(bytes, false) {
            Ok(base) => Self::of(
                base,
                bytes,
                Some(sentence(
                    "Key pages are not locked into memory and may be swapped",
                )),
            ),
            Err(_) => Self::of(
                NonNull::dangling(),
                0,
                Some(sentence(
                    "Key pages could not be made, keys are on the plain heap",
                )),
            ),
        }
    }

    fn of(base: NonNull<u8>, bytes: usize, reason: Option<String>) -> Self {
        let slots = bytes / KEY_BYTES;
        Self {
            base,
            slots,
            free: Mutex::new(Free {
                fresh: 0,
                returned: Vec::new(),
            }),
            reason,
        }
    }

    /// A slot of zeroes, unless no more than `leave` are free.
    fn take(&self, leave: usize) -> Option<NonNull<[u8; KEY_BYTES]>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if self.slots - free.fresh + free.returned.len() <= leave {
            return None;
        }
        if let Some(slot) = free.returned.pop() {
            return Some(slot);
        }
        // SAFETY: `fresh < slots` (something is free and nothing was returned), so the address is inside the mapping.
        let slot = unsafe { self.base.add(free.fresh * KEY_BYTES) };
        free.fresh += 1;
        Some(slot.cast())
    }

    /// Wipes a slot and takes it back.
    ///
    /// # Safety
    /// `slot` came from `take` of this arena, and the caller, its only owner, forgets it.
    unsafe fn give_back(&self, mut slot: NonNull<[u8; KEY_BYTES]>) {
        // SAFETY: inside the mapping and owned by nobody else, as the caller promises.
        unsafe { slot.as_mut() }.zeroize();
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .returned
            .push(slot);
    }
}

/// Maps `bytes` of zeroes between two guard pages, which live as long as the process.
fn map(bytes: usize, lock: bool) -> Result<NonNull<u8>, std::io::Error> {
    // SAFETY: a plain question to the C library.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let (inner, outer) = (
        bytes.next_multiple_of(page),
        bytes.next_multiple_of(page) + 2 * page,
    );
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing of ours.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), outer, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: `address..address + outer` is the mapping just made, so one page further is inside it.
    let start = unsafe { address.add(page) };
    // SAFETY: `start..start + inner` lies inside that mapping; no reference into it exists yet.
    let mut failed =
        unsafe { libc::mprotect(start, inner, libc::PROT_READ | libc::PROT_WRITE) } != 0;
    for advice in [libc::MADV_DONTDUMP, libc::MADV_DONTFORK] {
        // SAFETY: same range; the advice changes dumps and forks, not the contents.
        failed |= unsafe { libc::madvise(start, inner, advice) } != 0;
    }
    // SAFETY: same range.
    failed |= lock && !failed && unsafe { libc::mlock(start, inner) } != 0;
    if failed {
        let error = std::io::Error::last_os_error();
        // SAFETY: the whole mapping just made, of which nothing was handed out.
        unsafe { libc::munmap(address, outer) };
        return Err(error);
    }
    NonNull::new(start.cast()).ok_or_else(|| std::io::ErrorKind::OutOfMemory.into())
}

/// Which doors to the process's memory are shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// Core dumps are off, and processes of the same user cannot attach (`PR_SET_DUMPABLE` 0).
    pub undumpable: bool,
    /// `RLIMIT_CORE` is 0, also for children.
    pub no_core: bool,
}

/// Shuts core dumps and ptrace off, and makes the key pages. Call it first thing in `main`, before any key exists.
/// A debug build may be told to leave ptrace on, for tests that look for what is left in memory.
#[must_use]
pub fn harden_process() -> Hardening {
    let _ = arena();
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let left_open = fault::planted("memory left open");
    // SAFETY: both calls take plain integers and a pointer to a live struct, and change this process's attributes only.
    unsafe {
        Hardening {
            undumpable: !left_open && libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) == 0,
            no_core: libc::setrlimit(libc::RLIMIT_CORE, &none) == 0,
        }
    }
}

/// Whatever this process makes from now on, its files and its sockets, is its user's alone (advisory G11).
pub fn keep_new_files_private() {
    // SAFETY: `umask` takes a plain integer, cannot fail, and changes this process's attribute only.
    unsafe { libc::umask(0o077) };
}

/// Lets the process open as many files as it is allowed to: every connection is one.
pub fn raise_open_files() {
    let mut files = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls take a pointer to a live struct and change this process's attributes only. If one fails, the
    // limit stays what it was, and connections are bounded by it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files) == 0 {
            files.rlim_cur = files.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
        }
    }
}

/// The user this process acts as: key files must belong to it.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: `geteuid` takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_wiped_used_again_and_bounded() {
        let arena = Arena::of(map(16 << 10, false).unwrap(), 16 << 10, None);
        let mut slot = arena.take(0).unwrap();
        // SAFETY: this arena is this test's alone, and so are its slots.
        unsafe {
            slot.as_mut().fill(0xC5);
            arena.give_back(slot);
            assert_eq!(*slot.as_ptr(), [0; KEY_BYTES]);
        }
        assert_eq!(arena.take(0), Some(slot));
        for _ in 1..arena.slots {
            assert!(arena.take(0).is_some());
        }
        assert!(arena.take(0).is_none(), "the arena is bounded");
        // SAFETY: as above.
        unsafe { arena.give_back(slot) };
        assert!(arena.take(1).is_none(), "the reserved share is left alone");
    }

    #[test]
    fn a_full_cache_leaves_room_for_keys_and_is_counted() {
        let slots = arena().slots;
        let kept: Vec<LockedKey> = (0..slots)
            .map(|_| LockedKey::cached(&[7; KEY_BYTES]))
            .collect();
        let report = locked_memory();
        assert!(report.overflow >= slots / RESERVED_SHARE, "{report:?}");
        let rank = LockedKey::copy_of(&[8; KEY_BYTES]);
        assert!(matches!(rank.0, Slot::Arena(_)));
        assert!(kept.iter().all(|key| key.expose() == &[7; KEY_BYTES]));
        assert!(matches!(kept.last().map(|key| &key.0), Some(Slot::Heap(_))));
    }

    /// What the kernel says of the pages: `lo` locked, `dd` not dumped, `dc` not copied on fork.
    #[test]
    fn the_kernel_agrees() {
        let report = locked_memory();
        let start = format!("{:x}-", arena().base.as_ptr() as usize);
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let entry = smaps.split_once(&start).expect("the arena is mapped").1;
        let flags = entry
            .lines()
            .find(|line| line.starts_with("VmFlags:"))
            .unwrap();
        assert!(flags.contains(" dd") && flags.contains(" dc"), "{flags}");
        assert_eq!(flags.contains(" lo"), report.locked, "{flags} {report:?}");
        assert_eq!(report.reason.is_none(), report.locked);
    }

    #[test]
    fn the_process_is_hardened() {
        assert_eq!(
            harden_process(),
            Hardening {
                undumpable: true,
                no_core: true
            }
        );
        // SAFETY: a plain question to the kernel.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"));
    }
}
