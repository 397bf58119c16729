//! Ciphers whose key and data both stand in the code.

use super::peel;
use super::value::{Known, Made, Value};

/// Decrypts `maker(key, …).decrypt(data)`; gives the plain bytes and the cipher's name.
pub(super) fn decrypt(name: &str, on: &Value, args: &[Value]) -> Option<(Vec<u8>, &'static str)> {
    let Known::Made(made) = &on.known else { return None };
    let data = args.first()?.as_data()?;
    match name.rsplit('.').next()? {
        "decrypt" if made.name.ends_with("Fernet()") => {
            peel::fernet(made.args.first()?.as_data()?, data).map(|plain| (plain, "fernet"))
        }
        "decrypt" | "decrypt_and_verify" if made.name.contains("AES.new") => {
            pycrypto(made, data).map(|plain| (plain, "aes"))
        }
        "decrypt" if made.name.contains("ARC4.new") => {
            peel::rc4(made.args.first()?.as_data()?, data).map(|plain| (plain, "rc4"))
        }
        "update" if made.name.ends_with("decryptor()") => hazmat(made, data).map(|plain| (plain, "aes")),
        _ => None,
    }
}

fn pycrypto(made: &Made, data: &[u8]) -> Option<Vec<u8>> {
    let key = made.args.first()?.as_data()?;
    let mode = made.args.get(1)?.name();
    let given = made.args.get(2).and_then(Value::as_data);
    by_mode(mode.as_deref()?.rsplit("MODE_").next()?, key, given, data)
}

fn by_mode(mode: &str, key: &[u8], given: Option<&[u8]>, data: &[u8]) -> Option<Vec<u8>> {
    match mode {
        "ECB" => peel::aes_ecb(key, data),
        "CBC" => peel::aes_cbc(key, given?, data),
        "CTR" => {
            let mut counter = [0; 16];
            let nonce = given.unwrap_or_default();
            counter.get_mut(..nonce.len())?.copy_from_slice(nonce);
            peel::aes_ctr(key, counter, data)
        }
        // A 12-byte nonce and a counter whose first block made the tag.
        "GCM" => {
            let mut counter = [0; 16];
            counter[..12].copy_from_slice(given?.get(..12)?);
            counter[15] = 2;
            peel::aes_ctr(key, counter, data)
        }
        _ => None,
    }
}

/// `Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(data)`
fn hazmat(decryptor: &Made, data: &[u8]) -> Option<Vec<u8>> {
    let Known::Made(cipher) = &decryptor.on.as_ref()?.known else { return None };
    let argument = |at: usize| match &cipher.args.get(at)?.known {
        Known::Made(made) => Some(made.clone()),
        _ => None,
    };
    let (algorithm, mode) = (argument(0)?, argument(1)?);
    let key = algorithm.args.first()?.as_data()?;
    let name = mode.name.trim_end_matches("()").rsplit('.').next()?;
    by_mode(name, key, mode.args.first().and_then(Value::as_data), data)
}
