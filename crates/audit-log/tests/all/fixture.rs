//! A small cluster whose log the tests write: fixed key, fixed times, streams that anchor one another.
//!
//! Invariant: the same calls give the same bytes, so that a bundle can be a committed file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use coffer_audit_log::anchor::{ANCHOR_ACTION, ANCHOR_PRINCIPAL, ANCHOR_RESOURCE};
use coffer_audit_log::pruning::{PRUNING_ACTION, PRUNING_PRINCIPAL, PRUNING_RESOURCE};
use coffer_audit_log::*;
use ed25519_dalek::{Signer, SigningKey};

pub const CLUSTER: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
/// 2026-07-06T12:00:00Z.
const START_US: i64 = 1_783_339_200_000_000;

/// A cluster and the records of its streams so far.
pub struct Log {
    signing: SigningKey,
    pub key: VerifierKey,
    pub streams: BTreeMap<StreamId, Vec<Vec<u8>>>,
    /// The records that a bundle does not have any more.
    pub pruned: BTreeSet<(StreamId, u64)>,
    records: u64,
}

pub fn stream(id: &str) -> StreamId {
    id.parse().unwrap()
}

/// An ordinary read, without its place in a stream.
pub fn read() -> Record<'static> {
    Record {
        id: "018f-1".into(),
        time: 0,
        salt: [0; 16],
        stream: "".into(),
        index: 0,
        as_of: 41,
        principal: Some("app/shop".into()),
        token: Some("tok-7".into()),
        source: Some("192.0.2.7".into()),
        user_agent: Some("curl/8".into()),
        action: "read".into(),
        resource: "payments/prod/stripe".into(),
        version: Some(3),
        verdict: Verdict::Allowed,
        scope: Some("read:payments/prod/**".into()),
        outcome: Outcome {
            code: "ok".into(),
            status: 200,
        },
        request: Some("req-9".into()),
        metadata: None,
        digest: None,
    }
}

impl Log {
    pub fn new(seed: u8) -> Self {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let name = CLUSTER.parse::<ClusterId>().unwrap().key_name();
        let key = VerifierKey::new(&name, signing.verifying_key().as_bytes()).unwrap();
        Self {
            signing,
            key,
            streams: BTreeMap::new(),
            pruned: BTreeSet::new(),
            records: 0,
        }
    }

    /// Appends a record, put in its place.
    pub fn append(&mut self, id: &str, mut record: Record<'static>) {
        let lines = self.streams.entry(stream(id)).or_default();
        self.records += 1;
        record.stream = Cow::Owned(id.to_owned());
        record.index = lines.len() as u64;
        record.time = START_US + 1_000_001 * self.records as i64;
        record.salt = [self.records as u8; 16];
        let mut line = Vec::new();
        record.write(&mut line).unwrap();
        lines.push(line);
    }

    /// Appends a record of the heads of all streams.
    pub fn anchor(&mut self, id: &str) {
        let heads: Vec<_> = self
            .streams
            .keys()
            .map(|id| (id.clone(), self.head(id.as_str(), u64::MAX)))
            .collect();
        let metadata = anchor_metadata(heads.iter().map(|(id, head)| (id, head.size, head.root)));
        self.append(
            id,
            Record {
                action: ANCHOR_ACTION.into(),
                resource: ANCHOR_RESOURCE.into(),
                principal: Some(ANCHOR_PRINCIPAL.into()),
                metadata: Some(Cow::Owned(metadata)),
                version: None,
                token: None,
                source: None,
                user_agent: None,
                scope: None,
                request: None,
                ..read()
            },
        );
    }

    /// Appends a record that says what is left of a range.
    pub fn say_pruned(&mut self, id: &str, pruning: &Pruning) {
        self.append(
            id,
            Record {
                action: PRUNING_ACTION.into(),
                resource: PRUNING_RESOURCE.into(),
                principal: Some(PRUNING_PRINCIPAL.into()),
                metadata: Some(Cow::Owned(pruning.metadata())),
                version: None,
                token: None,
                source: None,
                user_agent: None,
                scope: None,
                request: None,
                ..read()
            },
        );
    }

    /// Prunes a range of a stream but for these records, and says so in the same stream.
    pub fn prune(&mut self, id: &str, range: std::ops::Range<u64>, kept: &[u64]) {
        let pruning = Pruning {
            stream: stream(id),
            first: range.start,
            end: range.end,
            kept: kept_hash(kept.iter().copied()),
        };
        self.say_pruned(id, &pruning);
        let gone = range.filter(|index| !kept.contains(index));
        self.pruned.extend(gone.map(|index| (stream(id), index)));
    }

    /// The head of a stream when it had that many records, or as many as it has.
    pub fn head(&self, id: &str, size: u64) -> Checkpoint {
        let mut tree = Frontier::new();
        for line in self.streams[&stream(id)]
            .iter()
            .take(size.try_into().unwrap_or(usize::MAX))
        {
            tree.push(leaf_hash(line));
        }
        let origin = Origin {
            cluster: CLUSTER.parse().unwrap(),
            stream: stream(id),
        };
        Checkpoint {
            origin,
            size: tree.size(),
            root: tree.root(),
        }
    }

    pub fn sign(&self, head: &Checkpoint) -> String {
        let text = head.text();
        let signature = self.signing.sign(text.as_bytes()).to_bytes();
        signed_note(&text, self.key.name(), self.key.id(), &signature)
    }

    pub fn note(&self, id: &str, size: u64) -> String {
        self.sign(&self.head(id, size))
    }

    pub fn bundle(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer =
            BundleWriter::begin(&self.key, self.streams.len() as u64, &mut out).unwrap();
        for (id, lines) in &self.streams {
            writer
                .stream(&self.note(id.as_str(), u64::MAX), &mut out)
                .unwrap();
            for (index, line) in (0..).zip(lines) {
                if self.pruned.contains(&(id.clone(), index)) {
                    writer.gap(&gap(index, line), &mut out).unwrap();
                } else {
                    writer.record(line, &mut out).unwrap();
                }
            }
        }
        writer.end(&mut out).unwrap();
        out
    }
}

/// Two streams with every field, every verdict and some awkward text.
pub fn example() -> Log {
    let mut log = Log::new(7);
    log.anchor("node-a");
    log.append("node-a", read());
    log.append(
        "node-a",
        Record {
            verdict: Verdict::Refused,
            scope: None,
            version: None,
            outcome: Outcome {
                code: "token-expired".into(),
                status: 401,
            },
            user_agent: Some("gr\u{fc}\u{df}e \"\\\" \u{1}\t\u{7f}\u{2028}\u{1f600}".into()),
            ..read()
        },
    );
    log.anchor("node-b");
    let pairs = [
        ("\u{1f600}", "astral sorts first"),
        ("\u{fb33}", "and this second"),
        ("a", ""),
    ];
    let metadata = pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    log.append(
        "node-b",
        Record {
            action: "write".into(),
            digest: Some([0xab; 32]),
            version: Some(u64::MAX),
            metadata: Some(Cow::Owned(metadata)),
            ..read()
        },
    );
    log.append("node-b", read());
    log.anchor("node-a");
    log.anchor("node-b");
    log.append("node-a", read());
    log
}

/// What stands in the place of one record.
pub fn gap(first: u64, line: &[u8]) -> Gap {
    Gap {
        first,
        level: 0,
        hash: leaf_hash(line),
    }
}

/// The example, grown, and two ranges of one stream pruned that lie side by side.
pub fn pruned_example() -> Log {
    let mut log = example();
    for _ in 0..12 {
        log.append("node-a", read());
    }
    log.prune("node-a", 1..7, &[4]);
    log.prune("node-a", 7..14, &[]);
    log.anchor("node-b");
    log
}
