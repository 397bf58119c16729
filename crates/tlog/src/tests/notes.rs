use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{grown, numbers, origin, signer};
use crate::checkpoint::{
    Checkpoint, CheckpointError, EXTENSION_BYTES_MAX, EXTENSIONS_MAX, ORIGIN_BYTES_MAX, Origin, Policy,
};
use crate::hash::Hash;
use crate::note::{
    COSIGNED_SECONDS_MAX, KEY_NAME_BYTES_MAX, KeyKind, KeyName, MemorySigner, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX,
    Note, NoteError, Signature, Signer, VerifierKey,
};
use crate::proof::TreeHead;
use crate::tile::TREE_LEAVES_MAX;

/// The example key and note in the documentation of Go's `sumdb/note`, which the format comes from.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// Its other half, as printed there: a byte for the kind, and the seed.
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
/// The example of C2SP signed-note.
const C2SP_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const C2SP_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
/// The example of C2SP tlog-cosignature (its keys are not published).
const C2SP_CHECKPOINT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa \
    Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 \
    jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

#[test]
fn published_notes_verify_and_are_made_again_byte_for_byte() {
    for (key, note) in [(GO_KEY, GO_NOTE), (C2SP_KEY, C2SP_NOTE)] {
        let known = [VerifierKey::parse(key).unwrap()];
        assert_eq!(known[0].to_string(), key);
        let parsed = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(parsed.to_string(), note);
        assert_eq!(parsed.verify(&known).unwrap().by, [(&known[0], None)]);
    }
    let seed: [u8; 32] = STANDARD.decode(GO_SEED).unwrap()[1..].try_into().unwrap();
    let peter = MemorySigner::from_seed(KeyName::new("PeterNeumann").unwrap(), KeyKind::Ed25519, &seed).unwrap();
    assert_eq!(peter.key().to_string(), GO_KEY);
    let (text, _) = GO_NOTE.rsplit_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let note = Note::new(text.clone(), vec![Signature::of(&text, &peter).unwrap()]).unwrap();
    assert_eq!(note.to_string(), GO_NOTE);
}

#[test]
fn the_specifications_checkpoint_is_read() {
    let note = Note::parse(C2SP_CHECKPOINT.as_bytes()).unwrap();
    assert_eq!((note.to_string().as_str(), note.signatures().len()), (C2SP_CHECKPOINT, 2));
    let checkpoint = Checkpoint::parse(note.unverified_text()).unwrap();
    assert_eq!((checkpoint.origin().as_str(), checkpoint.head().size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_string(), note.unverified_text());
    // Nobody known has signed it.
    assert_eq!(note.verify(&[VerifierKey::parse(C2SP_KEY).unwrap()]), Err(NoteError::NobodyKnown));
}

#[test]
fn what_is_no_note_is_refused() {
    let line = C2SP_NOTE.rsplit_once("\n\n").unwrap().1;
    for (bad, why) in [
        (String::new(), NoteError::NotANote),
        ("text\n".to_owned(), NoteError::NotANote),
        ("text\n\n".to_owned(), NoteError::NotANote),
        (format!("text\n{line}"), NoteError::NotANote),
        (format!("text\n\n{}", line.trim_end()), NoteError::NotANote),
        (format!("te\tt\n\n{line}"), NoteError::NotANote),
        (format!("text\r\n\n{line}"), NoteError::NotANote),
        (format!("text\n\n{line}x\n"), NoteError::NotASignature(2)),
        (format!("text\n\n{}", line.replace('—', "-")), NoteError::NotASignature(1)),
        (format!("text\n\n{}", line.replace("foo ", "foo  ")), NoteError::NotASignature(1)),
        (format!("text\n\n{}", line.replace("/foo", "+foo")), NoteError::NotASignature(1)),
        (format!("text\n\n{}", line.replace("/foo", "\u{2003}foo")), NoteError::NotASignature(1)),
        (format!("text\n\n{}", line.replace("M=", "N=")), NoteError::NotASignature(1)),
        ("text\n\n— a AAAAAA==\n".to_owned(), NoteError::NotASignature(1)),
        (format!("text\n\n{}", line.repeat(NOTE_SIGNATURES_MAX + 1)), NoteError::TooManySignatures),
    ] {
        assert_eq!(Note::parse(bad.as_bytes()), Err(why), "{bad}");
    }
    assert!(Note::parse(format!("text\n\n{}", line.repeat(NOTE_SIGNATURES_MAX)).as_bytes()).is_ok());
    assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::NotANote));
    let most = format!("{}\n\n{line}", "a".repeat(NOTE_BYTES_MAX - line.len() - 2));
    assert!(Note::parse(most.as_bytes()).is_ok());
    assert_eq!(Note::parse(format!("a{most}").as_bytes()), Err(NoteError::TooLong(NOTE_BYTES_MAX + 1)));
    assert!(KeyName::new(&"a".repeat(KEY_NAME_BYTES_MAX)).is_ok());
    for bad in ["", "a b", "a+b", "a\u{a0}b", "a\nb", &"a".repeat(KEY_NAME_BYTES_MAX + 1)] {
        assert_eq!(KeyName::new(bad), Err(NoteError::Name), "{bad}");
    }
    for bad in ["", "a", "a+b", &GO_KEY.replace("c74", "c75"), &GO_KEY.replace("c74f20a3", "C74F20A3"), &GO_KEY[1..]] {
        assert!(VerifierKey::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn strangers_are_passed_over_and_one_forgery_refuses_all() {
    let (log, stranger) = (signer("log", KeyKind::Ed25519, 1), signer("log", KeyKind::Ed25519, 2));
    let text = "text\n";
    let by = |who: &MemorySigner, text: &str| Signature::of(text, who).unwrap();
    let note = |signatures| Note::new(text.to_owned(), signatures).unwrap();
    let known = [log.key().clone()];
    let good = note(vec![by(&stranger, text), by(&log, text), by(&log, text)]);
    assert_eq!(good.verify(&known).unwrap().by, [(log.key(), None)]);
    assert_eq!(note(vec![by(&stranger, text)]).verify(&known), Err(NoteError::NobodyKnown));
    let forged = note(vec![by(&log, text), by(&log, "other\n")]);
    assert_eq!(forged.verify(&known), Err(NoteError::Forged(log.key().name().clone())));
}

#[test]
fn a_cosignature_holds_its_time_and_nothing_else() {
    let witness = signer("w.example", KeyKind::Cosigner, 3);
    let text = "log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    let known = [witness.key().clone()];
    let cosigned = |seconds| Note::new(text.to_owned(), vec![Signature::cosign(text, seconds, &witness).unwrap()]);
    let note = cosigned(1_679_315_147).unwrap();
    assert_eq!(note.verify(&known).unwrap().by, [(witness.key(), Some(1_679_315_147))]);
    // As the specification lays the line out: key id, time, signature; over two lines and the text.
    let line = note.to_string();
    let bytes = STANDARD.decode(line.trim_end().rsplit(' ').next().unwrap()).unwrap();
    assert_eq!((&bytes[..4], &bytes[4..12]), (&witness.key().id()[..], &1_679_315_147_u64.to_be_bytes()[..]));
    let message = format!("cosignature/v1\ntime 1679315147\n{text}");
    assert_eq!(&bytes[12..], witness.sign(message.as_bytes()).unwrap());
    let again = note.with(Signature::cosign(text, 1_679_315_200, &witness).unwrap()).unwrap();
    assert_eq!(again.verify(&known).unwrap().by, [(witness.key(), Some(1_679_315_200))]);
    let mut later = bytes.clone();
    later[11] += 1;
    let moved = line.replace(&STANDARD.encode(&bytes), &STANDARD.encode(&later));
    assert!(matches!(Note::parse(moved.as_bytes()).unwrap().verify(&known), Err(NoteError::Forged(_))));
    assert!(cosigned(COSIGNED_SECONDS_MAX).unwrap().verify(&known).is_ok());
    assert!(Signature::cosign(text, COSIGNED_SECONDS_MAX + 1, &witness).is_err());
    // A witness's key signs no notes, a log's key witnesses nothing.
    assert!(Signature::of(text, &witness).is_err());
    assert!(Signature::cosign(text, 1, &signer("log", KeyKind::Ed25519, 1)).is_err());
}

#[test]
fn checkpoints_have_one_spelling_and_limits() {
    let root = Hash([9; 32]).to_base64();
    let empty = Hash::of_nothing().to_base64();
    let (long, longer) = ("o".repeat(ORIGIN_BYTES_MAX), "e".repeat(EXTENSION_BYTES_MAX));
    let lines = "x\n".repeat(EXTENSIONS_MAX);
    for good in [
        format!("log\n1\n{root}\n"),
        format!("log\n0\n{empty}\n"),
        format!("a log with spaces\n{TREE_LEAVES_MAX}\n{root}\n"),
        format!("{long}\n1\n{root}\n"),
        format!("log\n1\n{root}\n{longer}\n"),
        format!("log\n1\n{root}\n{lines}"),
    ] {
        assert_eq!(Checkpoint::parse(&good).map(|checkpoint| checkpoint.to_string()), Ok(good));
    }
    for bad in [
        String::new(),
        "\n\n\n".to_owned(),
        format!("log\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("log\n01\n{root}\n"),
        format!("log\n+1\n{root}\n"),
        format!("log\n{}\n{root}\n", TREE_LEAVES_MAX + 1),
        format!("log\n0\n{root}\n"),
        format!("log\n1\n{}\n", &root[..43]),
        format!("log\n1\n{root} \n"),
        format!("log\n1\n{root}\n\n"),
        format!("o{long}\n1\n{root}\n"),
        format!("log\n1\n{root}\ne{longer}\n"),
        format!("log\n1\n{root}\n{lines}x\n"),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad}");
    }
    assert_eq!(Origin::new("a\nb"), Err(CheckpointError::Origin));
}

#[test]
fn a_policy_asks_for_the_log_and_for_enough_witnesses() {
    let (log, other) = (signer("index.example/main", KeyKind::Ed25519, 1), signer("other", KeyKind::Ed25519, 2));
    let witnesses: Vec<MemorySigner> = (3..6).map(|seed| signer("w.example", KeyKind::Cosigner, seed)).collect();
    let checkpoint = grown(&numbers(5)).0.checkpoint();
    let text = checkpoint.to_string();
    let keys = witnesses.iter().map(|witness| witness.key().clone()).collect();
    let policy = Policy { origin: origin(), log: vec![log.key().clone()], witnesses: keys, quorum: 2 };
    let mut note = checkpoint.sign(&[&log, &other]).unwrap();
    let found = |note: &Note| policy.open(note.to_string().as_bytes());
    assert_eq!(found(&note), Err(CheckpointError::Witnesses { found: 0, quorum: 2 }));
    for (witness, time) in [(&witnesses[0], 10), (&witnesses[0], 11)] {
        note = note.with(Signature::cosign(&text, time, witness).unwrap()).unwrap();
        assert_eq!(found(&note), Err(CheckpointError::Witnesses { found: 1, quorum: 2 }), "one witness twice");
    }
    note = note.with(Signature::cosign(&text, 12, &witnesses[1]).unwrap()).unwrap();
    let name = KeyName::new("w.example").unwrap();
    let opened = found(&note).unwrap();
    assert_eq!((opened.checkpoint, opened.witnessed), (checkpoint.clone(), vec![(name.clone(), 11), (name, 12)]));

    let without = Note::new(text.clone(), vec![Signature::cosign(&text, 12, &witnesses[1]).unwrap()]).unwrap();
    assert_eq!(found(&without), Err(CheckpointError::NotTheLog));
    // One key under two names is one witness.
    let alias = VerifierKey::new(KeyName::new("alias").unwrap(), KeyKind::Cosigner, *witnesses[0].key().public());
    let twice = signer("alias", KeyKind::Cosigner, 3);
    let doubled = Policy { witnesses: vec![witnesses[0].key().clone(), alias], ..policy.clone() };
    let mut note = checkpoint.sign(&[&log]).unwrap();
    for witness in [&witnesses[0], &twice] {
        note = note.with(Signature::cosign(&text, 1, witness).unwrap()).unwrap();
    }
    let found = doubled.open(note.to_string().as_bytes());
    assert_eq!(found, Err(CheckpointError::Witnesses { found: 1, quorum: 2 }));

    let elsewhere = Checkpoint::new(Origin::new("elsewhere").unwrap(), checkpoint.head(), vec![]).unwrap();
    let note = elsewhere.sign(&[&log]).unwrap().to_string();
    let (found, expected) = (elsewhere.origin().clone(), origin());
    assert_eq!(policy.open(note.as_bytes()), Err(CheckpointError::OtherLog { found, expected }));
    assert_ne!(elsewhere.digest(), checkpoint.digest());
}

proptest! {
    #[test]
    fn any_text_is_a_note_in_its_one_spelling_or_none(text in "(\\PC{0,20}\n){0,3}\n(— [a-z]{1,4} [A-Za-z0-9+/]{0,12}={0,2}\n){0,3}") {
        if let Ok(note) = Note::parse(text.as_bytes()) {
            prop_assert_eq!(note.to_string(), text);
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Note::parse(&bytes).is_err());
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.to_string(), text.as_ref());
        }
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text.as_ref());
        }
    }

    #[test]
    fn any_checkpoint_is_read_as_it_was_written(name in "[^\\pC]{1,40}", size in 1..=TREE_LEAVES_MAX, root in any::<[u8; 32]>(), lines in proptest::collection::vec("[^\\pC]{1,30}", 0..4)) {
        let head = TreeHead { size, root: Hash(root) };
        let checkpoint = Checkpoint::new(Origin::new(&name).unwrap(), head, lines).unwrap();
        prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
    }

    #[test]
    fn no_flipped_bit_of_a_signed_checkpoint_passes(bit in any::<Index>()) {
        let log = signer("index.example/main", KeyKind::Ed25519, 1);
        let policy = Policy { origin: origin(), log: vec![log.key().clone()], witnesses: vec![], quorum: 0 };
        let mut bytes = grown(&numbers(3)).0.checkpoint().sign(&[&log]).unwrap().to_string().into_bytes();
        prop_assert!(policy.open(&bytes).is_ok());
        let at = bit.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        prop_assert!(policy.open(&bytes).is_err());
    }
}
