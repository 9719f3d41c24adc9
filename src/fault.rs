//! Failpoints: named places where a test kills, stops or cuts the process, or has a commit reported failed.
//! They exist in debug builds only, never as a cargo feature; each hit is printed, so that a test can tell a point never met.
//!
//! Invariant: in a release build every point is nothing at all.

/// The error that an armed point gives.
#[derive(Debug)]
pub struct Injected;

#[cfg(debug_assertions)]
mod armed {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    use super::Injected;

    /// Names a file that arms points of a built server while it runs: read at the next point that is passed, then removed.
    const FILE_VARIABLE: &str = "COFFER_FAILPOINTS_FILE";

    /// What an armed point does.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Act {
        /// Ends the process as `kill -9` would.
        Kill,
        /// Stops the process as SIGSTOP would; whoever holds it sends SIGCONT.
        Stop,
        /// Fails with [`Injected`].
        Fail,
        /// Is taken as true by [`super::planted`].
        Plant,
        /// Waits in [`pause`] until [`release`]d, or until the process is sent SIGCONT.
        Hold,
    }

    struct Armed {
        act: Act,
        /// Hits to let pass before it acts.
        skip: u32,
        /// Times it acts.
        times: u32,
    }

    static POINTS: LazyLock<Mutex<HashMap<String, Armed>>> = LazyLock::new(|| {
        // `COFFER_FAILPOINTS=name=kill,name=fail:skip:times`
        let text = std::env::var("COFFER_FAILPOINTS").unwrap_or_default();
        Mutex::new(text.split(',').filter_map(parse).collect())
    });

    static FILE: LazyLock<Option<std::ffi::OsString>> =
        LazyLock::new(|| std::env::var_os(FILE_VARIABLE));

    fn parse(entry: &str) -> Option<(String, Armed)> {
        let (name, act) = entry.split_once('=')?;
        let mut parts = act.split(':');
        let act = match parts.next()? {
            "kill" => Act::Kill,
            "stop" => Act::Stop,
            "fail" => Act::Fail,
            "plant" => Act::Plant,
            "hold" => Act::Hold,
            _ => return None,
        };
        let mut number = |default| parts.next().and_then(|n| n.parse().ok()).unwrap_or(default);
        let skip = number(0);
        let times = number(if act == Act::Plant { u32::MAX } else { 1 });
        Some((name.to_owned(), Armed { act, skip, times }))
    }

    fn take(name: &str) -> Option<Act> {
        let mut points = POINTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*FILE
            && let Ok(text) = std::fs::read_to_string(file)
        {
            let _ = std::fs::remove_file(file);
            points.extend(text.trim().split(',').filter_map(parse));
        }
        let armed = points.get_mut(name)?;
        if armed.skip > 0 {
            armed.skip -= 1;
            return None;
        }
        armed.times = armed.times.checked_sub(1)?;
        Some(armed.act)
    }

    /// Arms a point of this process, for tests that run the server within them.
    pub fn arm(name: &str, act: Act, skip: u32, times: u32) {
        let mut points = POINTS.lock().unwrap_or_else(PoisonError::into_inner);
        points.insert(name.to_owned(), Armed { act, skip, times });
    }

    /// Disarms a point.
    pub fn disarm(name: &str) {
        POINTS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// A place where a test may act.
    pub fn point(name: &'static str) -> Result<(), Injected> {
        let Some(act) = take(name) else { return Ok(()) };
        eprintln!("failpoint {name}: {act:?}");
        match act {
            Act::Kill => signal("-KILL"),
            Act::Stop => stop(),
            Act::Fail => return Err(Injected),
            Act::Plant | Act::Hold => {}
        }
        Ok(())
    }

    static HELD: LazyLock<tokio::sync::watch::Sender<u64>> =
        LazyLock::new(|| tokio::sync::watch::Sender::new(0));

    /// A place where a test may also hold one task while others go on.
    pub async fn pause(name: &'static str) {
        let Some(act) = take(name) else { return };
        // Listened for before the hit is printed: who reads the line may send it at once.
        let continued = continued();
        eprintln!("failpoint {name}: {act:?}");
        match act {
            Act::Kill => signal("-KILL"),
            Act::Stop => stop(),
            Act::Hold => {
                let mut released = HELD.subscribe();
                let before = *released.borrow_and_update();
                // The sender lives for as long as the process: waiting cannot fail.
                tokio::select! {
                    _ = released.wait_for(|count| *count > before) => {}
                    () = continued => {}
                }
            }
            Act::Fail | Act::Plant => {}
        }
    }

    /// Waits for SIGCONT, which is how a test in another process releases.
    fn continued() -> impl Future<Output = ()> {
        use tokio::signal::unix::{SignalKind, signal};
        let heard = signal(SignalKind::from_raw(libc::SIGCONT));
        async move {
            match heard {
                Ok(mut heard) => {
                    heard.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Lets go of every task that is held.
    pub fn release() {
        HELD.send_modify(|count| *count += 1);
    }

    /// Whether a fault is planted here.
    pub fn planted(name: &'static str) -> bool {
        take(name) == Some(Act::Plant)
    }

    /// Stops here and nowhere later: another thread may take the signal, and this one would run on until it does.
    fn stop() {
        signal("-STOP");
        while is_stop_pending() {
            std::thread::yield_now();
        }
    }

    /// Whether SIGSTOP is on its way to this process (proc(5): `ShdPnd`, a mask in hexadecimal). Once a thread has taken
    /// it, all of them stop before they are back from the kernel.
    fn is_stop_pending() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("ShdPnd:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (libc::SIGSTOP - 1) & 1 == 1)
    }

    fn signal(signal: &str) {
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &own])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "a failpoint could not signal its own process"
        );
    }
}

#[cfg(debug_assertions)]
pub use armed::{Act, arm, disarm, pause, planted, point, release};

/// A place where a test may act: nothing in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn point(_name: &'static str) -> Result<(), Injected> {
    Ok(())
}

/// A place where a test may hold a task: nothing in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub async fn pause(_name: &'static str) {}

/// Whether a fault is planted here: never in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn planted(_name: &'static str) -> bool {
    false
}
