//! The processes of a run: started on a core of their own, their CPU and memory read from `/proc`.
//! `stat` counts user and system time of all threads, also ended ones, in hundredths of a second.
//!
//! Invariant: whatever was started here ends with the run, also when the run is given up.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::failure::{Context, Failure, Result};

/// How many of `/proc`'s ticks are a second: the kernel's constant towards user space.
const TICKS_PER_SECOND: u64 = 100;
/// How long a server may take to stop before it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
/// Lines of its log that are told when a process failed.
const LOG_LINES_MAX: usize = 15;

/// On which cores what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Servers on core 0, the load generator on core 1, PostgreSQL wherever there is room.
    Apart,
    /// Wherever the system puts them.
    Free,
}

/// Where a process may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The server that is measured.
    Server,
    /// The load generator, and a second server.
    Load,
    /// Everywhere.
    Anywhere,
}

impl Cores {
    /// Apart, if there are two cores and `taskset`, and it is wanted.
    pub fn choose(wanted: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if wanted && cores > 1 && has("taskset") {
            Self::Apart
        } else {
            Self::Free
        }
    }

    /// Moves this process to the load generator's core. Threads that it starts later follow.
    pub fn take_place(self) -> Result<()> {
        if self == Self::Free {
            return Ok(());
        }
        let done = Command::new("taskset")
            .args(["-cp", "1", &std::process::id().to_string()])
            .stdout(Stdio::null())
            .status()
            .context("taskset")?;
        done.success()
            .then_some(())
            .context("taskset could not pin the load generator to core 1")
    }

    /// A command that runs `program` in its place, and ends with this process.
    pub fn command(self, place: Place, program: &Path) -> Command {
        let mut words: Vec<String> = Vec::new();
        if has("setpriv") {
            words.extend(["setpriv", "--pdeathsig", "INT"].map(String::from));
        }
        if self == Self::Apart {
            let last = available_cores_max();
            let cores = match place {
                Place::Server => "0".to_owned(),
                Place::Load => "1".to_owned(),
                Place::Anywhere => format!("0-{last}"),
            };
            words.extend(["taskset".to_owned(), "-c".to_owned(), cores]);
        }
        let Some((first, rest)) = words.split_first() else {
            return Command::new(program);
        };
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        command
    }

    /// What was done, for the reader of the table.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Apart => {
                "servers on core 0, load generator (and the second node) on core 1, PostgreSQL on any"
            }
            Self::Free => "nothing is pinned to a core",
        }
    }
}

/// The highest core, as the kernel counts them; this process itself may be pinned already.
fn available_cores_max() -> usize {
    let present = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let last = present.trim().rsplit(['-', ',']).next();
    last.and_then(|last| last.parse().ok()).unwrap_or(1)
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A child that is stopped when this is dropped.
pub struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Process {
    /// Starts a command whose output goes to a file.
    pub fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let out = File::create(&log).context("a log file")?;
        let err = out.try_clone().context("a log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .context(format!("{name} could not be started"))?;
        Ok(Self { child, name, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended, with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context(self.name)? {
            None => Ok(()),
            Some(status) => Err(self.failed(status)),
        }
    }

    /// The first line of its log with this word in it.
    pub fn logged(&self, word: &str) -> Option<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let line = log.lines().find(|line| line.contains(word))?;
        Some(line.to_owned())
    }

    /// Asks it to end, and waits for that.
    pub fn stop(mut self) -> Result<()> {
        self.ask_to_end()?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < STOP_TIME_MAX {
            if let Some(status) = self.child.try_wait().context(self.name)? {
                return status
                    .success()
                    .then_some(())
                    .ok_or_else(|| self.failed(status));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Failure(format!("{} did not stop when asked", self.name)))
    }

    fn ask_to_end(&self) -> Result<()> {
        Command::new("kill")
            .args(["-INT", &self.id().to_string()])
            .status()
            .context("kill")?;
        Ok(())
    }

    fn failed(&self, status: ExitStatus) -> Failure {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n");
        Failure(format!(
            "{} ended ({status}); its log ends:\n{last}",
            self.name
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.ask_to_end();
            std::thread::sleep(Duration::from_millis(300));
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// CPU time of one process, all threads, ended ones included.
pub fn cpu(process: u32) -> Result<Duration> {
    let stat = Stat::of(process).context("a server's CPU time cannot be read")?;
    Ok(ticks(stat.own))
}

/// CPU time of a process and of all its children, ended ones included, as far as they have been waited for.
pub fn cpu_of_family(parent: u32) -> Result<Duration> {
    let own = Stat::of(parent).context("PostgreSQL's CPU time cannot be read")?;
    let children = all_processes()
        .filter_map(Stat::of)
        .filter(|stat| stat.parent == parent)
        .map(|stat| stat.own + stat.ended_children)
        .sum::<u64>();
    Ok(ticks(own.own + own.ended_children + children))
}

/// Memory that a process has resident, in MiB.
pub struct Memory {
    /// Now.
    pub now_mib: f64,
    /// The most there was.
    pub peak_mib: f64,
}

/// See [`Memory`].
pub fn memory(process: u32) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))
        .context("a server's memory cannot be read")?;
    let mib = |key: &str| {
        let told = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = told.and_then(|told| told.trim().strip_suffix(" kB"));
        let kib: Option<f64> = kib.and_then(|kib| kib.trim().parse().ok());
        kib.map(|kib| kib / 1024.0).context("a server's memory")
    };
    Ok(Memory {
        now_mib: mib("VmRSS:")?,
        peak_mib: mib("VmHWM:")?,
    })
}

/// A free port on loopback.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("no free port")
}

fn all_processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

/// What `/proc/PID/stat` tells (proc_pid_stat(5)), in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// The name, in brackets, may hold anything; field 3 is behind the last one.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own: field(14)? + field(15)?,
            ended_children: field(16)? + field(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_last_bracket() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 5 6 20 0 9 0 1 2 3";
        let stat = Stat::parse(line).expect("a line of stat");
        assert_eq!(
            stat,
            Stat {
                parent: 7,
                own: 120,
                ended_children: 11
            }
        );
        assert_eq!(Stat::parse("42 (a) S 7"), None);
    }

    #[test]
    fn this_process_has_used_memory_and_has_a_parent() {
        let me = std::process::id();
        let memory = memory(me).expect("memory");
        assert!(memory.now_mib > 1.0 && memory.peak_mib >= memory.now_mib);
        assert!(cpu(me).is_ok() && cpu_of_family(me).is_ok());
    }
}
