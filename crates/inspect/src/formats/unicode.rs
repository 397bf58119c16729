//! Characters that make text look like something else: direction, invisibility, other scripts' look-alikes.

/// What a text hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// What.
    pub what: What,
    /// Line, from 1.
    pub line: u32,
    /// The characters with their code points, for people.
    pub shown: String,
}

/// How a text hides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Characters that reverse the order in which text is shown.
    Direction,
    /// A run of invisible characters, long enough to carry something.
    Invisible,
    /// A word that mixes Latin letters with look-alikes of another script.
    MixedScript,
}

/// Length from which a run of invisible characters carries a message.
pub const INVISIBLE_RUN_MIN: usize = 8;
/// Most tag characters that spell a region behind a flag, the closing one included.
const REGION_CHARS_MAX: usize = 7;
/// Most that is told of one text.
const HIDDEN_MAX: usize = 20;

/// Looks through a text. Direction is told only where it is never closed or reorders an ASCII line, which honest
/// right-to-left prose does not do.
pub fn read(text: &str) -> Vec<Hidden> {
    let mut found = Vec::new();
    if text.is_ascii() {
        return found;
    }
    for (number, line) in (1u32..).zip(text.split('\n')) {
        if line.is_ascii() {
            continue;
        }
        if found.len() >= HIDDEN_MAX {
            break;
        }
        let others = line.chars().any(|c| !c.is_ascii() && c.is_alphabetic() && is_right_to_left(c));
        if let Some(c) = line.chars().find(|c| is_direction(*c)).filter(|_| !others) {
            found.push(Hidden { what: What::Direction, line: number, shown: format!("U+{:04X}", c as u32) });
        }
        if let Some(shown) = invisible_run(line) {
            found.push(Hidden { what: What::Invisible, line: number, shown });
        }
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.find(|word| is_mixed(word)) {
            found.push(Hidden { what: What::MixedScript, line: number, shown: word.chars().take(60).collect() });
        }
    }
    found
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

/// Characters without a shape. Joiners have a use between letters and in emoji; a run of them has none.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{3164}' | '\u{ffa0}' | '\u{115f}'
        | '\u{1160}' | '\u{180e}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

fn invisible_run(line: &str) -> Option<String> {
    let mut run: Vec<char> = Vec::new();
    // Behind a black flag, a few tag characters spell the region that it stands for (UTS #51).
    let mut region = 0;
    for c in line.chars().chain(['.']) {
        if c == '\u{1f3f4}' {
            region = REGION_CHARS_MAX;
        } else if region > 0 && matches!(c, '\u{e0030}'..='\u{e007f}') {
            region -= 1;
            continue;
        }
        if is_invisible(c) {
            run.push(c);
        } else if run.len() >= INVISIBLE_RUN_MIN {
            let first: Vec<String> = run.iter().take(4).map(|c| format!("U+{:04X}", *c as u32)).collect();
            return Some(format!("{} invisible characters: {} …", run.len(), first.join(" ")));
        } else {
            run.clear();
        }
    }
    None
}

/// Letters of other scripts that look like Latin ones.
fn is_look_alike(c: char) -> bool {
    "аеорсухіјѕһԁԛԝԍАВЕКМНОРСТУХЅІЈαορνικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ".contains(c)
}

/// Latin and look-alikes in one word; a word of another script alone, or one with μ, is that script's.
fn is_mixed(word: &str) -> bool {
    let latin = word.chars().filter(char::is_ascii_alphabetic).count();
    let alike = word.chars().filter(|c| is_look_alike(*c)).count();
    let others = word.chars().filter(|c| !c.is_ascii() && !is_look_alike(*c)).count();
    latin >= 2 && alike >= 1 && others == 0 && latin > alike
}
