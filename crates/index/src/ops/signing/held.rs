//! The rows of the bins that were signed last, so that the next set does not read again what this one wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::store::signing::TargetRow;

/// A bin's rows by their path.
pub(super) type Rows = BTreeMap<String, TargetRow>;

/// Bytes of rows that are kept, by [`bytes_of`]: every bin of a small index, some fifty of a thousand targets each.
const KEPT_BYTES_MAX: usize = if cfg!(test) { 4 << 10 } else { 16 << 20 };
/// What a row takes besides its texts.
const ROW_BYTES: usize = 200;

/// What a bin's rows take in memory, about.
pub(super) fn bytes_of(rows: &Rows) -> usize {
    let texts = |row: &TargetRow| row.path.len() + row.sha256.len() + row.custom.as_ref().map_or(0, String::len);
    rows.values().map(|row| ROW_BYTES + row.path.len() + texts(row)).sum::<usize>() + ROW_BYTES
}

#[derive(Debug)]
struct Bin {
    rows: Arc<Rows>,
    bytes: usize,
    used: u64,
}

/// Bins of one repository, the least recently used of which go first. Only what commit 2 took comes in, and whoever loses
/// the lease loses it with the rest of its memory.
#[derive(Debug, Default)]
pub(super) struct Held {
    bins: BTreeMap<u32, Bin>,
    bytes: usize,
    turn: u64,
}

impl Held {
    /// A bin's rows as the ledger has them, if they are kept.
    pub(super) fn get(&self, bin: u32) -> Option<Arc<Rows>> {
        self.bins.get(&bin).map(|bin| Arc::clone(&bin.rows))
    }

    /// Keeps a bin's rows, or forgets those of before where there is no room for them.
    pub(super) fn put(&mut self, bin: u32, rows: Option<Arc<Rows>>) {
        self.turn += 1;
        if let Some(old) = self.bins.remove(&bin) {
            self.bytes -= old.bytes;
        }
        let Some(rows) = rows else { return };
        let bytes = bytes_of(&rows);
        self.bytes += bytes;
        self.bins.insert(bin, Bin { rows, bytes, used: self.turn });
        while self.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.bins.iter().min_by_key(|(_, bin)| bin.used).map(|(bin, _)| *bin)
        {
            let gone = self.bins.remove(&oldest);
            self.bytes -= gone.map_or(0, |bin| bin.bytes);
        }
    }
}

/// The rows that a set leaves, until commit 2 takes them: no more of them than are kept afterwards.
#[derive(Debug, Default)]
pub(super) struct Left {
    bins: Vec<(u32, Option<Arc<Rows>>)>,
    bytes: usize,
}

impl Left {
    /// Adds a bin's rows.
    pub(super) fn add(&mut self, bin: u32, rows: Arc<Rows>) {
        self.bytes += bytes_of(&rows);
        // Of the others it is known that what is kept of them is not what the ledger will have.
        self.bins.push((bin, (self.bytes <= KEPT_BYTES_MAX).then_some(rows)));
    }

    /// Commit 2 took them.
    pub(super) fn settle(self, held: &mut Held) {
        self.bins.into_iter().for_each(|(bin, rows)| held.put(bin, rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Arc<Rows> {
        let row = |n: usize| {
            let path = format!("p/00/demo/demo-{n:04}.tar.gz");
            (path.clone(), TargetRow { path, length: 1, sha256: "0".repeat(64), custom: None })
        };
        Arc::new((0..count).map(row).collect())
    }

    #[test]
    fn memory_is_bounded_and_the_least_recently_used_go_first() {
        let (mut held, one) = (Held::default(), rows(3));
        let fit = (KEPT_BYTES_MAX / bytes_of(&one)) as u32;
        assert!(fit >= 2);
        (0..fit).for_each(|bin| held.put(bin, Some(Arc::clone(&one))));
        assert!((0..fit).all(|bin| held.get(bin).is_some()), "at the limit");
        held.put(0, Some(Arc::clone(&one)));
        held.put(fit, Some(Arc::clone(&one)));
        assert!(held.get(1).is_none() && held.get(0).is_some() && held.get(fit).is_some(), "one past it");
        assert!(held.bytes <= KEPT_BYTES_MAX);
        // More than there is room for, alone or in one set: nothing old is taken for the new.
        held.put(0, Some(rows(1_000)));
        assert!(held.get(0).is_none() && held.bytes == 0);
        let mut left = Left::default();
        (0..=fit).for_each(|bin| left.add(bin, Arc::clone(&one)));
        held.put(fit, Some(rows(1)));
        left.settle(&mut held);
        assert!(held.get(fit).is_none() && held.get(0).is_some());
    }
}
