use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{account, published};
use crate::Account;
use crate::entry::{
    Act, Change, Commitment, ENTRY_BYTES_MAX, Entry, EntryError, FILE_BYTES_MAX, FileName, LoggedFile,
    PROJECT_BYTES_MAX, Project, Role, Salt, Status, commit,
};
use crate::hash::{Hash, sha256};

#[test]
fn an_entry_is_lines() {
    let zeros = "0".repeat(64);
    let written = "tidewaiter-log/1\ntime 7\nproject flask\nact publish\nfile flask-7.tar.gz\nsha256 ".to_owned()
        + &"03".repeat(32)
        + "\npage "
        + &"04".repeat(32)
        + "\naccount "
        + &"05".repeat(16)
        + " "
        + &"05".repeat(32)
        + "\n";
    let entry = published("flask", 7);
    assert_eq!(entry.to_string(), written);
    assert_eq!(Entry::parse(written.as_bytes()), Ok(entry));
    for (from, to, why) in [
        ("log/1", "log/2", EntryError::Version),
        ("time 7", "time 07", EntryError::Field("time")),
        ("time 7", "time -7", EntryError::Field("time")),
        ("time 7\n", "", EntryError::Field("time")),
        ("flask\n", "Flask\n", EntryError::Field("project")),
        ("act publish", "act burn", EntryError::Field("act")),
        ("act publish", "act status", EntryError::Field("status")),
        ("flask-7", "../flask-7", EntryError::Field("file")),
        ("flask-7", "flask 7", EntryError::Field("file")),
        ("sha256 03", "sha256 3", EntryError::Field("sha256")),
        ("page 0", "page A", EntryError::Field("page")),
        ("account 05", "account 5", EntryError::Field("account")),
        ("account ", "account  ", EntryError::Field("account")),
        ("account ", "by ", EntryError::Field("account")),
        ("time 7\nproject flask", "project flask\ntime 7", EntryError::Field("time")),
    ] {
        assert_eq!(Entry::parse(written.replace(from, to).as_bytes()), Err(why), "{from} {to}");
    }
    for bad in [format!("{written}\n"), format!("{written}x y\n"), written.trim_end().to_owned()] {
        assert_eq!(Entry::parse(bad.as_bytes()), Err(EntryError::Spelling), "{bad}");
    }
    assert_eq!(Entry::parse(zeros.as_bytes()), Err(EntryError::Version));
}

#[test]
fn limits_of_names_and_entries() {
    assert!(Project::new(&"a".repeat(PROJECT_BYTES_MAX)).is_ok());
    for bad in ["", "-", "a-", "-a", "a--b", "a_b", "a.b", "A", "é", &"a".repeat(PROJECT_BYTES_MAX + 1)] {
        assert_eq!(Project::new(bad), Err(EntryError::Field("project")), "{bad}");
    }
    assert!(FileName::new(&"a".repeat(FILE_BYTES_MAX)).is_ok());
    for bad in ["", "a/b", "a b", "a\n", "é", &"a".repeat(FILE_BYTES_MAX + 1)] {
        assert_eq!(FileName::new(bad), Err(EntryError::Field("file")), "{bad}");
    }
    // The largest entry there is fits; one byte past the limit is not looked at.
    let name = FileName::new(&"a".repeat(FILE_BYTES_MAX)).unwrap();
    let act = Act::Unyank(LoggedFile { name, sha256: Hash([0; 32]) });
    let project = Project::new(&"a".repeat(PROJECT_BYTES_MAX)).unwrap();
    let (page, by) = (Some(Hash([0; 32])), Some(account(0)));
    let entry = Entry { time: u64::MAX, project, act, page, by };
    assert!(entry.print().len() <= ENTRY_BYTES_MAX);
    assert_eq!(Entry::parse(&entry.print()), Ok(entry));
    assert_eq!(Entry::parse(&[b'a'; ENTRY_BYTES_MAX]), Err(EntryError::Version));
    assert_eq!(Entry::parse(&[b'a'; ENTRY_BYTES_MAX + 1]), Err(EntryError::TooLong(ENTRY_BYTES_MAX + 1)));
}

#[test]
fn a_commitment_is_the_hash_of_salt_and_account() {
    let salt = Salt([7; 32]);
    assert_eq!(commit(&salt, b"17"), Commitment(sha256(&[&[7; 32], &b"17"[..]].concat())));
    assert_ne!(commit(&salt, b"17"), commit(&Salt([8; 32]), b"17"));
    assert_eq!(format!("{salt:?}"), "Salt(..)");
}

fn any_account() -> impl Strategy<Value = Account> {
    any::<([u8; 16], [u8; 32])>().prop_map(|(id, hash)| Account { id, commitment: Commitment(Hash(hash)) })
}

fn any_act() -> impl Strategy<Value = Act> {
    let file = ("[A-Za-z0-9._+!-]{1,60}", any::<[u8; 32]>())
        .prop_map(|(name, hash)| LoggedFile { name: FileName::new(&name).unwrap(), sha256: Hash(hash) });
    let act = select(vec![Act::Publish, Act::Yank, Act::Unyank, Act::Remove]);
    let status = select(vec![Status::Active, Status::Archived, Status::Deprecated, Status::Quarantined]);
    let change = || select(vec![Change::Add, Change::Remove]);
    let role = select(vec![Role::Owner, Role::Maintainer]);
    prop_oneof![
        (act, file).prop_map(|(act, file)| act(file)),
        status.prop_map(Act::Status),
        (change(), role, any_account()).prop_map(|(change, role, whom)| Act::Owner(change, role, whom)),
        (change(), any_account()).prop_map(|(change, whom)| Act::Publisher(change, whom)),
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let parts = (any::<u64>(), "[a-z0-9]{1,9}(-[a-z0-9]{1,9}){0,3}", any_act(), of(any::<[u8; 32]>()));
    (parts, of(any_account())).prop_map(|((time, project, act, page), by)| {
        let project = Project::new(&project).unwrap();
        Entry { time, project, act, page: page.map(Hash), by }
    })
}

proptest! {
    #[test]
    fn any_entry_is_read_as_it_was_written(entry in any_entry()) {
        prop_assert_eq!(Entry::parse(&entry.print()), Ok(entry));
    }

    #[test]
    fn a_flipped_bit_is_another_entry_or_none(entry in any_entry(), bit in any::<Index>()) {
        let mut bytes = entry.print();
        let at = bit.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(other) = Entry::parse(&bytes) {
            prop_assert_ne!(&other, &entry);
            prop_assert_eq!(other.print(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Entry::parse(&bytes).is_err());
        let after = [b"tidewaiter-log/1\n", bytes.as_slice()].concat();
        prop_assert!(Entry::parse(&after).is_err());
    }
}
