//! What the target asserts, so that an ordinary test can replay its seeds.

use tuf::event::Event;
use tuf::json::{Value, to_stored};
use tuf::role::Role;
use tuf::{Root, Signed, Snapshot, Targets, Timestamp};

/// Reading never panics, and what was read is written in a form that is read as the same again.
pub fn role(bytes: &[u8]) {
    if let Ok(value) = Value::parse(bytes, bytes.len()) {
        let mut stored = Vec::new();
        to_stored(&value.to_canonical(), &mut stored);
        assert_eq!(Value::parse(&stored, stored.len()).as_ref(), Ok(&value));
    }
    if let Ok(signed) = Signed::<Root>::parse(bytes, bytes.len()) {
        assert_eq!(Root::read(signed.role.to_value()).as_ref(), Ok(&signed.role));
        for role in signed.role.roles.values() {
            let _ = signed.verify(&signed.role.keys, role);
        }
    }
    if let Ok(signed) = Signed::<Targets>::parse(bytes, bytes.len()) {
        assert_eq!(Targets::read(signed.role.to_value()).as_ref(), Ok(&signed.role));
        if let Some(delegations) = &signed.role.delegations {
            for (name, _) in delegations.roles_for("p/2a/demo/demo-1.0.tar.gz") {
                assert!(delegations.keys_of(&name).is_some());
            }
        }
    }
    let _ = Signed::<Snapshot>::parse(bytes, bytes.len());
    let _ = Signed::<Timestamp>::parse(bytes, bytes.len());
    if let Ok(event) = Event::from_json(bytes) {
        assert_eq!(Event::from_json(&event.to_json()), Ok(event));
    }
}
