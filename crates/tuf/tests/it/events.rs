//! Signing events: any order, any machine, and only what was read is signed.

use tuf::Time;
use tuf::event::{Event, EventError};
use tuf::json::Value;
use tuf::keys::{Ed25519Signer, Signer};
use tuf::write::{Bins, Founding, Holders, Offline, Shape};

use crate::world::{NOW, holders, key};

fn two_of(signers: &[Ed25519Signer]) -> Holders {
    Holders { keys: signers.iter().map(|signer| signer.public_key().clone()).collect(), threshold: 2 }
}

fn founding(signers: &[Ed25519Signer]) -> Founding {
    let online = holders(&key(9));
    Founding {
        root: two_of(signers),
        targets: two_of(signers),
        bins: two_of(signers),
        snapshot: online.clone(),
        timestamp: online.clone(),
        bin: online,
        shape: Bins::new(Shape::Succinct, 4, 1).expect("bins"),
        issued: NOW,
        expires: NOW.plus_days(365),
    }
}

fn three() -> [Ed25519Signer; 3] {
    [key(11), key(12), key(13)]
}

/// A founding that one of three has signed.
pub(crate) fn an_event() -> Event {
    let mut event = Event::found(&founding(&three()).bodies()).expect("an event");
    event.sign(&key(11)).expect("it is asked for");
    event
}

fn offline(event: &Event) -> Offline {
    let written = event.finish().expect("complete");
    let [root, targets, bins] = &written[..] else { panic!("three roles") };
    Offline::read(&root.bytes, &targets.bytes, &bins.bytes).expect("they are signed")
}

#[test]
fn any_two_of_three_in_any_order() {
    let blank = Event::found(&founding(&three()).bodies()).expect("an event").to_json();
    let mut files = Vec::new();
    for [first, second] in [[11, 12], [12, 11]] {
        let mut copies = [first, second].map(|seed| {
            let mut copy = Event::from_json(&blank).expect("our own file");
            copy.sign(&key(seed)).expect("it is asked for");
            assert!(!copy.is_complete());
            assert!(matches!(copy.finish(), Err(EventError::Incomplete(role)) if role == "root"));
            copy
        });
        let [one, two] = &mut copies;
        one.merge(two).expect("copies of one event");
        assert!(one.is_complete() && one.status().iter().all(|status| status.is_met() && status.waiting.len() == 1));
        files.push(one.finish().expect("complete"));
        assert_eq!(Event::from_json(&one.to_json()).as_ref(), Ok(&*one));
    }
    assert_eq!(files[0], files[1], "the order leaves no trace");
}

#[test]
fn words_say_what_changes() {
    let mut event = an_event();
    event.sign(&key(12)).expect("it is asked for");
    let offline = offline(&event);
    let (old, new) = (key(9), key(10));
    let renewal = offline.rotate_online(&holders(&new), NOW, NOW.plus_days(365));
    let change = Event::change(&offline, &renewal).expect("an event");
    let words = change.words().expect("words").join("\n");
    for expected in [
        "root becomes version 2 (was version 1), good until 2028-01-15T08:00:00Z".to_owned(),
        format!("root: timestamp gets the key {}", new.keyid()),
        format!("root: snapshot loses the key {}", old.keyid()),
        format!("bins: 16 succinct bins from bin-0 gets the key {}", new.keyid()),
    ] {
        assert!(words.contains(&expected), "{expected} in\n{words}");
    }
    assert!(!words.contains("root: root "), "{words}");

    // A new root needs the old and the new holders.
    let next = [key(12), key(13), key(14)];
    let mut rotation =
        Event::change(&offline, &offline.rotate_root(&two_of(&next), NOW, NOW.plus_days(365))).expect("an event");
    let of: Vec<String> = rotation.status().into_iter().map(|status| status.of).collect();
    assert_eq!(of, ["root of root version 1", "root of root version 2"]);
    rotation.sign(&key(11)).expect("an old one");
    rotation.sign(&key(14)).expect("a new one");
    assert!(!rotation.is_complete());
    rotation.sign(&key(12)).expect("both");
    assert!(rotation.is_complete());
}

fn edited(event: &Event, edit: impl FnOnce(String) -> String) -> Result<Event, EventError> {
    Event::from_json(edit(String::from_utf8(event.to_json()).expect("UTF-8")).as_bytes())
}

#[test]
fn what_is_read_is_what_is_signed() {
    let event = an_event();
    assert_eq!(edited(&event, |text| text), Ok(event.clone()));
    let other_words = edited(&event, |text| text.replacen("good until 2028", "good until 2027", 1));
    assert_eq!(other_words, Err(EventError::Words));
    let other_roles = edited(&event, |text| text.replace("\"expires\":\"2028", "\"expires\":\"2038"));
    assert_eq!(other_roles, Err(EventError::Words));

    // Another event whose words are right for it: the signatures of the first do not come along.
    let later = Founding { expires: Time::from_seconds(NOW.seconds() + 1), ..founding(&three()) };
    let other = Event::found(&later.bodies()).expect("an event");
    assert_eq!(event.clone().merge(&other), Err(EventError::Different));

    let sig = event.finish().err().map(|_| "\"sig\":\"").expect("incomplete");
    let forged = edited(&event, |text| {
        let at = text.find(sig).expect("one has signed") + sig.len();
        let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    })
    .expect("it can be read");
    let signed = |event: &Event| event.status().iter().map(|status| status.signed.len()).sum::<usize>();
    assert_eq!((signed(&event), signed(&forged)), (3, 2), "what does not verify is left out");
}

#[test]
fn strangers_do_not_sign() {
    let mut event = an_event();
    let stranger = key(99);
    assert_eq!(event.sign(&stranger), Err(EventError::NotAsked(stranger.keyid().to_owned())));
    for bytes in [&b""[..], b"{}", b"{\"tidewaiter-signing-event\":2,\"parts\":[],\"words\":[]}"] {
        assert!(Event::from_json(bytes).is_err());
    }
    assert_eq!(Value::parse(b"{}", 2), Ok(Value::Object([].into())));
    assert_eq!(event.digests().len(), 3);
}
