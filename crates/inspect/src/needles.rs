//! Words looked for all at once, in any case of ASCII.
//!
//! An automaton takes one dependent step for each byte. Here each word has a pair of neighbouring bytes that is rare in
//! source and prose, and a position is looked at again only where such a pair stands: one position in fifty of real sources.
//! What is asked of all the others depends on nothing before, so that the processor does several at once.

/// Pairs of folded bytes.
const SLOTS: usize = 1 << 14;

/// The words, by their rare pairs.
pub(crate) struct Needles {
    /// Whether any word has the pair, a bit each: all of it stays in the nearest cache.
    any: [u64; SLOTS / 64],
    /// For each pair, the first of its anchors.
    first: Vec<u16>,
    /// Sorted by slot.
    anchors: Vec<Anchor>,
}

struct Anchor {
    slot: usize,
    word: &'static str,
    /// The word's place among those given.
    number: usize,
    /// Where in the word the pair stands.
    pair_at: usize,
}

impl Needles {
    /// Words of two bytes and more; shorter ones are never found.
    pub(crate) fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        let mut anchors: Vec<_> =
            words.into_iter().enumerate().filter_map(|(number, word)| Anchor::of(number, word)).collect();
        anchors.sort_by_key(|anchor| anchor.slot);
        let (mut any, mut first) = ([0; SLOTS / 64], vec![0; SLOTS]);
        for (at, anchor) in anchors.iter().enumerate().rev() {
            any[anchor.slot / 64] |= 1 << (anchor.slot % 64);
            first[anchor.slot] = at as u16;
        }
        Self { any, first, anchors }
    }

    /// Calls `found` with each word's number and where it begins, overlapping ones included.
    #[inline]
    pub(crate) fn each(&self, bytes: &[u8], mut found: impl FnMut(usize, usize)) {
        let Some((first, rest)) = bytes.split_first() else { return };
        let mut before = fold(*first);
        for (at, byte) in rest.iter().enumerate() {
            let byte = fold(*byte);
            let slot = before << 7 | byte;
            before = byte;
            if self.any[slot / 64] >> (slot % 64) & 1 != 0 {
                self.here(bytes, at, slot, &mut found);
            }
        }
    }

    /// The words whose pair is at this place.
    #[inline(never)]
    fn here(&self, bytes: &[u8], at: usize, slot: usize, found: &mut impl FnMut(usize, usize)) {
        for anchor in self.anchors[usize::from(self.first[slot])..].iter().take_while(|anchor| anchor.slot == slot) {
            let Some(start) = at.checked_sub(anchor.pair_at) else { continue };
            let here = bytes.get(start..start + anchor.word.len());
            if here.is_some_and(|here| here.eq_ignore_ascii_case(anchor.word.as_bytes())) {
                found(anchor.number, start);
            }
        }
    }
}

impl Anchor {
    fn of(number: usize, word: &'static str) -> Option<Self> {
        let pairs = word.as_bytes().windows(2).enumerate();
        let (pair_at, pair) = pairs.min_by_key(|(_, pair)| weight(pair[0]) * weight(pair[1]))?;
        Some(Self { slot: fold(pair[0]) << 7 | fold(pair[1]), word, number, pair_at })
    }
}

/// One value for both cases of a letter. Others share one, too, which costs a second look alone.
#[inline(always)]
fn fold(byte: u8) -> usize {
    usize::from((byte | 0x20) & 0x7f)
}

/// How common a byte is in sources and prose, roughly.
fn weight(byte: u8) -> u32 {
    match byte.to_ascii_lowercase() {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b' ' => 8,
        b'l' | b'd' | b'h' | b'c' | b'u' | b'm' | b'p' | b'f' => 5,
        b'g' | b'b' | b'y' | b'w' | b'v' | b'k' | b'_' | b'.' | b'=' | b'(' | b')' | b'"' | b'\'' | b',' => 3,
        b'0'..=b'9' => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_found_wherever_they_stand() {
        let words = ["nc ", "ncat ", "\\run", "aa", "curl ", "Curl ", ".oast."];
        let needles = Needles::new(words);
        // Of few bytes, so that words overlap and are cut off at both ends.
        let alphabet = b"nNcCaAtT \\rRuUlLoOsS._\xe3\x83";
        let mut state = 45_u32;
        for round in 0..2_000 {
            let text: Vec<u8> = (0..round % 60)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    alphabet[(state >> 8) as usize % alphabet.len()]
                })
                .collect();
            let mut found = Vec::new();
            needles.each(&text, |number, start| found.push((start, number)));
            found.sort_unstable();
            let mut all = Vec::new();
            for start in 0..text.len() {
                for (number, word) in words.iter().enumerate() {
                    let here = text.get(start..start + word.len());
                    if here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes())) {
                        all.push((start, number));
                    }
                }
            }
            assert_eq!(found, all, "{text:?}");
        }
    }
}
