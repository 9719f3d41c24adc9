//! Signed heads and keys against the `signed_note` and `tlog_tiles` crates, and against other spellings.

use coffer_audit_log::*;

use crate::fixture::{CLUSTER, Log, example};

#[test]
fn other_implementations_read_our_key_and_our_head() {
    let log = example();
    let note = log.note("node-a", u64::MAX);
    let verifier = signed_note_crate::StandardVerifier::new(&log.key.to_string()).unwrap();
    let theirs = signed_note_crate::Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, others) = theirs
        .verify(&signed_note_crate::VerifierList::new(vec![Box::new(
            verifier,
        )]))
        .unwrap();
    assert_eq!((verified.len(), others.len()), (1, 0));
    assert_eq!(
        signed_note_crate::key_id(log.key.name(), &typed(log.key.public_key())),
        log.key.id()
    );

    let ours = open_note(&note, &log.key).unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!(checkpoint.origin(), ours.origin.to_string());
    assert_eq!(checkpoint.size(), ours.size);
    assert_eq!(checkpoint.hash().0, ours.root.0);
    assert_eq!(checkpoint.to_bytes(), ours.text().as_bytes());
}

use signed_note as signed_note_crate;

fn typed(key: &[u8; 32]) -> Vec<u8> {
    [&[1][..], key].concat()
}

#[test]
fn a_key_has_one_spelling() {
    let good = example().key.to_string();
    assert_eq!(good.parse::<VerifierKey>().unwrap().to_string(), good);
    let (rest, key) = good.rsplit_once('+').unwrap();
    let (name, id) = rest.rsplit_once('+').unwrap();
    for wrong in [
        String::new(),
        name.to_owned(),
        format!("{name}+{id}"),
        format!("{name}+{}+{key}", id.to_uppercase()),
        format!("{name}+0{id}+{key}"),
        format!("{name}+00000000+{key}"),
        format!("x{name}+{id}+{key}"),
        format!("+{id}+{key}"),
        format!("{name} +{id}+{key}"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{good}="),
        good.trim_end_matches('=').to_owned() + "A",
        good[..good.len() - 4].to_owned(),
    ] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
}

#[test]
fn a_key_anyone_could_sign_for_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut above_the_prime = [0xff; 32];
    (above_the_prime[0], above_the_prime[31]) = (0xee, 0x7f);
    for weak in [[0; 32], identity, above_the_prime, [0xff; 32]] {
        assert_eq!(VerifierKey::new("coffer/x", &weak), Err(KeyError::Weak));
    }
}

#[test]
fn a_head_has_one_spelling_and_one_signer() {
    let log = example();
    let note = log.note("node-a", u64::MAX);
    let opened = open_note(&note, &log.key).unwrap();
    assert_eq!(log.sign(&opened), note);

    let stranger = Log::new(8);
    assert_eq!(open_note(&note, &stranger.key), Err(NoteError::OtherKey));
    assert_eq!(
        open_note(&stranger.sign(&opened), &log.key),
        Err(NoteError::OtherKey)
    );
    let renamed = note.replace(CLUSTER, "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c");
    assert_eq!(open_note(&renamed, &log.key), Err(NoteError::OtherKey));
    let elsewhere = Origin {
        cluster: ClusterId([1; 16]),
        stream: opened.origin.stream.clone(),
    };
    let elsewhere = log.sign(&Checkpoint {
        origin: elsewhere,
        ..opened.clone()
    });
    assert_eq!(
        open_note(&elsewhere, &log.key),
        Err(NoteError::OtherCluster)
    );

    let (text, signature) = note.split_once("\n\n").unwrap();
    for wrong in [
        String::new(),
        format!("{note}\n"),
        format!("{note}{signature}"),
        format!(" {note}"),
        note.trim_end().to_owned(),
        note.replace('\n', "\r\n"),
        note.replace("\u{2014}", "-"),
        note.replace("\n\n", "\nextension\n\n"),
        format!("{text}\n{signature}"),
        format!("{text}\n\n\n{signature}"),
        note.replacen(
            &format!("\n{}\n", opened.size),
            &format!("\n0{}\n", opened.size),
            1,
        ),
        note.replacen(&format!("\n{}\n", opened.size), "\n1\n", 1),
        note.replace("=\n", "\n"),
        format!("{text}\n\n{}\n", signature.trim_end_matches(['\n', '='])),
    ] {
        assert!(open_note(&wrong, &log.key).is_err(), "{wrong}");
    }
}
