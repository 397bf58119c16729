//! `second-client STATE ROOT BASE OUT PATH...`: a TUF client of other people (`sigstore-tuf`) over our repository. Trusts ROOT,
//! goes on from STATE, updates, and writes each target to OUT by its number. The HTTP is by hand: loopback, one request a
//! connection.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sigstore_tuf::cache::FileStore;
use sigstore_tuf::client::Updater;
use sigstore_tuf::transport::{FetchFuture, Repository};

struct Http {
    host: String,
    base: String,
}

impl Http {
    fn get(&self, path: &str, length_max: u64) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        let failed = |error: String| sigstore_tuf::Error::transport(format!("{path}: {error}"));
        let answer = self.answer(path, length_max).map_err(|error| failed(error.to_string()))?;
        match answer {
            (200, body) if body.len() as u64 <= length_max => Ok(Some(body)),
            (404, _) => Ok(None),
            (status, body) => Err(failed(format!("answer {status} of {} bytes", body.len()))),
        }
    }

    fn answer(&self, path: &str, length_max: u64) -> Result<(u16, Vec<u8>), Box<dyn Error>> {
        let mut stream = TcpStream::connect(&self.host)?;
        let (base, host) = (&self.base, &self.host);
        write!(stream, "GET {base}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut whole = Vec::new();
        stream.take(length_max + (64 << 10)).read_to_end(&mut whole)?;
        let end = whole.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no head")?;
        let head = String::from_utf8_lossy(&whole[..end]).into_owned();
        if head.to_ascii_lowercase().contains("transfer-encoding") {
            return Err("an answer in chunks".into());
        }
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok((status, whole.split_off(end + 4)))
    }
}

impl Repository for Http {
    fn fetch_metadata<'a>(&'a self, name: &'a str, length_max: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.get(&format!("/tuf/{name}"), length_max) })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, length_max: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.get(&format!("/tuf/targets/{path}"), length_max) })
    }
}

/// Nothing here ever waits for another task.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("every fetch is done when it returns"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [state, root, base, out, paths @ ..] = &arguments[..] else {
        return Err("usage: second-client STATE ROOT BASE OUT PATH...".into());
    };
    let rest = base.strip_prefix("http://").ok_or("BASE is http://HOST:PORT[/PATH]")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let base = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
    let http = Http { host: host.to_owned(), base };
    let mut updater = Updater::new(http, &std::fs::read(root)?)?.with_store(FileStore::new(PathBuf::from(state)));
    let now = jiff::Timestamp::now();
    block_on(updater.refresh(now))?;
    println!("root {}", updater.trusted().root().version);
    for (number, path) in paths.iter().enumerate() {
        match block_on(updater.get_target_info(path, now))? {
            Some(info) => {
                let bytes = block_on(updater.download_target(&info, path))?;
                std::fs::write(Path::new(out).join(number.to_string()), bytes)?;
                println!("{path} {}", info.length);
            }
            None => println!("{path} absent"),
        }
    }
    Ok(())
}
