use proptest::prelude::*;

use super::{Site, grown, numbers, origin, signer};
use crate::checkpoint::{Checkpoint, Policy};
use crate::hash::Hash;
use crate::note::{KeyKind, MemorySigner, NOTE_BYTES_MAX, Note, NoteError, Signature, Signer};
use crate::proof::{PROOF_HASHES_MAX, ProofError, TreeHead, prove_consistency};
use crate::tree::Log;
use crate::witness::{
    ANSWER_BYTES_MAX, AddCheckpoint, Consistent, REQUEST_BYTES_MAX, Refusal, Watched, consider, take_cosignatures,
};

/// The example of C2SP tlog-witness.
const C2SP_REQUEST: &str = "old 20852014\n\
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
    5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
    /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n\
    example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa \
    Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — example.com/behind-the-sofa \
    opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

fn key() -> MemorySigner {
    signer("index.example/main", KeyKind::Ed25519, 1)
}

fn watched() -> Vec<Watched> {
    vec![Watched { origin: origin(), keys: vec![key().key().clone()] }]
}

fn signed(log: &Log) -> Note {
    log.checkpoint().sign(&[&key()]).unwrap()
}

fn asked(old: u64, log: &Log, site: &Site, seen: Option<TreeHead>) -> Result<Consistent, Refusal> {
    let proof = prove_consistency(old, log.size(), site).unwrap();
    let request = AddCheckpoint::new(old, proof, signed(log)).unwrap();
    let request = AddCheckpoint::parse(request.to_string().as_bytes()).unwrap();
    consider(&request, &watched(), |_| seen)
}

#[test]
fn the_specifications_request_is_read() {
    let request = AddCheckpoint::parse(C2SP_REQUEST.as_bytes()).unwrap();
    assert_eq!(request.to_string(), C2SP_REQUEST);
    assert_eq!(consider(&request, &watched(), |_| None), Err(Refusal::UnknownLog));
}

#[test]
fn two_nodes_witness_each_other() {
    let nodes = ["a.example", "b.example"].map(|name| signer(name, KeyKind::Cosigner, name.as_bytes()[0]));
    let (entries, mut seen) = (numbers(900), None);
    let keys: Vec<_> = nodes.iter().map(|node| node.key().clone()).collect();
    let policy = Policy { origin: origin(), log: vec![key().key().clone()], witnesses: keys.clone(), quorum: 1 };
    for size in [1, 1, 256, 700, 900] {
        let (log, site) = grown(&entries[..size]);
        let found = asked(seen.map_or(0, |head: TreeHead| head.size), &log, &site, seen).unwrap();
        seen = Some(found.head());
        let answer = format!("{}\n", found.cosign(1_700_000_000, &nodes[1]).unwrap());
        let note = take_cosignatures(signed(&log), answer.as_bytes(), &keys[1..]).unwrap();
        let opened = policy.open(note.to_string().as_bytes()).unwrap();
        assert_eq!(opened.witnessed, [(nodes[1].key().name().clone(), 1_700_000_000)]);
        // The same answer again changes nothing; one that is not asked of a known witness is left out.
        assert_eq!(take_cosignatures(note.clone(), answer.as_bytes(), &keys), Ok(note));
        assert_eq!(take_cosignatures(signed(&log), answer.as_bytes(), &keys[..1]), Ok(signed(&log)));
    }
}

#[test]
fn rollbacks_and_forks_are_refused_with_the_specifications_numbers() {
    let entries = numbers(600);
    let mut forged = entries.clone();
    forged[3][0] ^= 1;
    let ((log, site), (fork, forks)) = (grown(&entries), grown(&forged));
    let at = |size: usize| Some(grown(&entries[..size]).0.head());
    let conflict = |size, forked| Err(Refusal::Conflict { size, forked });
    assert!(asked(400, &log, &site, at(400)).is_ok());
    assert_eq!(asked(0, &log, &site, at(400)), conflict(400, false), "asking where the witness stands");
    assert_eq!(asked(0, &grown(&entries[..300]).0, &site, at(400)), conflict(400, false), "an older tree");
    assert_eq!(asked(400, &log, &site, at(600)), conflict(600, false), "somebody else was first");
    assert_eq!(asked(600, &fork, &forks, at(600)), conflict(600, true), "another root at one size");
    assert_eq!(asked(400, &fork, &forks, at(400)), Err(Refusal::Inconsistent(ProofError::Inconsistent)));
    assert_eq!(asked(400, &log, &site, None), conflict(0, false), "a log never seen");

    let request = |old, proof: Vec<Hash>, note| AddCheckpoint::new(old, proof, note).unwrap();
    let says = |request: &AddCheckpoint| consider(request, &watched(), |_| at(400)).unwrap_err().status();
    assert_eq!(says(&request(601, vec![], signed(&log))), 400);
    assert_eq!(says(&request(400, vec![], log.checkpoint().sign(&[&signer("x", KeyKind::Ed25519, 9)]).unwrap())), 403);
    let forged = Note::new(log.checkpoint().to_string(), vec![Signature::of("other\n", &key()).unwrap()]).unwrap();
    assert_eq!(says(&request(400, vec![], forged)), 403);
    let unknown = Checkpoint::new(crate::Origin::new("x").unwrap(), log.head(), vec![]).unwrap();
    assert_eq!(says(&request(400, vec![], unknown.sign(&[&key()]).unwrap())), 404);
    assert_eq!(says(&request(0, vec![], signed(&log))), 409);
    assert_eq!(says(&request(400, vec![], signed(&log))), 422);
    let nothing = Note::new("hello\n".to_owned(), vec![Signature::of("hello\n", &key()).unwrap()]).unwrap();
    assert_eq!(says(&request(400, vec![], nothing)), 400);
}

#[test]
fn limits_of_requests_and_answers() {
    let (log, site) = grown(&numbers(3));
    let request = |hashes: usize| AddCheckpoint::new(1, vec![Hash([0; 32]); hashes], signed(&log));
    let most = request(PROOF_HASHES_MAX).unwrap();
    assert_eq!(AddCheckpoint::parse(most.to_string().as_bytes()), Ok(most.clone()));
    assert_eq!(request(PROOF_HASHES_MAX + 1), Err(Refusal::Malformed));
    let line = format!("{}\n\n", Hash([0; 32]).to_base64());
    let longer = most.to_string().replacen("\n\n", &format!("\n{line}"), 1);
    assert_eq!(AddCheckpoint::parse(longer.as_bytes()), Err(Refusal::Malformed));
    for bad in ["", "old 1\n", "old 01\n\n", "new 1\n\n", "old 1\nAAAA\n\n", "old 1\n\ntext\n"] {
        assert_eq!(AddCheckpoint::parse(bad.as_bytes()), Err(Refusal::Malformed), "{bad}");
    }
    assert_eq!(AddCheckpoint::parse(&vec![b'\n'; REQUEST_BYTES_MAX + 1]), Err(Refusal::Malformed));
    let answer = |bytes: &[u8]| take_cosignatures(signed(&log), bytes, &[]);
    assert_eq!(answer(&vec![b'a'; ANSWER_BYTES_MAX + 1]), Err(NoteError::TooLong(NOTE_BYTES_MAX + 1)));
    assert_eq!(answer(b""), Err(NoteError::NotANote));
    assert_eq!(answer(b"ok\n"), Err(NoteError::NotASignature(1)));
    let stranger = signer("s", KeyKind::Cosigner, 8);
    let one = format!("{}\n", asked(0, &log, &site, None).unwrap().cosign(1, &stranger).unwrap());
    assert_eq!(answer(one.repeat(64).as_bytes()), Ok(signed(&log)));
    assert_eq!(answer(one.repeat(65).as_bytes()), Err(NoteError::TooManySignatures));
}

proptest! {
    #[test]
    fn any_request_is_read_in_its_one_spelling_or_refused(text in "old [0-9]{0,3}\n([A-Za-z0-9+/]{43}=\n){0,3}\n[a-z]{1,3}\n[0-9]{1,3}\n[A-Za-z0-9+/=]{0,44}\n\n(— [a-z] [A-Za-z0-9+/]{8}\n){0,2}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(AddCheckpoint::parse(&bytes).is_err());
        if let Ok(request) = AddCheckpoint::parse(text.as_bytes()) {
            prop_assert_eq!(request.to_string(), text);
            prop_assert!(consider(&request, &watched(), |_| None).is_err());
        }
    }

    #[test]
    fn whatever_a_log_submits_a_witness_only_goes_forward(sizes in proptest::collection::vec((0_usize..50, 0_usize..50, any::<bool>()), 1..12)) {
        let entries = numbers(50);
        let mut forged = entries.clone();
        forged.iter_mut().for_each(|entry| entry.push(1));
        let mut seen: Option<TreeHead> = None;
        for (old, size, honest) in sizes {
            let (log, site) = grown(if honest { &entries[..size] } else { &forged[..size] });
            if let Ok(found) = asked(old.min(size) as u64, &log, &site, seen) {
                let before = seen.map_or(0, |head| head.size) as usize;
                // What was cosigned before is the beginning of what is cosigned now.
                prop_assert!(before <= size);
                let chain = if honest { &entries } else { &forged };
                let begins = seen.is_none_or(|head| grown(&chain[..before]).0.head() == head);
                prop_assert!(begins);
                seen = Some(found.head());
            }
        }
    }
}
