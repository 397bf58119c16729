//! The only doors to time and to randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Wall time, in microseconds since the Unix epoch. Tests turn it by hand.
#[derive(Debug, Clone)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `now_us` until [`Self::advance`] moves it.
    pub fn fake(now_us: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now_us))))
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where wall time enters")]
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Some(fake) => fake.load(Ordering::SeqCst),
            None => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.as_micros() as i64),
        }
    }

    /// Moves a fake clock; does nothing to the machine's.
    pub fn advance(&self, by_us: i64) {
        if let Some(fake) = &self.0 {
            fake.fetch_add(by_us, Ordering::SeqCst);
        }
    }
}

/// Random bytes. Tests seed them.
#[derive(Debug, Clone)]
pub struct Entropy(Option<Arc<AtomicU64>>);

impl Entropy {
    /// The operating system's.
    pub fn system() -> Self {
        Self(None)
    }

    /// A repeatable sequence.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        match &self.0 {
            None => getrandom::fill(&mut out).expect("the operating system gives random bytes or nothing is safe"),
            Some(state) => {
                use sha2::{Digest, Sha256};
                for chunk in out.chunks_mut(32) {
                    let n = state.fetch_add(1, Ordering::SeqCst);
                    chunk.copy_from_slice(&Sha256::digest(n.to_le_bytes())[..chunk.len()]);
                }
            }
        }
        out
    }
}
