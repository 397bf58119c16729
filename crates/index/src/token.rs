//! API tokens: macaroons in libmacaroons' V2 binary form, first-party caveats only (pypi-behaviour §2.5).
//!
//! The key of a token is derived from the installation's secret, the index and the token's id, so a token is
//! verified without the database, and a token of one index means nothing in another. Holders may append
//! caveats offline; every one narrows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::model::{IndexName, TokenActor};

/// What every token starts with, for people and secret scanners.
pub const PREFIX: &str = "tidewaiter-";
/// Longest token accepted, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Most caveats on one token.
pub const CAVEATS_MAX: usize = 32;

// Caveat tags. A tag is never given a second meaning; the first four are the public index's.
const CAVEAT_EXPIRY: i64 = 0;
const CAVEAT_PROJECTS: i64 = 1;
const CAVEAT_ACCOUNT: i64 = 3;
const CAVEAT_INDEX: i64 = 16;

const FIELD_LOCATION: u8 = 1;
const FIELD_IDENTIFIER: u8 = 2;
const FIELD_SIGNATURE: u8 = 6;

/// The installation's secret, from which every token's key is derived. Kept in a file outside the database.
#[derive(Clone)]
pub struct TokenSecret([u8; 32]);

impl std::fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSecret(***)")
    }
}

impl TokenSecret {
    /// Wraps 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn key(&self, index: &IndexName, id: &str) -> [u8; 32] {
        hmac(&self.0, format!("token-key\0{index}\0{id}").as_bytes())
    }
}

/// Why a token is not good. All but [`Self::Malformed`] and [`Self::Signature`] say which caveat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token of ours.
    #[error("malformed token")]
    Malformed,
    /// The signature is not ours: another installation's or index's, or changed.
    #[error("the signature does not match")]
    Signature,
    /// Past its time, or before it.
    #[error("token is expired")]
    Expired,
    /// A caveat that this version does not know denies everything.
    #[error("the token carries a restriction that is not understood")]
    UnknownCaveat,
    /// Revoked.
    #[error("the token was revoked")]
    Revoked,
}

/// Makes a token.
pub fn mint(
    secret: &TokenSecret,
    index: &IndexName,
    id: &str,
    account_id: i64,
    projects: Option<&[String]>,
    expires_s: Option<i64>,
) -> String {
    let mut caveats = vec![
        serde_json::json!([CAVEAT_INDEX, index.as_str()]).to_string(),
        serde_json::json!([CAVEAT_ACCOUNT, account_id.to_string()]).to_string(),
    ];
    if let Some(names) = projects {
        caveats.push(serde_json::json!([CAVEAT_PROJECTS, names]).to_string());
    }
    if let Some(expires) = expires_s {
        caveats.push(serde_json::json!([CAVEAT_EXPIRY, expires, 0]).to_string());
    }
    let mut signature = initial_signature(&secret.key(index, id), id.as_bytes());
    for caveat in &caveats {
        signature = hmac(&signature, caveat.as_bytes());
    }
    let mut out = vec![2];
    field(&mut out, FIELD_LOCATION, index.as_str().as_bytes());
    field(&mut out, FIELD_IDENTIFIER, id.as_bytes());
    out.push(0);
    for caveat in &caveats {
        field(&mut out, FIELD_IDENTIFIER, caveat.as_bytes());
        out.push(0);
    }
    out.push(0);
    field(&mut out, FIELD_SIGNATURE, &signature);
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(out))
}

/// Verifies a token for an index: signature in constant time, then every caveat. Revocation is the caller's
/// (`is_revoked`), as it lives in memory elsewhere.
///
/// # Errors
/// The first reason why the token is not good.
pub fn verify(
    secret: &TokenSecret,
    index: &IndexName,
    text: &str,
    now_s: i64,
    is_revoked: impl Fn(&str) -> bool,
) -> Result<TokenActor, TokenError> {
    let parsed = parse(text)?;
    let id = std::str::from_utf8(&parsed.identifier).map_err(|_| TokenError::Malformed)?;
    let mut signature = initial_signature(&secret.key(index, id), &parsed.identifier);
    for caveat in &parsed.caveats {
        signature = hmac(&signature, caveat);
    }
    if !bool::from(signature.as_slice().ct_eq(&parsed.signature)) {
        return Err(TokenError::Signature);
    }
    let mut account_id = None;
    let mut projects: Option<Vec<String>> = None;
    let mut index_named = false;
    for caveat in &parsed.caveats {
        let Ok(Value::Array(parts)) = serde_json::from_slice::<Value>(caveat) else {
            return Err(TokenError::UnknownCaveat);
        };
        match (parts.first().and_then(Value::as_i64), &parts[1.min(parts.len())..]) {
            (Some(CAVEAT_EXPIRY), [expires, not_before]) => {
                let (Some(expires), Some(not_before)) = (expires.as_i64(), not_before.as_i64()) else {
                    return Err(TokenError::UnknownCaveat);
                };
                if now_s >= expires || now_s < not_before {
                    return Err(TokenError::Expired);
                }
            }
            (Some(CAVEAT_PROJECTS), [Value::Array(names)]) => {
                let names: Option<Vec<String>> = names.iter().map(|n| n.as_str().map(str::to_owned)).collect();
                let names = names.ok_or(TokenError::UnknownCaveat)?;
                projects = Some(match projects {
                    None => names,
                    Some(before) => before.into_iter().filter(|name| names.contains(name)).collect(),
                });
            }
            (Some(CAVEAT_ACCOUNT), [Value::String(account)]) => {
                let account: i64 = account.parse().map_err(|_| TokenError::UnknownCaveat)?;
                if account_id.is_some_and(|known| known != account) {
                    return Err(TokenError::UnknownCaveat);
                }
                account_id = Some(account);
            }
            (Some(CAVEAT_INDEX), [Value::String(name)]) => {
                if name != index.as_str() {
                    return Err(TokenError::Signature);
                }
                index_named = true;
            }
            _ => return Err(TokenError::UnknownCaveat),
        }
    }
    let account_id = account_id.filter(|_| index_named).ok_or(TokenError::Malformed)?;
    if is_revoked(id) {
        return Err(TokenError::Revoked);
    }
    Ok(TokenActor { account_id, token_id: id.to_owned(), projects })
}

struct Parsed {
    identifier: Vec<u8>,
    caveats: Vec<Vec<u8>>,
    signature: Vec<u8>,
}

fn parse(text: &str) -> Result<Parsed, TokenError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(TokenError::Malformed)?;
    if encoded.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| TokenError::Malformed)?;
    let mut reader = Reader { bytes: &bytes };
    if reader.byte()? != 2 {
        return Err(TokenError::Malformed);
    }
    if reader.peek() == Some(FIELD_LOCATION) {
        reader.field(FIELD_LOCATION)?;
    }
    let identifier = reader.field(FIELD_IDENTIFIER)?.to_vec();
    reader.end_of_section()?;
    let mut caveats = Vec::new();
    while reader.peek() == Some(FIELD_IDENTIFIER) {
        if caveats.len() == CAVEATS_MAX {
            return Err(TokenError::Malformed);
        }
        caveats.push(reader.field(FIELD_IDENTIFIER)?.to_vec());
        // A third-party caveat would hold a verification id here; none are accepted.
        reader.end_of_section()?;
    }
    reader.end_of_section()?;
    let signature = reader.field(FIELD_SIGNATURE)?.to_vec();
    if !reader.bytes.is_empty() || signature.len() != 32 {
        return Err(TokenError::Malformed);
    }
    Ok(Parsed { identifier, caveats, signature })
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    fn byte(&mut self) -> Result<u8, TokenError> {
        let (first, rest) = self.bytes.split_first().ok_or(TokenError::Malformed)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn end_of_section(&mut self) -> Result<(), TokenError> {
        if self.byte()? == 0 { Ok(()) } else { Err(TokenError::Malformed) }
    }

    fn field(&mut self, kind: u8) -> Result<&'a [u8], TokenError> {
        if self.byte()? != kind {
            return Err(TokenError::Malformed);
        }
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 14 {
                return Err(TokenError::Malformed);
            }
        }
        if length > self.bytes.len() {
            return Err(TokenError::Malformed);
        }
        let (data, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        Ok(data)
    }
}

fn field(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.push(kind);
    let mut length = data.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(data);
}

fn initial_signature(key: &[u8], identifier: &[u8]) -> [u8; 32] {
    // libmacaroons derives the working key with this text as HMAC key, padded with zeros to 32 bytes; HMAC pads
    // with zeros itself.
    hmac(&hmac(b"macaroons-key-generator", key), identifier)
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn secret() -> TokenSecret {
        TokenSecret::new([7; 32])
    }

    fn main() -> IndexName {
        IndexName::main()
    }

    #[test]
    fn signatures_follow_the_published_vector() {
        // pypi-behaviour §2.5: key 00..1f, two vectors computed by two independent implementations.
        let key: Vec<u8> = (0..32).collect();
        let id = b"01234567-89ab-cdef-0123-456789abcdef";
        let first = hmac(&initial_signature(&key, id), br#"[3,"11111111-2222-3333-4444-555555555555"]"#);
        assert_eq!(packaging::hash::hex(&first), "e1832735f28c870351d78f4bd04c89a1f6d5be87bc83fb783d4b51d0247ebf6f");
        let mut second = initial_signature(&key, id);
        for caveat in [r#"[4,"pub-id",null]"#, r#"[2,["proj-id"]]"#, "[0,1700000900,1700000000]"] {
            second = hmac(&second, caveat.as_bytes());
        }
        assert_eq!(packaging::hash::hex(&second), "7ec7f7aad807c37b2c4efe2d541a82af7b91353c44aa8f9beaf4be070bb1c3c9");
    }

    #[test]
    fn a_token_says_who_and_where() {
        let names = ["foo".to_owned()];
        let token = mint(&secret(), &main(), "id-1", 42, Some(&names), Some(NOW + 10));
        let actor = verify(&secret(), &main(), &token, NOW, |_| false).expect("good");
        assert_eq!(actor, TokenActor { account_id: 42, token_id: "id-1".into(), projects: Some(names.to_vec()) });
        assert_eq!(verify(&secret(), &main(), &token, NOW + 10, |_| false), Err(TokenError::Expired));
        assert_eq!(verify(&secret(), &main(), &token, NOW, |id| id == "id-1"), Err(TokenError::Revoked));
        let other: IndexName = "other".parse().expect("valid");
        assert_eq!(verify(&secret(), &other, &token, NOW, |_| false), Err(TokenError::Signature));
        assert_eq!(verify(&TokenSecret::new([8; 32]), &main(), &token, NOW, |_| false), Err(TokenError::Signature));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let token = mint(&secret(), &main(), "id-1", 42, None, None);
        let bytes = URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&changed));
            let outcome = verify(&secret(), &main(), &text, NOW, |_| false);
            // The location is a hint that is not signed; it decides nothing.
            let in_location = (3..3 + "main".len()).contains(&at);
            assert_eq!(outcome.is_ok(), in_location, "byte {at}");
        }
        for end in 0..bytes.len() {
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes[..end]));
            assert!(verify(&secret(), &main(), &text, NOW, |_| false).is_err());
        }
    }

    #[test]
    fn holders_narrow_and_cannot_widen() {
        let token = mint(&secret(), &main(), "id-1", 42, Some(&["a".into(), "b".into()]), None);
        let narrowed = append(&token, r#"[1,["b","c"]]"#);
        let actor = verify(&secret(), &main(), &narrowed, NOW, |_| false).expect("good");
        assert_eq!(actor.projects, Some(vec!["b".to_owned()]));
        for caveat in ["[99]", "{}", "[3,\"43\"]", "[0,1]", "not json"] {
            let text = append(&token, caveat);
            assert_eq!(verify(&secret(), &main(), &text, NOW, |_| false), Err(TokenError::UnknownCaveat), "{caveat}");
        }
    }

    /// What a holder does offline.
    fn append(token: &str, caveat: &str) -> String {
        let parsed = parse(token).expect("own token");
        let mut out = vec![2];
        field(&mut out, FIELD_IDENTIFIER, &parsed.identifier);
        out.push(0);
        for known in parsed.caveats.iter().map(Vec::as_slice).chain([caveat.as_bytes()]) {
            field(&mut out, FIELD_IDENTIFIER, known);
            out.push(0);
        }
        out.push(0);
        field(&mut out, FIELD_SIGNATURE, &hmac(&parsed.signature, caveat.as_bytes()));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(out))
    }
}
