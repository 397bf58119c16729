//! The first of two sanitisers: tag soup in, well-nested HTML of known elements out.
//!
//! An HTML parser repairs what is wrongly nested by copying elements, so soup of a few kilobytes can make it build
//! a tree of gigabytes. What leaves here has nothing to repair: every element is known, closed in order and at most
//! [`DEPTH_MAX`] deep, every attribute is quoted, and every `<` that opens no known tag is text. One pass; the work
//! for a tag is bounded by the depth.

/// Deepest nesting; tags below are dropped, their text stays.
const DEPTH_MAX: usize = 100;
/// Most attributes looked at in one tag.
const ATTRIBUTES_MAX: usize = 24;

/// Longest attribute, in bytes; a longer one is dropped.
const ATTRIBUTE_BYTES_MAX: usize = 4096;
/// Most characters in one run of text at which the serialiser behind this stops to look (`&` and U+0080 to U+00BF). It
/// searches the whole rest of the run anew each time, so half a megabyte of `&` took it minutes; a `<wbr>`, which
/// shows nothing, ends the run.
const STOPS_MAX: usize = 1000;

/// Elements that hold nothing.
const VOID: &[&str] = &["br", "hr", "img", "input", "wbr", "col"];
/// Elements that stand in lines.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd", "mark", "q", "s", "samp",
    "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var",
];
/// Elements that end an open paragraph.
const BLOCK: &[&str] = &[
    "article",
    "aside",
    "blockquote",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "ul",
    "caption",
    "colgroup",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
];
/// Elements whose content is dropped with them.
const DROPPED: &[&str] = &[
    "script",
    "style",
    "title",
    "textarea",
    "iframe",
    "noembed",
    "noframes",
    "noscript",
    "template",
    "object",
    "embed",
    "applet",
    "select",
    "svg",
    "math",
    "xmp",
    "plaintext",
    "audio",
    "video",
    "canvas",
    "head",
];

/// The element as it is written out, or `None` for one that is not let through. A page's own title is its `h1`, so
/// headings go one level down.
fn known(name: &str) -> Option<&'static str> {
    Some(match name {
        "h1" => "h2",
        "h2" => "h3",
        "h3" => "h4",
        "h4" => "h5",
        "h5" | "h6" => "h6",
        "center" => "div",
        other => *VOID.iter().chain(INLINE).chain(BLOCK).find(|known| **known == other)?,
    })
}

/// What an opening tag ends, and how far up: `(elements that it closes, elements behind which it does not look)`.
fn closes(name: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match name {
        "li" => (&["li", "p"], &["ul", "ol"]),
        "dt" | "dd" => (&["dt", "dd", "p"], &["dl"]),
        "tr" => (&["tr", "td", "th", "caption", "colgroup", "p"], &["table"]),
        "td" | "th" => (&["td", "th", "p"], &["tr", "table"]),
        "thead" | "tbody" | "tfoot" => {
            (&["thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup", "p"], &["table"])
        }
        "a" => (&["a"], &["td", "th", "table"]),
        "h2" | "h3" | "h4" | "h5" | "h6" => (&["p", "h2", "h3", "h4", "h5", "h6"], LIMITS),
        _ if BLOCK.contains(&name) => (&["p"], LIMITS),
        _ => (&[], &[]),
    }
}

/// What an opening tag must stand in; elsewhere it is dropped.
fn fits(name: &str, open: &[&'static str]) -> bool {
    let parent = open.last().copied().unwrap_or("");
    match name {
        "li" => open.iter().any(|o| matches!(*o, "ul" | "ol")),
        "dt" | "dd" => open.contains(&"dl"),
        "tr" => matches!(parent, "table" | "thead" | "tbody" | "tfoot"),
        "td" | "th" => parent == "tr",
        "thead" | "tbody" | "tfoot" | "caption" | "colgroup" => parent == "table",
        "col" => parent == "colgroup",
        _ => !matches!(parent, "table" | "thead" | "tbody" | "tfoot" | "tr" | "colgroup"),
    }
}

const LIMITS: &[&str] = &["td", "th", "li", "dd", "dt", "blockquote", "div", "details", "figure", "section"];

struct Balancer {
    out: String,
    /// Whether pictures of other hosts stay; else their words stand in their place.
    pictures: bool,
    /// How many there are.
    count: usize,
    open: Vec<&'static str>,
    /// Of this run of text, the characters at which the serialiser stops.
    stops: usize,
}

/// The whole pass.
pub(super) fn balance(html: &str, pictures: bool) -> (String, usize) {
    let out = String::with_capacity(html.len() + html.len() / 8);
    let mut balancer = Balancer { out, pictures, count: 0, open: Vec::new(), stops: 0 };
    let bytes = html.as_bytes();
    let mut at = 0;
    while at < html.len() {
        if bytes[at] != b'<' {
            let end = html[at..].find('<').map_or(html.len(), |n| at + n);
            balancer.text(&html[at..end]);
            at = end;
            continue;
        }
        let rest = &html[at..];
        if rest.starts_with("<!--") {
            at = rest.find("-->").map_or(html.len(), |n| at + n + 3);
        } else if rest.starts_with("<!") || rest.starts_with("<?") {
            at = rest.find('>').map_or(html.len(), |n| at + n + 1);
        } else if let Some(tag) = Tag::read(rest) {
            at += tag.length;
            if DROPPED.contains(&tag.name.as_str()) {
                if !tag.closing && !tag.self_closing {
                    at += skip_content(&html[at..], &tag.name);
                }
            } else if tag.closing {
                balancer.close(&tag.name);
            } else {
                balancer.open(&tag);
            }
        } else {
            balancer.out.push_str("&lt;");
            at += 1;
        }
    }
    while let Some(name) = balancer.open.pop() {
        balancer.end(name);
    }
    (balancer.out, balancer.count)
}

/// How far the content of a dropped element reaches, its end tag included.
fn skip_content(rest: &str, name: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(n) = rest[at..].find("</") {
        let from = at + n + 2;
        let end = from + name.len();
        if bytes.len() >= end && bytes[from..end].eq_ignore_ascii_case(name.as_bytes()) {
            return rest[end..].find('>').map_or(rest.len(), |n| end + n + 1);
        }
        at = from;
    }
    rest.len()
}

impl Balancer {
    /// Text keeps its character references; a `>` is harmless, a `<` never gets here.
    fn text(&mut self, text: &str) {
        let parent = self.open.last().copied().unwrap_or("");
        let between_cells = matches!(parent, "table" | "thead" | "tbody" | "tfoot" | "tr" | "colgroup");
        // A parser would move text between cells out of the table; here it goes, unless it is only space.
        if !between_cells || text.trim().is_empty() {
            self.run(text);
        }
    }

    fn run(&mut self, text: &str) {
        for c in text.chars() {
            if matches!(c, '&' | '\u{80}'..='\u{bf}') {
                self.stops += 1;
                if self.stops > STOPS_MAX {
                    self.out.push_str("<wbr>");
                    self.stops = 1;
                }
            }
            self.out.push(if c == '\0' { '\u{fffd}' } else { c });
        }
    }

    fn end(&mut self, name: &str) {
        // A link without content cannot be seen, only be stumbled on with the keyboard.
        if name == "a" && self.out.ends_with('>') {
            let at = self.out.rfind('<').unwrap_or(0);
            if self.out[at..].starts_with("<a") && !self.out[at..].contains(" id=\"") {
                self.out.truncate(at);
                return;
            }
        }
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(name) = self.open.pop() {
                self.end(name);
            }
        }
    }

    fn close(&mut self, name: &str) {
        let Some(name) = known(name) else { return };
        // An inline element does not end what stands around a block; a block ends all inside it.
        let inline = INLINE.contains(&name);
        for (depth, open) in self.open.iter().enumerate().rev() {
            if *open == name {
                return self.close_to(depth);
            }
            let wall = matches!(*open, "td" | "th" | "table") && !matches!(name, "table" | "tr" | "tbody" | "thead");
            if wall || inline && !INLINE.contains(open) {
                return;
            }
        }
    }

    fn open(&mut self, tag: &Tag) {
        let Some(name) = known(&tag.name) else { return };
        let (ended, limits) = closes(name);
        let mut outermost = None;
        for (depth, open) in self.open.iter().enumerate().rev() {
            if limits.contains(open) && !ended.contains(open) {
                break;
            }
            if ended.contains(open) {
                outermost = Some(depth);
                // One item ends one item; what is further out belongs to another list.
                if !matches!(*open, "p" | "td" | "th" | "tr") {
                    break;
                }
            }
        }
        if let Some(depth) = outermost {
            self.close_to(depth);
        }
        // A block inside a line would make the parser split the line: end the line first.
        if BLOCK.contains(&name) && !matches!(name, "li" | "dt" | "dd") || matches!(name, "li" | "dt" | "dd") {
            while self.open.last().is_some_and(|open| INLINE.contains(open) && *open != "a") {
                self.close_to(self.open.len() - 1);
            }
        }
        if self.open.len() >= DEPTH_MAX || !fits(name, &self.open) {
            return;
        }
        if name == "img" && !self.picture(tag) || name == "input" && tag.value("type") != Some("checkbox") {
            return;
        }
        self.out.push('<');
        self.out.push_str(name);
        self.stops = 0;
        for (key, value) in tag.attributes.iter().filter(|(_, value)| value.len() <= ATTRIBUTE_BYTES_MAX) {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            // References stay as they are: the parser behind this decodes them before it judges an address.
            self.out
                .push_str(&value.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;").replace('\0', ""));
            self.out.push('"');
        }
        self.out.push('>');
        if !VOID.contains(&name) {
            self.open.push(name);
        }
    }
}

impl Balancer {
    /// Counts a picture of another host. One that is not to be shown, or cannot be, is written as its words; false
    /// then. A page of this index has no pictures of its own for authors to name.
    fn picture(&mut self, tag: &Tag) -> bool {
        let source = tag.value("src").unwrap_or_default();
        let remote = source.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        self.count += usize::from(remote);
        if remote && self.pictures {
            return true;
        }
        let words = tag.value("alt").map(str::trim).filter(|alt| !alt.is_empty()).unwrap_or("picture");
        self.out.push_str("<span class=\"picture\">");
        self.out.push_str(&words.replace('<', "&lt;").replace('\0', ""));
        self.out.push_str("</span>");
        false
    }
}

struct Tag {
    name: String,
    closing: bool,
    self_closing: bool,
    attributes: Vec<(String, String)>,
    length: usize,
}

impl Tag {
    fn value(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The tag that the text starts with, if it is one and it ends.
    fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut at = 1;
        let closing = bytes.get(at) == Some(&b'/');
        at += usize::from(closing);
        if !bytes.get(at)?.is_ascii_alphabetic() {
            return None;
        }
        let start = at;
        while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b':') {
            at += 1;
        }
        let name = text[start..at].to_ascii_lowercase();
        let mut attributes: Vec<(String, String)> = Vec::new();
        let mut self_closing = false;
        loop {
            let b = *bytes.get(at)?;
            match b {
                b'>' => return Some(Self { name, closing, self_closing, attributes, length: at + 1 }),
                b'/' => {
                    self_closing = bytes.get(at + 1) == Some(&b'>');
                    at += 1;
                }
                _ if b.is_ascii_whitespace() => at += 1,
                _ => {
                    let (key, value, next) = attribute(text, at)?;
                    let plain = key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                    let new = !attributes.iter().any(|(known, _)| *known == key);
                    if plain && new && attributes.len() < ATTRIBUTES_MAX && !key.starts_with("on") {
                        attributes.push((key, value));
                    }
                    at = next;
                }
            }
        }
    }
}

/// Key, value and end of the attribute at a place.
fn attribute(text: &str, start: usize) -> Option<(String, String, usize)> {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while bytes.get(at).is_some_and(|b| !b.is_ascii_whitespace() && !matches!(b, b'=' | b'>' | b'/')) {
        at += 1;
    }
    // `start` is the first byte of a character, as every byte before it was ASCII; so is the byte that ended the key.
    let key = text.get(start..at)?.to_ascii_lowercase();
    let mut next = at;
    while bytes.get(next).is_some_and(u8::is_ascii_whitespace) {
        next += 1;
    }
    if bytes.get(next) != Some(&b'=') {
        return Some((key, String::new(), at));
    }
    next += 1;
    while bytes.get(next).is_some_and(u8::is_ascii_whitespace) {
        next += 1;
    }
    match bytes.get(next)? {
        quote @ (b'"' | b'\'') => {
            let end = text[next + 1..].find(*quote as char)? + next + 1;
            Some((key, text[next + 1..end].to_owned(), end + 1))
        }
        _ => {
            let end = text[next..].find(|c: char| c.is_ascii_whitespace() || c == '>')? + next;
            Some((key, text[next..end].to_owned(), end))
        }
    }
}
