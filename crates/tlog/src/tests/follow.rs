use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Site, grow, grown, numbers, origin, published};
use crate::entry::Project;
use crate::follow::{EVENTS_MAX, FollowError, Follower, KEPT_BYTES_MAX, Reading, Remembered};
use crate::hash::Hash;
use crate::proof::{ProofError, prove_consistency};
use crate::tree::{APPEND_ENTRIES_MAX, Log};
use crate::{Checkpoint, EntryError, Origin};

fn only(names: &[&str]) -> Option<BTreeSet<Project>> {
    Some(names.iter().map(|name| Project::new(name).unwrap()).collect())
}

fn read_all(mut reading: Reading, site: &Site) -> Result<Reading, FollowError> {
    while let Some((id, _)) = reading.next_bundle() {
        reading.bundle(site.get(&id).or_else(|| site.get(&id.full().unwrap())).unwrap())?;
    }
    Ok(reading)
}

#[test]
fn a_client_follows_a_log_that_grows_and_no_other() {
    let entries = numbers(600);
    let (log, site) = grown(&entries);
    let remembered = Remembered::first(grown(&entries[..100]).0.checkpoint());
    let proof = prove_consistency(100, 600, &site).unwrap();
    let next = remembered.advance(&log.checkpoint(), &proof).unwrap();
    assert_eq!(next.head(), log.head());
    assert_eq!(next.advance(&log.checkpoint(), &[]), Ok(next.clone()));
    assert_eq!(Remembered::parse(next.to_string().as_bytes()), Ok(next.clone()));

    let older = grown(&entries[..100]).0.checkpoint();
    assert_eq!(next.advance(&older, &[]), Err(FollowError::RolledBack { seen: 600, shown: 100 }));
    let mut forged = entries.clone();
    forged[50][0] ^= 1;
    let (fork, forks) = grown(&forged);
    for proof in [proof, prove_consistency(100, 600, &forks).unwrap()] {
        let verdict = remembered.advance(&fork.checkpoint(), &proof);
        assert_eq!(verdict, Err(FollowError::Proof(ProofError::Inconsistent)));
    }
    assert_eq!(next.advance(&fork.checkpoint(), &[]), Err(FollowError::Proof(ProofError::Inconsistent)));
    let other = Checkpoint::new(Origin::new("other").unwrap(), log.head(), vec![]).unwrap();
    let (found, expected) = (other.origin().clone(), origin());
    assert_eq!(next.advance(&other, &[]), Err(FollowError::OtherLog { found, expected }));

    // A log's extensions are not kept.
    let talkative = Checkpoint::new(origin(), log.head(), vec!["x".repeat(1000); 16]).unwrap();
    let kept = next.advance(&talkative, &[]).unwrap().to_string();
    assert_eq!(Remembered::parse(kept.as_bytes()), Ok(next));
    assert_eq!(Remembered::parse(&[b'a'; KEPT_BYTES_MAX + 1]), Err(FollowError::Kept));
}

#[test]
fn a_monitor_tells_what_happened_to_its_projects() {
    let mut entries: Vec<Vec<u8>> =
        (0..300).map(|n| published(["flask", "numpy", "six"][n % 3], n as u32).print()).collect();
    entries[299] = b"tidewaiter-log/2\nsomething new\n".to_vec();
    let (mut log, mut site) = (Log::new(origin()), Site::new());
    grow(&mut log, &mut site, &entries[..200]);
    let reading = Follower::new(origin()).read(&log.checkpoint(), only(&["six"])).unwrap();
    let (follower, events) = read_all(reading, &site).unwrap().finish().unwrap();
    assert_eq!(events.len(), 66);
    assert!(events.iter().all(|event| event.entry.as_ref().unwrap().project.as_str() == "six"));

    let kept = follower.to_string();
    let follower = Follower::parse(kept.as_bytes()).unwrap();
    assert_eq!((follower.size(), follower.to_string()), (200, kept));
    grow(&mut log, &mut site, &entries[200..]);
    let reading = follower.read(&log.checkpoint(), only(&["six", "unheard-of"])).unwrap();
    let (end, events) = read_all(reading, &site).unwrap().finish().unwrap();
    let indices: Vec<u64> = events.iter().map(|event| event.index).collect();
    let expected: Vec<u64> = (200..299).filter(|n| n % 3 == 2).chain([299]).collect();
    assert_eq!(indices, expected);
    // What this program cannot read could be about any project.
    assert_eq!(events.last().unwrap().entry, Err(EntryError::Version));
    let all = Follower::new(origin()).read(&log.checkpoint(), None).unwrap();
    let (all, events) = read_all(all, &site).unwrap().finish().unwrap();
    assert_eq!((all, events.len()), (end.clone(), 300));
    // Nothing new: nothing to fetch, nothing to tell.
    let idle = end.read(&log.checkpoint(), None).unwrap();
    assert_eq!((idle.next_bundle(), idle.finish()), (None, Ok((end, vec![]))));
}

#[test]
fn a_monitor_tells_nothing_of_entries_that_were_not_signed() {
    let entries: Vec<Vec<u8>> = (0..300).map(|n| published("six", n).print()).collect();
    let (log, site) = grown(&entries);
    let begin = || Follower::new(origin()).read(&log.checkpoint(), None).unwrap();
    let (size, mut reading) = (300, begin());
    assert_eq!(begin().finish(), Err(FollowError::Unfinished { read: 0, size }));
    let first = reading.next_bundle().unwrap().0;
    reading.bundle(&site[&first]).unwrap();
    assert_eq!(reading.clone().finish(), Err(FollowError::Unfinished { read: 256, size }));
    for bad in [&b""[..], b"\0", &site[&first]] {
        let mut other = reading.clone();
        // A full bundle of 256 is taken where 44 were asked for, and then the root is another.
        let verdict = other.bundle(bad).and_then(|()| other.finish());
        assert_eq!(verdict, Err(FollowError::Entries));
    }
    let mut swapped = entries.clone();
    swapped.swap(3, 4);
    let reading = read_all(begin(), &grown(&swapped).1).unwrap();
    assert_eq!(reading.finish(), Err(FollowError::Entries));
    // The partial bundle may be gone once the full one is there.
    let later: Vec<Vec<u8>> = (0..512).map(|n| published("six", n).print()).collect();
    let full = grown(&later).1;
    assert!(read_all(begin(), &full).unwrap().finish().is_ok());
    assert_eq!(begin().finish(), Err(FollowError::Unfinished { read: 0, size }));
    let back = Follower::parse(format!("{}\n1\n{}\n", origin(), Hash([0; 32]).to_base64()).as_bytes()).unwrap();
    let small = Checkpoint::new(origin(), Log::new(origin()).head(), vec![]).unwrap();
    assert!(matches!(back.read(&small, None), Err(FollowError::RolledBack { seen: 1, shown: 0 })));
}

#[test]
fn events_of_one_reading_are_bounded() {
    let (mut log, mut site) = (Log::new(origin()), Site::new());
    let entry = published("six", 1).print();
    grow(&mut log, &mut site, &vec![entry.clone(); APPEND_ENTRIES_MAX.min(EVENTS_MAX)]);
    let at = read_all(Follower::new(origin()).read(&log.checkpoint(), None).unwrap(), &site).unwrap();
    assert_eq!(at.finish().unwrap().1.len(), EVENTS_MAX);
    grow(&mut log, &mut site, &[entry]);
    let past = read_all(Follower::new(origin()).read(&log.checkpoint(), None).unwrap(), &site);
    assert_eq!(past.unwrap_err(), FollowError::TooMany);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_monitor_comes_to_the_same_wherever_it_stops(stops in proptest::collection::vec(0_usize..300, 1..6)) {
        let entries = numbers(stops.iter().sum::<usize>() as u32);
        let (mut log, mut site, mut done) = (Log::new(origin()), Site::new(), 0);
        let mut follower = Follower::new(origin());
        for stop in stops {
            grow(&mut log, &mut site, &entries[done..done + stop]);
            let reading = follower.read(&log.checkpoint(), only(&["six"])).unwrap();
            let (next, events) = read_all(reading, &site).unwrap().finish().unwrap();
            prop_assert_eq!(events.len(), stop);
            prop_assert_eq!(Follower::parse(next.to_string().as_bytes()), Ok(next.clone()));
            follower = next;
            done += stop;
        }
    }

    #[test]
    fn anything_kept_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "([a-zA-Z0-9+/=]{0,45}\n){0,5}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(follower) = Follower::parse(bytes) {
                prop_assert!(follower.to_string().as_bytes() == bytes);
            }
            if let Ok(remembered) = Remembered::parse(bytes) {
                prop_assert!(bytes.starts_with(remembered.to_string().as_bytes()));
            }
        }
    }
}
