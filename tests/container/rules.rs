//! What the Dockerfile, the compose file and their configuration must say.

use std::path::Path;

use super::dockerfile::{Compose, Dockerfile, text_of};

/// The release of Debian that both stages are of: the server is linked against the C library of the first.
const DEBIAN: [(&str, &str); 2] = [("bookworm", "debian12"), ("trixie", "debian13")];

#[test]
fn an_image_is_built_in_one_stage_and_runs_from_another() {
    let dockerfile = Dockerfile::read();
    let [build, last] = &dockerfile.stages[..] else {
        panic!("there are two stages")
    };
    assert_eq!((build.name.as_deref(), &last.name), (Some("build"), &None));
    let (_, tag) = build.image.split_once("rust:").expect("Rust's own image");
    let (rust, debian) = tag.split_once('-').expect("a release of Debian");
    let manifest = text_of("Cargo.toml");
    assert!(
        manifest.contains(&format!("rust-version = \"{rust}\"")),
        "{rust}"
    );
    let (_, base) = { DEBIAN }
        .into_iter()
        .find(|(name, _)| *name == debian)
        .expect("a known release");
    assert_eq!(
        last.image,
        format!("gcr.io/distroless/cc-{base}:nonroot"),
        "no shell, no root, the same release"
    );
    let run = &build.one("RUN").rest;
    assert!(run.contains("cargo build --release --locked "), "{run}");
    // What is copied from the machine that builds is named one by one.
    let context = text_of(".dockerignore");
    let mut lines = context.lines();
    assert_eq!(lines.next(), Some("*"));
    assert!(lines.all(|line| line.starts_with('!')), "{context}");
}

#[test]
fn an_image_has_no_shell_no_root_and_no_secret() {
    let dockerfile = Dockerfile::read();
    let known = ["COPY", "USER", "WORKDIR", "VOLUME", "EXPOSE", "ENV"];
    let run = ["STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"];
    let last = dockerfile.last();
    for one in &last.instructions {
        let word = one.word.as_str();
        assert!(known.contains(&word) || run.contains(&word), "{word}");
    }
    for copy in last.all("COPY") {
        let rest = &copy.rest;
        assert!(rest.starts_with("--from=build "), "{rest}");
        assert!(rest.contains(" /image/"), "{rest}");
    }
    for stage in &dockerfile.stages {
        assert_eq!(stage.all("ADD").count() + stage.all("ARG").count(), 0);
    }
    assert_eq!(
        last.environment(),
        [(
            "COFFER_CONFIG".to_owned(),
            "/etc/coffer/coffer.toml".to_owned()
        )]
    );
    let user = &last.one("USER").rest;
    let (user, group) = user.split_once(':').expect("a user and a group");
    for id in [user, group] {
        let id: u32 = id.parse().expect("a number, which Kubernetes can compare");
        assert!(id > 0, "no root");
    }
    let (program, arguments) = last.entry();
    assert_eq!(program, ["/usr/local/bin/coffer-server"]);
    assert_eq!(arguments, ["serve"]);
    assert_eq!(last.health(), ["/usr/local/bin/coffer-server", "health"]);
    assert_eq!(last.one("STOPSIGNAL").rest, "SIGTERM");
}

#[test]
fn a_composed_container_can_do_no_more_than_it_needs() {
    let (dockerfile, compose) = (Dockerfile::read(), Compose::read());
    let last = dockerfile.last();
    assert_eq!(compose.value("read_only"), "true");
    assert_eq!(
        compose.value("user"),
        format!("{:?}", last.one("USER").rest)
    );
    assert_eq!(compose.value("cap_drop"), "[ALL]");
    assert_eq!(
        compose.value("security_opt"),
        "[\"no-new-privileges:true\"]"
    );
    assert_eq!(compose.value("core"), "0");
    for wrong in [
        "privileged",
        "cap_add",
        "network_mode",
        "pid:",
        "docker.sock",
    ] {
        assert!(!compose.text().contains(wrong), "{wrong}");
    }
    let port = &last.one("EXPOSE").rest;
    assert_eq!(compose.value("ports"), format!("[\"{port}:{port}\"]"));
    let config = text_of("deploy/coffer.toml");
    assert!(config.contains(&format!("listen = \"0.0.0.0:{port}\"\n")));
    // The server is given its own time to stop: ten seconds to drain, five for jobs, five for the last record.
    assert_eq!(compose.value("stop_grace_period"), "90s");
}

#[test]
fn all_that_is_written_is_in_a_volume() {
    let (dockerfile, compose) = (Dockerfile::read(), Compose::read());
    let volumes = dockerfile.last().one("VOLUME").words();
    let mounts = compose.mounts();
    let writable = mounts.iter().filter(|(.., writable)| *writable);
    assert_eq!(
        writable.map(|(_, to, _)| *to).collect::<Vec<_>>(),
        volumes.iter().map(String::as_str).collect::<Vec<_>>()
    );
    let config: toml::Table = text_of("deploy/coffer.toml").parse().expect("it is TOML");
    let text = |value: &toml::Value| value.as_str().expect("text").to_owned();
    let database = text(&config["database"]["url"]);
    let written = [
        text(&config["state_dir"]),
        database.trim_start_matches("sqlite://").to_owned(),
        text(&config["seal"]["file"]),
    ];
    for path in &written {
        let inside = volumes
            .iter()
            .any(|volume| Path::new(path).starts_with(volume));
        assert!(inside, "{path} is in no volume");
    }
    let read = [
        dockerfile.last().environment()[0].1.clone(),
        text(&config["tls"]["certificate"]),
        text(&config["tls"]["key"]),
    ];
    for path in &read {
        assert!(
            mounts
                .iter()
                .any(|(_, to, writable)| to == path && !writable),
            "{path} is not mounted read-only"
        );
    }
    assert!(
        !written[2].starts_with(&format!("{}/", volumes[0])),
        "the root key lies apart from the store"
    );
}
