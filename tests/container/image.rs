//! The image's file system made in a folder as the Dockerfile says, and programs run in it as the compose file says.
//! Its base image is taken to hold what Google's `distroless/cc` does: the C library with its parts, and no program.
//!
//! Invariant: a program here sees no file that the image, its base image or a mount does not hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use tempfile::TempDir;

use super::dockerfile::{Compose, Dockerfile, text_of};

/// What a dynamically linked program finds in the base image.
const LIBRARIES: [&str; 5] = [
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
];

/// An image in a folder, with its volumes and mounts beside it.
pub struct Image {
    folder: TempDir,
    dockerfile: Dockerfile,
    compose: Compose,
    /// Where its server is made to listen.
    pub address: SocketAddr,
    /// The certificate of its server, PEM.
    pub authority: String,
}

/// Limits of a container.
pub struct Limits {
    /// Memory that may be locked, in KiB.
    pub locked_kib: u64,
}

impl Image {
    /// Builds the image, with new volumes and the configuration of `deploy/`.
    pub fn build() -> Self {
        assert_namespaces_can_be_made();
        let (dockerfile, compose) = (Dockerfile::read(), Compose::read());
        let folder = tempfile::tempdir().expect("a folder");
        let (address, authority) = (free_address(), String::new());
        let mut image = Self {
            folder,
            dockerfile,
            compose,
            address,
            authority,
        };
        image.lay_base();
        image.copy_built();
        image.lay_mounts();
        image
    }

    /// Runs the server's program with these arguments, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let (program, _) = self.dockerfile.last().entry();
        let words = program.iter().map(String::as_str);
        self.output(words.chain(arguments.iter().copied()))
    }

    /// Asks as the image's own check of its health does.
    pub fn health(&self) -> Output {
        let words = self.dockerfile.last().health();
        self.output(words.iter().map(String::as_str))
    }

    /// Starts the server as a container does, its log in a file.
    pub fn start(&self, limits: &Limits, log: &Path) -> Child {
        let (program, arguments) = self.dockerfile.last().entry();
        let words = program.iter().chain(&arguments).map(String::as_str);
        let mut command = self.command(words, limits);
        let log = File::create(log).expect("a log");
        command.stdin(Stdio::null()).stderr(log);
        command.spawn().expect("unshare can be run")
    }

    /// The limits of the compose file.
    pub fn limits(&self) -> Limits {
        Limits {
            locked_kib: self.compose.limit("memlock") / 1024,
        }
    }

    /// The signal that stops a container.
    pub fn stop_signal(&self) -> &str {
        &self.dockerfile.last().one("STOPSIGNAL").rest
    }

    /// The user of the image.
    pub fn user(&self) -> (u32, u32) {
        let user = self.dockerfile.last().one("USER").rest.split_once(':');
        let (user, group) = user.expect("a user and a group");
        (
            user.parse().expect("a number"),
            group.parse().expect("a number"),
        )
    }

    /// A file in a volume, as it is outside.
    pub fn in_volume(&self, path: &str) -> PathBuf {
        let mounts = self.compose.mounts();
        let found = mounts.iter().find_map(|(from, to, _)| {
            let rest = Path::new(path).strip_prefix(to).ok()?;
            Some(self.beside(from).join(rest))
        });
        found.expect("it is in a volume")
    }

    /// What the last program that was begun saw mounted: each place, and whether it may be written to.
    pub fn mounted(&self) -> BTreeMap<String, bool> {
        let seen = std::fs::read_to_string(self.path("seen")).expect("it has begun");
        let root = self.root().display().to_string();
        let mut mounted = BTreeMap::new();
        for line in seen.lines() {
            let mut words = line.split(' ').skip(4);
            let (Some(at), Some(options)) = (words.next(), words.next()) else {
                panic!("proc(5) promises more: {line}")
            };
            if let Some(at) = at.strip_prefix(&root) {
                // A later mount hides an earlier one.
                mounted.insert(at.to_owned(), options.split(',').any(|one| one == "rw"));
            }
        }
        mounted
    }

    /// The places that the image says are written to.
    pub fn volumes(&self) -> Vec<String> {
        self.dockerfile.last().one("VOLUME").words()
    }

    /// Every file of the image, with its size and the time of its last change; no volume and no mount.
    pub fn files(&self) -> BTreeMap<PathBuf, (u64, SystemTime)> {
        let mut waiting = vec![self.root()];
        let mut files = BTreeMap::new();
        while let Some(at) = waiting.pop() {
            let about = std::fs::symlink_metadata(&at).expect("it is there");
            if about.is_dir() {
                let entries = std::fs::read_dir(&at).expect("a folder");
                waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
            }
            files.insert(at, (about.len(), about.modified().expect("a time")));
        }
        files
    }

    fn output<'a>(&self, words: impl Iterator<Item = &'a str>) -> Output {
        let mut command = self.command(words, &self.limits());
        command.output().expect("unshare can be run")
    }

    fn command<'a>(&self, words: impl Iterator<Item = &'a str>, limits: &Limits) -> Command {
        let (user, group) = self.user();
        let mut command = in_namespaces();
        command.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/container/enter"
        ));
        command.arg(self.root()).arg(format!("{user}:{group}"));
        command.arg(limits.locked_kib.to_string());
        command.arg(self.compose.limit("nofile").to_string());
        command.arg(self.path("seen"));
        for (from, to, writable) in self.compose.mounts() {
            command.arg(if writable { "rw" } else { "ro" });
            command.arg(self.beside(from)).arg(to);
        }
        command.arg("--").args(words).env_clear();
        // A container has a PATH, and so have the tools that make this one.
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command.envs(self.dockerfile.last().environment());
        command
    }

    /// The base image: folders, devices to be mounted, and the libraries that the server is linked against.
    fn lay_base(&self) {
        for folder in ["dev", "etc", "proc", "tmp", "usr", "var/lib"] {
            std::fs::create_dir_all(self.root().join(folder)).expect("a folder");
        }
        open_to(&self.root(), 0o755);
        open_to(&self.root().join("tmp"), 0o1777);
        for device in ["null", "zero", "random", "urandom"] {
            File::create(self.root().join("dev").join(device)).expect("a file");
        }
        let said = Command::new("ldd").arg(built("coffer-server")).output();
        let said = String::from_utf8(said.expect("ldd can be run").stdout).expect("text");
        for word in said.split_whitespace().filter(|word| word.starts_with('/')) {
            let name = Path::new(word).file_name().and_then(|name| name.to_str());
            let name = name.expect("a library");
            assert!(LIBRARIES.contains(&name), "{name} is not in the base image");
            let inside = self.root().join(word.trim_start_matches('/'));
            std::fs::create_dir_all(inside.parent().expect("a folder")).expect("a folder");
            std::fs::copy(word, inside).expect("it is copied");
        }
    }

    /// What the first stage installs, by its own commands, and what the last one copies from it.
    fn copy_built(&self) {
        let made = self.path("built");
        let image = |word: &str| word.replace("/image", &format!("{}/image", made.display()));
        let run = &self.dockerfile.stages[0].one("RUN").rest;
        let steps = run.split("&&").map(str::trim);
        for step in steps.filter(|step| step.starts_with("install ")) {
            let mut install = Command::new("install");
            let mut words = step.split(' ').skip(1);
            while let Some(word) = words.next() {
                match (word, word.strip_prefix("target/release/")) {
                    ("-o" | "-g", _) if !is_root() => drop(words.next()),
                    (_, Some(program)) => drop(install.arg(built(program))),
                    _ => drop(install.arg(image(word))),
                }
            }
            done(&mut install);
        }
        for copy in self.dockerfile.last().all("COPY") {
            let words: Vec<&str> = copy.rest.split(' ').collect();
            let [flags @ .., from, to] = &words[..] else {
                panic!("nothing is copied: {}", copy.rest)
            };
            let owner = flags.iter().find_map(|flag| flag.strip_prefix("--chown="));
            let to = self.root().join(to.trim_start_matches('/'));
            std::fs::create_dir_all(&to).expect("a folder");
            for entry in std::fs::read_dir(image(from)).expect("it was installed") {
                let entry = entry.expect("an entry");
                done(Command::new("cp").arg("-a").arg(entry.path()).arg(&to));
                if is_root() {
                    let mut chown = Command::new("chown");
                    chown.args(["-R", owner.unwrap_or("0:0")]);
                    done(chown.arg(to.join(entry.file_name())));
                }
            }
        }
    }

    /// Volumes, which begin as the image's own folders do, and the files that are mounted.
    fn lay_mounts(&mut self) {
        let names = vec![self.address.ip().to_string()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        self.authority = made.cert.pem();
        let config = text_of("deploy/coffer.toml");
        let port = &self.dockerfile.last().one("EXPOSE").rest;
        let listens = format!("0.0.0.0:{port}");
        assert!(config.contains(&listens));
        let config = config.replace(&listens, &self.address.to_string());
        for (from, to, _) in self.compose.mounts() {
            let (outside, inside) = (self.beside(from), self.root().join(&to[1..]));
            let parent = outside.parent().expect("a folder");
            std::fs::create_dir_all(parent).expect("a folder");
            let content = match to.rsplit_once('.').map(|(_, end)| end) {
                Some("toml") => &config,
                Some("pem") => &self.authority,
                Some("key") => &made.signing_key.serialize_pem(),
                _ => {
                    // A volume over nothing would be root's, and closed to the server.
                    assert!(inside.is_dir(), "the image has no {to}");
                    done(Command::new("cp").arg("-a").arg(&inside).arg(&outside));
                    continue;
                }
            };
            std::fs::create_dir_all(inside.parent().expect("a folder")).expect("a folder");
            File::create(&inside).expect("a place to mount it on");
            std::fs::write(&outside, content).expect("it is written");
            open_to(&outside, 0o400);
            if is_root() {
                let (user, group) = self.user();
                std::os::unix::fs::chown(&outside, Some(user), Some(group)).expect("it is given");
            }
        }
    }

    fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Where the outer side of a mount is.
    fn beside(&self, from: &str) -> PathBuf {
        self.path("mounts").join(from.trim_start_matches("./"))
    }

    /// A file that belongs to this image and is not in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// What begins a command in namespaces of its own that ends with this process: the kernel ends the outer namespace's first
/// process with it, and with that one everything inside. The inner one is there so that the program is the first process of
/// its own, as in a container.
fn in_namespaces() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["unshare", "--mount", "--pid", "--fork"]);
    command
}

fn assert_namespaces_can_be_made() {
    let mut trial = in_namespaces();
    let tried = trial.args(["mount", "--make-rprivate", "/"]).output();
    assert!(
        tried.is_ok_and(|said| said.status.success()),
        "The image cannot be run here: this needs root with CAP_SYS_ADMIN, or a kernel that lets users make user namespaces."
    );
}

/// A program of this workspace as it was built for the tests.
fn built(program: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_coffer-server")).with_file_name(program);
    assert!(
        path.is_file(),
        "{} is missing: run cargo build --workspace, or the tests of the whole workspace.",
        path.display()
    );
    path
}

/// Whether the tests are run by root, who can make namespaces without a user namespace around them.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .expect("there is /proc")
        .uid()
        == 0
}

/// A loopback address of this process alone, with a port that is free there.
fn free_address() -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 100, high, low);
    let bound = TcpListener::bind((own, 0)).and_then(|listener| listener.local_addr());
    bound.expect("a port is free")
}

fn open_to(path: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("a mode");
}

fn done(command: &mut Command) {
    let said = command.output().expect("it can be run");
    assert!(said.status.success(), "{command:?}: {said:?}");
}
