//! The vector files under `tests/vectors/e1`, which a second implementation (`tests/vectors/e1.py`) writes and checks.
//! What opens must be sealed again to the same bytes; what is refused must be refused.
//!
//! Invariant: every file is read; one that is no vector fails the test.

use serde::Deserialize;

use super::*;
use crate::{
    crypto::{
        DataKey, DocumentContext, EnvironmentKey, Keyring, RootKey, RootPlace, VersionContext,
        root::KeyPlace,
    },
    model::{
        ClusterId, DocumentKind, EnvironmentId, KeyKind, KeyRow, ProjectId, SecretId, StreamId,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    expect: String,
    why: Option<String>,
    key: String,
    context: Place,
    encoded_context: Option<String>,
    plaintext: Option<String>,
    envelope: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    label: String,
    cluster: ClusterId,
    project: Option<ProjectId>,
    environment: Option<EnvironmentId>,
    kind: String,
    id: Option<uuid::Uuid>,
    name: String,
    version: Option<String>,
    term: Option<u32>,
}

impl Place {
    fn context(&self) -> Context<'_> {
        let mut context = Context::labelled(&self.label, self.cluster, &self.kind)
            .place(self.project, self.environment);
        if let Some(id) = self.id {
            context = context.object(id.as_bytes(), &self.name);
        }
        if let Some(version) = &self.version {
            context = context.version(version.parse().expect("a version in decimal"));
        }
        self.term.map_or(context, |term| context.term(term))
    }
}

/// Gives the salt of a vector instead of a random one.
struct Salt<'a>(&'a [u8]);

impl Entropy for Salt<'_> {
    fn fill(&self, out: &mut [u8]) {
        out.copy_from_slice(self.0);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).expect("hexadecimal") as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn vectors() -> Vec<(String, Vector)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/e1");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path());
    let parse = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector = serde_json::from_slice(&std::fs::read(&path).unwrap());
        (
            name.clone(),
            vector.unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    };
    files.map(parse).collect()
}

fn key_of(vector: &Vector) -> LockedKey {
    LockedKey::copy_of(
        hex(&vector.key)
            .as_slice()
            .try_into()
            .expect("a key of 32 bytes"),
    )
}

#[test]
fn every_vector_does_as_it_says() {
    let (mut opened, mut refused) = (0, 0);
    for (name, vector) in vectors() {
        let (key, context, envelope) = (
            key_of(&vector),
            vector.context.context(),
            hex(&vector.envelope),
        );
        let result = open(&key, &context, &envelope);
        match vector.expect.as_str() {
            "opens" => {
                let plaintext = hex(&vector.plaintext.unwrap());
                assert_eq!(
                    result
                        .unwrap_or_else(|_| panic!("{name} is refused"))
                        .expose(),
                    plaintext,
                    "{name}"
                );
                assert_eq!(
                    context.encode().unwrap().bytes(),
                    hex(&vector.encoded_context.unwrap()),
                    "{name}"
                );
                let algorithm = Algorithm::parse(envelope[1]).unwrap();
                let again = seal(
                    &key,
                    algorithm,
                    &context,
                    &Salt(&envelope[6..38]),
                    &plaintext,
                )
                .unwrap();
                assert_eq!(again, envelope, "{name} is sealed to other bytes");
                let prepared = Opener::new(&key, &context, &envelope).unwrap();
                assert_eq!(
                    prepared.open(&envelope).unwrap().expose(),
                    plaintext,
                    "{name}"
                );
                opened += 1;
            }
            "refused" => {
                assert!(
                    result.is_err(),
                    "{name} opens, though: {}",
                    vector.why.unwrap()
                );
                let prepared = Opener::new(&key, &context, &envelope);
                assert!(
                    prepared
                        .and_then(|prepared| prepared.open(&envelope))
                        .is_err(),
                    "{name} opens, prepared"
                );
                refused += 1;
            }
            other => panic!("{name} expects {other}"),
        }
    }
    assert!(
        opened >= 25 && refused >= 70,
        "vectors are missing: {opened} open, {refused} refused"
    );
}

/// Invisible salamander (Len, Grubbs, Ristenpart 2021): AES-GCM accepts one body under two derived keys, E1 does not.
#[test]
fn a_body_that_two_keys_open_is_refused_by_the_commitment_alone() {
    let all = vectors();
    let of = |name: &str| {
        &all.iter()
            .find(|(found, _)| found == name)
            .expect("the two-key vectors exist")
            .1
    };
    let (first, second) = (
        of("aes256gcm-two-key-first.json"),
        of("aes256gcm-two-key-refused.json"),
    );
    assert_eq!(first.envelope, second.envelope);
    let envelope = hex(&first.envelope);
    let mut texts = Vec::new();
    for vector in [first, second] {
        let (header, place) = (
            Header::parse(&envelope).unwrap(),
            vector.context.context().encode().unwrap(),
        );
        let derived = derive(&key_of(vector), header.algorithm, header.salt, &place).unwrap();
        texts.push(
            open_body(&header, derived.key(), derived.nonce(), place.bytes())
                .expect("the cipher accepts it"),
        );
    }
    assert_ne!(texts[0].expose(), texts[1].expose());
    assert!(open(&key_of(first), &first.context.context(), &envelope).is_ok());
    assert!(open(&key_of(second), &second.context.context(), &envelope).is_err());
}

/// The places in the files are the places that the typed keys seal at: each opens its vector.
#[test]
fn the_typed_keys_open_their_vectors() {
    let all = vectors();
    let entropy = crate::entropy::SeededEntropy::new(1);
    for cipher in ["aes256gcm", "chacha20poly1305"] {
        let of = |rank: &str| {
            let name = format!("{cipher}-{rank}.json");
            let vector = &all
                .iter()
                .find(|(found, _)| *found == name)
                .expect("a vector a rank")
                .1;
            (
                vector,
                hex(&vector.envelope),
                hex(vector.plaintext.as_ref().unwrap()),
            )
        };
        let root_of =
            |vector: &Vector| RootKey::from_secret(&SecretBytes::new(hex(&vector.key))).unwrap();

        let (vector, envelope, text) = of("data");
        let cluster = vector.context.cluster;
        let (project, environment) = (
            vector.context.project.unwrap(),
            vector.context.environment.unwrap(),
        );
        let secret = SecretId::from_bytes(*vector.context.id.unwrap().as_bytes());
        let version = VersionContext {
            secret,
            path: "billing/stripe",
            version: 7,
        };
        let data = DataKey {
            key: key_of(vector),
            cluster,
            project,
            environment,
        };
        assert_eq!(data.open(&version, &envelope).unwrap().expose(), text);

        let (vector, envelope, text) = of("environment");
        let key = EnvironmentKey {
            key: key_of(vector),
            cluster,
            project,
            environment,
            term: 3,
        };
        assert_eq!(
            key.open_data_key(&version, &envelope).unwrap().key.expose()[..],
            text
        );

        let (vector, envelope, text) = of("root");
        let place = KeyPlace::of_cluster(cluster, KeyKind::System, 1);
        assert_eq!(
            root_of(vector).unwrap(place, &envelope).unwrap().expose()[..],
            text
        );
        let (vector, envelope, text) = of("root-environment");
        let place = KeyPlace::of_environment(cluster, project, environment, 3);
        assert_eq!(
            root_of(vector).unwrap(place, &envelope).unwrap().expose()[..],
            text
        );

        let (vector, envelope, text) = of("seal");
        let work = "argon2id m=65536 t=3 p=1";
        let root = RootKey::unwrap_under(&key_of(vector), RootPlace::of(cluster), work, &envelope);
        assert_eq!(
            root.unwrap().to_hex().expose(),
            RootKey::from_secret(&SecretBytes::new(text))
                .unwrap()
                .to_hex()
                .expose()
        );

        let (root, mut rows) = (RootKey::generate(&entropy), Vec::new());
        for (kind, term, key) in [
            (KeyKind::System, 2, key_of(of("system").0)),
            (KeyKind::Audit, 1, key_of(of("audit").0)),
            (KeyKind::TokenMac, 1, LockedKey::generate(&entropy)),
            (KeyKind::CursorMac, 1, LockedKey::generate(&entropy)),
            (KeyKind::MarkMac, 1, LockedKey::generate(&entropy)),
            (KeyKind::Signer, 1, LockedKey::generate(&entropy)),
        ] {
            let wrapped = root
                .wrap(&entropy, KeyPlace::of_cluster(cluster, kind, term), &key)
                .unwrap();
            rows.push(KeyRow {
                kind,
                environment: [0; 16],
                term,
                wrapped,
            });
        }
        let ring = Keyring::open(root, cluster, &rows).unwrap();
        let (vector, envelope, text) = of("system");
        let id = *vector.context.id.unwrap().as_bytes();
        let kind = DocumentKind::Principal;
        let place = DocumentContext {
            kind,
            project: None,
            environment: None,
            id,
            name: "billing",
        };
        assert_eq!(
            ring.open_document(&place, &envelope).unwrap().expose(),
            text
        );
        let (vector, envelope, text) = of("audit");
        let stream = StreamId::from_bytes(*vector.context.id.unwrap().as_bytes());
        assert_eq!(
            ring.open_segment(stream, 4096, 41, &envelope)
                .unwrap()
                .expose(),
            text
        );
    }
}
