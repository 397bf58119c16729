//! Who is calling: an API token, in one of the three ways that clients send it.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use index::Installation;
use index::model::{IndexName, TokenActor};

use crate::error::{Failure, bad_credentials};

/// The token's actor.
///
/// # Errors
/// 403 with a reason, never 401: clients would ask for a password then.
pub(crate) fn actor(
    installation: &Installation,
    index: &IndexName,
    headers: &HeaderMap,
) -> Result<TokenActor, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Err(bad_credentials("")) };
    let text = value.to_str().map_err(|_| bad_credentials(""))?;
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
    let token = if scheme.eq_ignore_ascii_case("basic") {
        basic(rest.trim())?
    } else if scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else {
        return Err(bad_credentials(""));
    };
    installation.verify_token(index, &token).map_err(|error| match error {
        index::token::TokenError::Malformed | index::token::TokenError::Signature => bad_credentials(""),
        known @ (index::token::TokenError::Expired
        | index::token::TokenError::UnknownCaveat
        | index::token::TokenError::Revoked) => bad_credentials(&format!("Invalid API Token: {known}.")),
    })
}

fn basic(encoded: &str) -> Result<String, Failure> {
    let bytes = STANDARD.decode(encoded).map_err(|_| bad_credentials(""))?;
    let text = String::from_utf8(bytes).map_err(|_| bad_credentials(""))?;
    match text.split_once(':') {
        Some(("__token__", password)) => Ok(password.trim().to_owned()),
        Some(_) => Err(bad_credentials(
            "Username/password authentication is not supported: use '__token__' as user name and an API token as password.",
        )),
        None => Err(bad_credentials("")),
    }
}
