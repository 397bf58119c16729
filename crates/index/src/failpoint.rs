//! Places where a test may have the process killed, as by `kill -9`, to prove what a crash leaves behind.

/// Every place, in the order in which an upload passes them. A test walks the list.
pub const FAILPOINTS: &[&str] = &[
    "upload.received",
    "upload.stored",
    "upload.committed",
    "inspect.claimed",
    "inspect.judged",
    "inspect.concluded",
    "publish.rendered",
    "publish.signed",
    "publish.committed",
    "publish.linked",
    "publish.moved",
    "publish.write-once",
    "publish.log",
    "publish.roles",
    "publish.pages",
    "publish.timestamp",
    "publish.head",
    "publish.withdrawn",
    "publish.checkpointed",
    "list.written",
    "log.batch",
    "log.signed",
    "log.founded",
    "log.witnessed",
    "log.cosigned",
    "found.signed",
    "found.committed",
    "adopt.signed",
    "adopt.committed",
];

/// Kills this process when the environment names this place (debug builds only: a release build has no
/// failpoints). `TIDEWAITER_FAILPOINT=name` fires at the first pass, `name:3` at the third.
pub fn reach(name: &'static str) {
    debug_assert!(FAILPOINTS.contains(&name), "{name} is not in the list");
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicU64, Ordering};
        static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("TIDEWAITER_FAILPOINT").ok()?;
            Some(match text.split_once(':') {
                Some((name, nth)) => (name.to_owned(), nth.parse().unwrap_or(1)),
                None => (text, 1),
            })
        });
        if let Some((armed, nth)) = armed
            && armed == name
            && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
        {
            let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL);
            loop {
                std::thread::park();
            }
        }
    }
}

/// What a test wants found in a file whose name begins like this: `(severity, confidence)` as words, or `dies` for an
/// inspection that ends without an answer. In a release build nobody can want anything.
#[cfg(debug_assertions)]
pub fn planted(filename: &str) -> Option<(String, String)> {
    // `TIDEWAITER_PLANT=evil-=critical/high,odd-=medium/medium,bomb-=dies/dies`
    let text = std::env::var("TIDEWAITER_PLANT").ok().or_else(|| Some(tests_plant()?.to_owned()))?;
    text.split(',').find_map(|entry| {
        let (prefix, weight) = entry.split_once('=')?;
        let (severity, confidence) = weight.split_once('/')?;
        filename.starts_with(prefix).then(|| (severity.to_owned(), confidence.to_owned()))
    })
}

/// What this crate's own tests plant.
#[cfg(debug_assertions)]
fn tests_plant() -> Option<&'static str> {
    cfg!(test).then_some("evil-=critical/high,harm-=high/medium,odd-=medium/medium,bomb-=dies/dies")
}
