//! The reader at its limits, and the canonical form.

use proptest::prelude::*;
use tuf::json::{DEPTH_MAX, Object, VALUES_MAX, Value, to_stored};

fn parse(text: &str) -> Result<Value, &'static str> {
    Value::parse(text.as_bytes(), text.len()).map_err(|error| error.why)
}

fn canonical(text: &str) -> String {
    String::from_utf8(parse(text).expect(text).to_canonical()).expect("UTF-8 stays UTF-8")
}

#[test]
fn canonical_forms() {
    for (text, expected) in [
        (r#" { "b" : [ 1 , -2, null ], "a":true, "":false } "#, r#"{"":false,"a":true,"b":[1,-2,null]}"#),
        (r#""\u0041\/\"\\ \ud83d\ude00""#, "\"A/\\\"\\\\ \u{1f600}\""),
        (r#""line\nbreak\ttab""#, "\"line\nbreak\ttab\""),
        ("-0", "0"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        (r#"{"é":1,"z":2,"Z":3}"#, r#"{"Z":3,"z":2,"é":1}"#),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn what_is_refused() {
    for (text, why) in [
        ("", "ends in the middle"),
        ("{", "no string"),
        (r#"{"a":1,"a":1}"#, "the same key twice"),
        (r#"{"a":1,"\u0061":2}"#, "the same key twice"),
        (r#"{"a" 1}"#, "no `:` after a key"),
        (r#"{"a":1,}"#, "no string"),
        ("[1,]", "no value"),
        ("[1 2]", "neither `,` nor `]`"),
        ("1 2", "more after the end of the document"),
        ("1.0", "numbers with fractions have no canonical form"),
        ("1e3", "numbers with fractions have no canonical form"),
        ("01", "no number"),
        ("-", "no number"),
        ("+1", "no value"),
        ("NaN", "no value"),
        ("nul", "no value"),
        ("9223372036854775808", "a number beyond 64 bits"),
        ("\"a", "a string without end"),
        ("\"a\nb\"", "a control character in a string"),
        (r#""\x""#, "no escape"),
        (r#""\u12""#, "no escape"),
        (r#""\ud800""#, "half a surrogate pair"),
        (r#""\ud800\u0041""#, "half a surrogate pair"),
        (r#""\udc00""#, "half a surrogate pair"),
        ("\u{feff}1", "no value"),
    ] {
        assert_eq!(parse(text), Err(why), "{text:?}");
    }
    assert_eq!(Value::parse(b"\"\xff\"", 9).map_err(|error| (error.at, error.why)), Err((1, "no UTF-8")));
}

#[test]
fn limits_at_and_one_past() {
    assert_eq!(Value::parse(b"[1]", 3).is_ok(), Value::parse(b"[1]", 2).is_err());
    let nested = |depth: usize| parse(&("[".repeat(depth) + &"]".repeat(depth)));
    assert!(nested(DEPTH_MAX).is_ok());
    assert_eq!(nested(DEPTH_MAX + 1), Err("nested too deep"));
    assert_eq!(nested(1_000_000), Err("nested too deep"), "no recursion that input decides");
    // The array is a value as well.
    let many = |count: usize| parse(&format!("[1{}]", ",1".repeat(count - 2)));
    assert!(many(VALUES_MAX).is_ok());
    assert_eq!(many(VALUES_MAX + 1), Err("too many values"));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<String>().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..8).prop_map(Value::Object),
        ]
    })
}

proptest! {
    /// What is stored is read again as it was, and another JSON reader reads it so too.
    #[test]
    fn stored_forms_are_read_again(value in values()) {
        let (canonical, mut stored) = (value.to_canonical(), Vec::new());
        to_stored(&canonical, &mut stored);
        prop_assert_eq!(Value::parse(&stored, stored.len()).expect("we wrote it"), value);
        let other: serde_json::Value = serde_json::from_slice(&stored).expect("JSON");
        // serde_json sorts and escapes as we do, but for what it escapes beyond need.
        let again = Value::parse(other.to_string().as_bytes(), usize::MAX).expect("JSON");
        prop_assert_eq!(again.to_canonical(), canonical);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Value::parse(&bytes, 200);
    }
}

#[test]
fn objects_are_in_the_order_of_bytes() {
    let members: Object = ["b", "a", "B"].map(|key| (key.to_owned(), Value::Null)).into();
    assert_eq!(Value::Object(members).to_canonical(), br#"{"B":null,"a":null,"b":null}"#);
}
