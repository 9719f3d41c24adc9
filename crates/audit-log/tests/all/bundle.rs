//! What the writer writes and what the verifier reports of it.

use coffer_audit_log::*;

use crate::fixture::{CLUSTER, example};

#[test]
fn an_untouched_bundle_verifies() {
    let log = example();
    let report = verify(log.bundle().as_slice(), &log.key).unwrap();
    assert_eq!(report.cluster.to_string(), CLUSTER);
    assert_eq!((report.records, report.anchors), (9, 5));
    let sizes: Vec<_> = report
        .streams
        .iter()
        .map(|stream| (stream.stream.as_str(), stream.size))
        .collect();
    assert_eq!(sizes, [("node-a", 5), ("node-b", 4)]);
    assert_eq!(report.streams[0].root, log.head("node-a", u64::MAX).root);
    assert!(report.streams[0].first < report.streams[0].last);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["streams"][1]["size"], "4");
    assert_eq!(json["streams"][0]["first"], "2026-07-06T12:00:01.000001Z");
}

#[test]
fn a_writer_refuses_what_would_not_verify() {
    let log = example();
    let mut out = Vec::new();
    let begin = |streams, out: &mut Vec<u8>| BundleWriter::begin(&log.key, streams, out);
    assert_eq!(begin(0, &mut out).unwrap_err(), BundleError::Streams);
    let other = VerifierKey::new("elsewhere", log.key.public_key()).unwrap();
    assert_eq!(
        BundleWriter::begin(&other, 1, &mut out).unwrap_err(),
        BundleError::Key
    );

    let mut writer = begin(2, &mut out).unwrap();
    let (a, b) = (log.note("node-a", 1), log.note("node-b", 1));
    assert!(matches!(
        writer.stream(&log.note("node-b", 1).replace("\n1\n", "\n2\n"), &mut out),
        Err(BundleError::Head(_))
    ));
    writer.stream(&b, &mut out).unwrap();
    assert_eq!(writer.stream(&a, &mut out), Err(BundleError::Records));
    assert_eq!(writer.record(b"{\n}", &mut out), Err(BundleError::Line));
    assert_eq!(writer.record(b"", &mut out), Err(BundleError::Line));
    assert_eq!(
        writer.record(&vec![b'x'; RECORD_BYTES_MAX + 1], &mut out),
        Err(BundleError::Line)
    );
    writer.record(b"{}", &mut out).unwrap();
    assert_eq!(writer.record(b"{}", &mut out), Err(BundleError::Records));
    assert_eq!(writer.stream(&a, &mut out), Err(BundleError::Order));

    let mut writer = begin(1, &mut out).unwrap();
    writer.stream(&a, &mut out).unwrap();
    assert_eq!(writer.end(&mut out), Err(BundleError::Records));
    assert_eq!(
        begin(1, &mut out).unwrap().end(&mut out),
        Err(BundleError::Streams)
    );
}
