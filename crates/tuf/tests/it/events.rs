//! Signing events: any order, any machine, and only what was read is signed.

use tuf::Time;
use tuf::event::{Before, Event, EventError, NOTE_BYTES_MAX, NOTES_MAX};
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

/// What an event of all three roles makes of a repository.
fn in_force(event: &Event) -> (Offline, Before) {
    let written = event.finish().expect("complete");
    let [root, targets, bins] = &written[..] else { panic!("three roles") };
    let before = Before::read([&root.bytes[..]].into_iter(), &targets.bytes, &bins.bytes).expect("they are signed");
    (Offline::read(&root.bytes, &targets.bytes, &bins.bytes).expect("they are signed"), before)
}

/// The founding that two of three have signed.
fn founded() -> Event {
    let mut event = an_event();
    event.sign(&key(12)).expect("it is asked for");
    event
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
    let (offline, before) = in_force(&founded());
    let (old, new) = (key(9), key(10));
    let renewal = offline.rotate_online(&holders(&new), NOW, NOW.plus_days(365));
    let change = Event::change(before.clone(), &renewal).expect("an event");
    let words = change.words().join("\n");
    for expected in [
        "root becomes version 2 (was version 1), good until 2028-01-15T08:00:00Z".to_owned(),
        format!("root: timestamp gets the key {}", new.keyid()),
        format!("root: snapshot loses the key {}", old.keyid()),
        format!("bins: 16 succinct bins from bin-0 gets the key {}", new.keyid()),
    ] {
        assert!(words.contains(&expected), "{expected} in\n{words}");
    }
    // What stays is told too: whoever compares knows everything that is trusted.
    assert!(words.contains(&format!("root: root keeps the key {}", key(11).keyid())), "{words}");
    assert!(words.contains("root: timestamp needs 1 of 1 keys"), "{words}");
    assert_eq!(words.matches(" keeps the key ").count(), 6, "{words}");

    // A new root needs the old and the new holders.
    let next = [key(12), key(13), key(14)];
    let mut rotation =
        Event::change(before, &offline.rotate_root(&two_of(&next), NOW, NOW.plus_days(365))).expect("an event");
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
    for bytes in [
        &b""[..],
        b"{}",
        b"{\"tidewaiter-signing-event\":2,\"parts\":[],\"words\":[],\"standing\":[]}",
        b"{\"tidewaiter-signing-event\":1,\"parts\":[],\"words\":[]}",
    ] {
        assert!(Event::from_json(bytes).is_err());
    }
    assert_eq!(Value::parse(b"{}", 2), Ok(Value::Object([].into())));
    assert_eq!(event.digests().len(), 3);
}

/// A renewal of the founded repository, as its file.
fn a_renewal() -> (Event, Value) {
    let (offline, before) = in_force(&founded());
    let event = Event::change(before, &offline.renew(NOW, NOW.plus_days(500))).expect("an event");
    let file = Value::parse(&event.to_json(), 1 << 20).expect("JSON");
    (event, file)
}

/// A member deep inside, to be changed.
fn at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    path.iter().fold(value, |value, name| match value {
        Value::Object(members) => members.get_mut(*name).expect("the member is there"),
        Value::List(values) => &mut values[name.parse::<usize>().expect("a number")],
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) => panic!("nothing is inside"),
    })
}

fn refusal(edit: impl FnOnce(&mut Value)) -> String {
    let (_, mut file) = a_renewal();
    edit(&mut file);
    let mut stored = Vec::new();
    tuf::json::to_stored(&file.to_canonical(), &mut stored);
    Event::from_json(&stored).map(|event| event.words().join("\n")).expect_err("refused").to_string()
}

/// Goal: a role that says anything that its words do not tell is refused, whoever wrote the event.
#[test]
fn what_cannot_be_told_is_not_signed() {
    let (event, _) = a_renewal();
    assert_eq!(edited(&event, |text| text), Ok(event.clone()));
    let [root, targets, bins] = ["0", "1", "2"].map(|part| ["parts", part, "signed"]);
    let inside = |part: [&'static str; 3], more: &[&'static str]| [&part[..], more].concat();
    let thief = key(66);
    let theirs = |value: &mut Value| {
        *value = Value::Text(thief.public_key().public.clone());
    };
    let online = key(9).keyid().to_owned();
    for keys in [inside(root, &["keys"]), inside(bins, &["delegations", "keys"])] {
        let said = refusal(|file| theirs(at(at(file, &keys), &[&online, "keyval", "public"])));
        assert!(said.contains("is another one: its id is"), "{said}");
    }
    let put = |path: Vec<&'static str>, name: &'static str, value: Value| {
        refusal(move |file| match at(file, &path) {
            Value::Object(members) => drop(members.insert(name.to_owned(), value)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_) => panic!("no object"),
        })
    };
    let text = |text: &str| Value::Text(text.to_owned());
    for said in [
        put(inside(root, &[]), "consistent_snapshot", Value::Bool(false)),
        put(inside(root, &[]), "x-more", text("1")),
        put(inside(root, &["roles", "timestamp"]), "x-more", text("1")),
        put(inside(root, &["roles"]), "mirrors", Value::Object([].into())),
        put(inside(targets, &["delegations", "roles", "0"]), "path_hash_prefixes", Value::List(vec![text("0")])),
        put(inside(targets, &["delegations", "roles", "0"]), "terminating", Value::Bool(true)),
        put(inside(bins, &[]), "spec_version", text("1.0")),
        put(inside(bins, &["delegations"]), "x-more", text("1")),
    ] {
        assert!(said.contains("says something that it is not told in words"), "{said}");
    }
    let said = put(inside(root, &["keys", Box::leak(online.into_boxed_str())]), "x-more", text("1"));
    assert!(said.contains("of no kind that is known here"), "{said}");
    let said = put(inside(root, &["roles", "root"]), "threshold", Value::Int(4));
    assert!(said.contains("needs 4 of 3 keys"), "{said}");
    let said = put(inside(root, &[]), "version", Value::Int(3));
    assert!(said.contains("root version 3 does not follow on version 1"), "{said}");
}

/// Goal: what stood before is what its holders signed, so what is new and who must sign is no word of the event's maker.
#[test]
fn what_stood_before_is_verified_and_held_against_a_root_of_ones_own() {
    let (event, _) = a_renewal();
    let thief = key(66);
    let said = refusal(|file| {
        let keyids = at(file, &["previous", "roots", "0", "signed", "roles", "timestamp", "keyids"]);
        *keyids = Value::List(vec![Value::Text(thief.keyid().to_owned())]);
    });
    assert!(said.contains("what it says stood before is not signed as it must be"), "{said}");

    let first = founded().finish().expect("complete").remove(0).bytes;
    assert_eq!(event.stands_on(&first), Ok(1));
    // A past that somebody made up, in which the thief was trusted all along: whole in itself, and another one.
    let mut forged = founding(&three());
    forged.timestamp.keys.push(thief.public_key().clone());
    forged.snapshot.keys.push(thief.public_key().clone());
    forged.root = Holders { threshold: 1, ..two_of(&[key(11), key(12), key(66)]) };
    let mut past = Event::found(&forged.bodies()).expect("an event");
    for seed in [11, 12] {
        past.sign(&key(seed)).expect("it is asked for");
    }
    let (offline, before) = in_force(&past);
    let change = Event::change(before, &offline.renew(NOW, NOW.plus_days(500))).expect("an event");
    assert_eq!(change.stands_on(&first), Err(EventError::AnotherRoot));
    assert!(change.words().contains(&format!("root: timestamp keeps the key {}", thief.keyid())), "told all the same");
    assert_eq!(founded().stands_on(&first), Err(EventError::AnotherRoot), "nothing stood before a founding");

    // Any root since the first will do, as each has signed the next.
    let mut event = event;
    [11, 12].iter().for_each(|seed| event.sign(&key(*seed)).expect("it is asked for"));
    let second = event.finish().expect("complete");
    let [root, targets, bins] = &second[..] else { panic!("three roles") };
    let roots = [&first[..], &root.bytes];
    let before = Before::read(roots.into_iter(), &targets.bytes, &bins.bytes).expect("they are signed");
    let offline = Offline::read(&root.bytes, &targets.bytes, &bins.bytes).expect("they are signed");
    let third = Event::change(before, &offline.renew(NOW, NOW.plus_days(600))).expect("an event");
    let third = Event::from_json(&third.to_json()).expect("our own file");
    assert_eq!((third.stands_on(&first), third.stands_on(&root.bytes)), (Ok(1), Ok(2)));
    let gap = Before::read([&root.bytes[..], &root.bytes].into_iter(), &targets.bytes, &bins.bytes);
    assert!(gap.is_err_and(|why| why.to_string().contains("does not follow on the one before it")));
}

/// Goal: what the server notes is a line each, and cannot pass for another one.
#[test]
fn notes_are_lines_within_bounds() {
    let (mut event, _) = a_renewal();
    let with = |event: &mut Event, notes: Vec<String>| {
        event.set_notes(notes);
        Event::from_json(&event.to_json())
    };
    let most = vec!["x".repeat(NOTE_BYTES_MAX); NOTES_MAX];
    assert_eq!(with(&mut event, most.clone()).expect("at the limit").notes(), most);
    let counted = with(&mut event, vec!["x".to_owned(); NOTES_MAX + 1]).expect("one past it is counted");
    assert_eq!(counted.notes().last().map(String::as_str), Some("and 2 more"));
    for bad in ["ok\nfor paper: root", "ok\u{1b}[2K", "\u{9b}2K", &"x".repeat(NOTE_BYTES_MAX + 1)] {
        let said = with(&mut event, vec![bad.to_owned()]).expect_err("refused").to_string();
        assert!(said.contains("`notes` is more than"), "{said}");
    }
    event.set_notes(Vec::new());
    event.set_profile("team\nfor paper: root");
    assert!(Event::from_json(&event.to_json()).is_err());
}
