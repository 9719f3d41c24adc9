//! The process as the kernel sees it, under the names that every Prometheus client gives: processor time, memory, files.
//! What cannot be read is left out.
//!
//! Invariant: it reads of this process alone, and only when somebody asks.

use std::fs;

/// Ticks of the kernel's clock in a second, as every program is told on every machine that Coffer is built for (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// See the module.
pub(super) struct Process {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) open_files_max: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let kib = |name| number(name).map(|kib| kib << 10);
        Self {
            cpu_seconds: cpu_seconds(),
            resident_bytes: kib("VmRSS"),
            virtual_bytes: kib("VmSize"),
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| files.count() as u64),
            open_files_max: open_files_max(),
            threads: number("Threads"),
        }
    }
}

/// How many files this process may open, as the kernel says.
pub fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let mut lines = limits.lines();
    let line = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The fields 14 and 15 of `stat`; the program's name before them may hold anything.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut fields = behind_name.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let process = Process::look();
        assert!(process.cpu_seconds.is_some_and(|seconds| seconds >= 0.0));
        let resident = process.resident_bytes.expect("it is told");
        assert!(resident > 1 << 20 && process.virtual_bytes.expect("it is told") > resident);
        let files = process.open_files.expect("they are told");
        assert!(files > 2 && files <= process.open_files_max.expect("it is told"));
        assert!(process.threads.expect("they are told") > 0);
    }
}
