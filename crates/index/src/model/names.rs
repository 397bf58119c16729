//! The names that an index shows, held so that any part of one is found at once.

use memchr::memmem::Finder;

/// Names in order, in one text: each is followed by a line end, which no name holds. A hundred thousand of them are two
/// megabytes, which are looked through in less than a millisecond; a database would look at every row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    text: String,
}

impl Names {
    /// Of names in order, each once.
    pub fn from_sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for name in names {
            text.push_str(name);
            text.push('\n');
        }
        Self { text }
    }

    /// Takes in a name, if it is not there yet.
    pub fn insert(&mut self, name: &str) {
        let at = self.at_or_after(name);
        if self.line(at) != Some(name) {
            self.text.insert_str(at, &format!("{name}\n"));
        }
    }

    /// Takes out a name, if it is there.
    pub fn remove(&mut self, name: &str) {
        let at = self.at_or_after(name);
        if self.line(at) == Some(name) {
            self.text.replace_range(at..=at + name.len(), "");
        }
    }

    /// At most `most` names at or after `from` that hold `part`, in order.
    pub fn holding<'a>(&'a self, part: &str, from: &str, most: usize) -> Vec<&'a str> {
        let bytes = self.text.as_bytes();
        let finder = Finder::new(part.as_bytes());
        let mut at = self.at_or_after(from);
        let mut found = Vec::new();
        while found.len() < most && at < bytes.len() {
            let Some(hit) = bytes.get(at..).and_then(|rest| finder.find(rest)) else { break };
            let begin = self.begin_of(at + hit);
            let Some(name) = self.line(begin) else { break };
            at = begin + name.len() + 1;
            // A part with a line end reaches over two names, and is in none.
            if name.contains(part) {
                found.push(name);
            }
        }
        found
    }

    /// The name that begins at an offset; none at the end.
    fn line(&self, at: usize) -> Option<&str> {
        self.text.get(at..)?.split_once('\n').map(|(line, _)| line)
    }

    /// Where the line of an offset begins.
    fn begin_of(&self, at: usize) -> usize {
        self.text.as_bytes().get(..at).and_then(|before| memchr::memrchr(b'\n', before)).map_or(0, |end| end + 1)
    }

    /// Where the first name that is not before `name` begins.
    fn at_or_after(&self, name: &str) -> usize {
        let (mut low, mut high) = (0, self.text.len());
        while low < high {
            let begin = self.begin_of(low + (high - low) / 2);
            match self.line(begin) {
                Some(line) if line < name => low = begin + line.len() + 1,
                Some(_) | None => high = begin,
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Names;

    /// A small generator with a seed: the same names on every run.
    struct Seeded(u64);

    impl Seeded {
        fn next(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % below
        }

        fn name(&mut self) -> String {
            (0..=self.next(4)).map(|_| char::from(b"ab-"[usize::try_from(self.next(3)).expect("small")])).collect()
        }
    }

    /// Goal: every answer is that of a set of strings, whatever was taken in and out before.
    #[test]
    fn it_answers_as_a_set_of_strings_would() {
        let mut seeded = Seeded(20_261_126);
        let (mut names, mut set) = (Names::default(), BTreeSet::new());
        for _ in 0..4_000 {
            let name = seeded.name();
            if seeded.next(3) == 0 {
                names.remove(&name);
                set.remove(&name);
            } else {
                names.insert(&name);
                set.insert(name);
            }
            let (part, from) = (seeded.name(), seeded.name());
            let most = usize::try_from(seeded.next(5)).expect("small");
            let wanted: Vec<&str> =
                set.range(from.clone()..).filter(|name| name.contains(&part)).take(most).map(String::as_str).collect();
            assert_eq!(names.holding(&part, &from, most), wanted, "{part} from {from}");
        }
        assert_eq!(names, Names::from_sorted(set.iter().map(String::as_str)));
    }

    /// Goal: a part that spans two names of the text is in neither.
    #[test]
    fn no_part_reaches_over_two_names() {
        let names = Names::from_sorted(["ab", "cd"]);
        assert!(names.holding("b\nc", "", 9).is_empty());
        assert!(names.holding("b\n", "", 9).is_empty());
        assert_eq!(names.holding("", "", 9), ["ab", "cd"]);
        assert_eq!(names.holding("d", "ab", 9), ["cd"]);
        assert!(names.holding("b", "ac", 9).is_empty());
    }
}
