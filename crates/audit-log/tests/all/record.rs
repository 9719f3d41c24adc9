//! A record's spelling: what is written is canonical JSON, comes back, and has no second spelling.

use std::borrow::Cow;

use coffer_audit_log::*;
use proptest::prelude::*;

use crate::fixture::read;

fn line(record: &Record<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    record.write(&mut line).unwrap();
    line
}

#[test]
fn a_record_is_spelled_like_this() {
    let record = Record {
        time: 1_783_339_200_000_001,
        salt: [0x0f; 16],
        stream: "node-a".into(),
        index: 5,
        ..read()
    };
    let expected = concat!(
        r#"{"action":"read","as_of":"41","format":1,"id":"018f-1","index":"5","#,
        r#""outcome":{"code":"ok","status":200},"principal":"app/shop","request":"req-9","#,
        r#""resource":"payments/prod/stripe","salt":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","#,
        r#""scope":"read:payments/prod/**","source":"192.0.2.7","stream":"node-a","#,
        r#""time":"2026-07-06T12:00:00.000001Z","token":"tok-7","user_agent":"curl/8","#,
        r#""verdict":"allowed","version":"3"}"#
    );
    assert_eq!(String::from_utf8(line(&record)).unwrap(), expected);
    assert_eq!(Record::parse(expected.as_bytes()).unwrap(), record);
}

#[test]
fn what_cannot_be_written_leaves_the_buffer_alone() {
    let mut out = b"before".to_vec();
    let long = Record {
        resource: "x".repeat(RECORD_BYTES_MAX).into(),
        ..read()
    };
    assert_eq!(long.write(&mut out), Err(RecordError::TooLong));
    assert_eq!(
        Record { time: -1, ..read() }.write(&mut out),
        Err(RecordError::Time)
    );
    let outcome = Outcome {
        code: "ok".into(),
        status: 99,
    };
    assert_eq!(
        Record { outcome, ..read() }.write(&mut out),
        Err(RecordError::Status)
    );
    assert_eq!(out, b"before");
}

#[test]
fn the_longest_record_is_exactly_the_limit() {
    let spare = RECORD_BYTES_MAX
        - line(&Record {
            resource: "".into(),
            ..read()
        })
        .len();
    let longest = line(&Record {
        resource: "x".repeat(spare).into(),
        ..read()
    });
    assert_eq!(longest.len(), RECORD_BYTES_MAX);
    assert!(Record::parse(&longest).is_ok());
    assert_eq!(
        Record::parse(&[&longest[..], b" "].concat()),
        Err(RecordError::TooLong)
    );
}

#[test]
fn another_spelling_is_refused() {
    let metadata = [
        ("a".to_owned(), "1".to_owned()),
        ("b".to_owned(), "2".to_owned()),
    ]
    .into();
    let good = line(&Record {
        metadata: Some(Cow::Owned(metadata)),
        digest: Some([1; 32]),
        ..read()
    });
    let good = String::from_utf8(good).unwrap();
    assert!(Record::parse(good.as_bytes()).is_ok());
    for (from, to) in [
        ("{\"action\"", "{ \"action\""),
        ("{\"action\":\"read\",", "{"),
        ("\"as_of\":\"41\"", "\"as_of\":41"),
        ("\"as_of\":\"41\"", "\"as_of\":\"041\""),
        ("\"as_of\":\"41\",", ""),
        ("\"format\":1", "\"format\":2"),
        ("\"format\":1,", ""),
        ("\"id\":\"018f-1\",", ""),
        ("\"index\":\"0\",", ""),
        ("\"status\":200", "\"status\":2e2"),
        ("\"status\":200", "\"status\":\"200\""),
        ("\"status\":200", "\"status\":99"),
        ("\"status\":200", "\"status\":1000"),
        ("\"status\":200", "\"status\":200,\"x\":1"),
        ("\"code\":\"ok\",", ""),
        ("\"resource\":\"payments/prod/stripe\",", ""),
        ("payments/prod/stripe", "payments\\/prod/stripe"),
        ("payments/prod/stripe", "payments/prod/\\u0073tripe"),
        ("\"salt\":\"00000000000000000000000000000000\",", ""),
        ("\"salt\":\"00", "\"salt\":\""),
        ("\"stream\":\"\",", ""),
        ("\"time\":\"1970-01-01T00:00:00.000000Z\",", ""),
        ("00:00:00.000000Z", "00:00:00.000000+00:00"),
        ("\"verdict\":\"allowed\"", "\"verdict\":\"yes\""),
        ("\"verdict\":\"allowed\",", ""),
        ("\"version\":\"3\"", "\"version\":null"),
        ("\"version\":\"3\"", "\"version\":\"3\",\"x\":\"y\""),
        ("\"version\":\"3\"", "\"version\":\"18446744073709551616\""),
        ("\"digest\":\"01", "\"digest\":\"0A"),
        ("\"principal\":", "\"prince\":\"x\",\"principal\":"),
        ("\"principal\":\"app/shop\"", "\"principal\":null"),
        ("\"a\":\"1\",\"b\":\"2\"", "\"b\":\"2\",\"a\":\"1\""),
        ("\"a\":\"1\",\"b\":\"2\"", "\"a\":\"1\",\"a\":\"2\""),
        ("\"a\":\"1\",\"b\":\"2\"", "\"a\":\"1\",\"b\":2"),
        ("\"a\":\"1\",\"b\":\"2\"", "\"a\":\"1\","),
        ("\"3\"}", "\"3\"}\n"),
        ("\"3\"}", "\"3\"} "),
        ("\"3\"}", "\"3\""),
    ] {
        assert!(good.contains(from), "{from}");
        let other = good.replacen(from, to, 1);
        assert!(Record::parse(other.as_bytes()).is_err(), "{other}");
    }
    assert_eq!(Record::parse(b"\xff"), Err(RecordError::NotText));
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    any::<String>().prop_map(Cow::Owned)
}

prop_compose! {
    fn any_record()(
        texts in proptest::collection::vec(text(), 11),
        maybe in any::<[bool; 9]>(),
        time in 0..coffer_audit_log::instant::INSTANT_END_US,
        numbers in any::<[u64; 3]>(),
        salt in any::<[u8; 16]>(),
        digest in any::<[u8; 32]>(),
        status in 100..=999u16,
        metadata in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4),
    ) -> Record<'static> {
        let [id, stream, action, resource, code, a, b, c, d, e, f] = texts.try_into().unwrap();
        Record {
            id, stream, action, resource, time, salt, index: numbers[0], as_of: numbers[1],
            principal: maybe[0].then_some(a),
            token: maybe[1].then_some(b),
            source: maybe[2].then_some(c),
            user_agent: maybe[3].then_some(d),
            version: maybe[4].then_some(numbers[2]),
            verdict: if maybe[5] { Verdict::Allowed } else { Verdict::Refused },
            scope: maybe[6].then_some(e),
            outcome: Outcome { code, status },
            request: maybe[7].then_some(f),
            metadata: maybe[8].then_some(Cow::Owned(metadata)),
            digest: maybe[0].then_some(digest),
        }
    }
}

proptest! {
    #[test]
    fn a_record_comes_back_and_is_json_with_sorted_keys(record in any_record()) {
        let bytes = line(&record);
        prop_assert_eq!(&Record::parse(&bytes).unwrap().into_owned(), &record);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        prop_assert!(keys.is_sorted());
        if let Some(metadata) = &record.metadata {
            let written: std::collections::BTreeMap<String, String> =
                serde_json::from_value(value["metadata"].clone()).unwrap();
            prop_assert_eq!(&written, metadata.as_ref());
        } else {
            // serde_json sorts by code point and spells strings as RFC 8785 does.
            prop_assert_eq!(serde_json::to_vec(&value).unwrap(), bytes);
        }
    }

    #[test]
    fn a_line_that_is_taken_is_what_would_be_written(
        record in any_record(), at in any::<prop::sample::Index>(), byte in any::<u8>(), edit in 0..3u8,
    ) {
        let mut bytes = line(&record);
        let at = at.index(bytes.len());
        match edit {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        if let Ok(other) = Record::parse(&bytes) {
            prop_assert_eq!(line(&other), bytes);
        }
    }
}
