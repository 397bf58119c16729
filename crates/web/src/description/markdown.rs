//! Markdown as the public index reads it: CommonMark with GitHub's extensions.

use comrak::{Arena, Options, format_html, parse_document};

/// Deepest nesting of block quotes and lists on one line, and of anything in the parsed text.
const DEPTH_MAX: usize = 96;

/// The text as HTML that nobody may trust yet; `None` when it nests deeper than people write.
pub(super) fn html(text: &str) -> Option<String> {
    if text.lines().any(|line| markers(line) > DEPTH_MAX) {
        return None;
    }
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.autolink = true;
    options.extension.footnotes = true;
    options.extension.header_id_prefix = Some("user-content-".into());
    options.extension.header_id_prefix_in_href = true;
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.tasklist = true;
    options.render.github_pre_lang = false;
    // Authors' own HTML is passed on: the two allow-lists after this one decide.
    options.render.r#unsafe = true;
    let root = parse_document(&arena, text, &options);
    let mut depth = 0_usize;
    for edge in root.traverse() {
        match edge {
            comrak::arena_tree::NodeEdge::Start(_) => depth += 1,
            comrak::arena_tree::NodeEdge::End(_) => depth = depth.saturating_sub(1),
        }
        if depth > DEPTH_MAX {
            return None;
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    format_html(root, &options, &mut out).ok()?;
    Some(out)
}

/// How many block quote and list markers a line may open, at most: every level of nesting costs one on some line,
/// or an indentation that a line has to repeat.
fn markers(line: &str) -> usize {
    let mut count = 0;
    let mut indent = 0;
    for word in line.split([' ', '\t']) {
        let numbered =
            || word.strip_suffix(['.', ')']).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if word.is_empty() {
            indent += 1;
        } else if word.starts_with('>') {
            count += word.bytes().take_while(|b| *b == b'>').count();
        } else if matches!(word, "-" | "*" | "+") || numbered() {
            count += 1;
        } else {
            break;
        }
    }
    count + indent / 8
}
