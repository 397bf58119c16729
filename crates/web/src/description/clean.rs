//! The second sanitiser: a real HTML parser and an allow-list of elements, attributes and addresses.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

/// Before every id: authors can neither take the place of the page's own ids nor of names that scripts would see.
pub(super) const ID_PREFIX: &str = "user-content-";

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "input",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

/// Classes that the stylesheet knows and that Markdown or reStructuredText gives.
const CLASSES: &[&str] = &[
    "admonition",
    "admonition-title",
    "attribution",
    "caution",
    "danger",
    "footnote",
    "footnote-ref",
    "footnotes",
    "footnote-backref",
    "line",
    "line-block",
    "note",
    "picture",
    "plain",
    "rubric",
    "tip",
    "warning",
    "label",
];

/// Names, and for each element the names that it takes.
type Names = HashSet<&'static str>;
type NamesOf = HashMap<&'static str, Names>;

static SHARED: LazyLock<(Names, NamesOf, NamesOf)> = LazyLock::new(|| {
    let attributes = HashMap::from([
        ("a", HashSet::from(["href", "title"])),
        ("img", HashSet::from(["src", "alt", "width", "height", "title"])),
        ("input", HashSet::from(["type", "checked", "disabled"])),
        ("ol", HashSet::from(["start", "type"])),
        ("td", HashSet::from(["align", "colspan", "rowspan"])),
        ("th", HashSet::from(["align", "colspan", "rowspan"])),
        ("p", HashSet::from(["align"])),
        ("div", HashSet::from(["align"])),
        ("details", HashSet::from(["open"])),
    ]);
    let holders = ["a", "aside", "div", "li", "ol", "p", "pre", "section", "span", "sup", "table", "td"];
    let classes = holders.into_iter().map(|tag| (tag, CLASSES.iter().copied().collect())).collect();
    (TAGS.iter().copied().collect(), attributes, classes)
});

/// Cleans.
pub(super) fn clean(html: &str) -> String {
    let (tags, attributes, classes) = &*SHARED;
    let mut builder = Builder::empty();
    builder
        .tags(tags.clone())
        .clean_content_tags(HashSet::from(["script", "style"]))
        .tag_attributes(attributes.clone())
        .generic_attributes(HashSet::from(["id"]))
        .allowed_classes(classes.clone())
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("nofollow noopener ugc"))
        .set_tag_attribute_value("img", "loading", "lazy")
        .set_tag_attribute_value("img", "referrerpolicy", "no-referrer")
        .set_tag_attribute_value("input", "disabled", "")
        .set_tag_attribute_value("input", "type", "checkbox")
        .strip_comments(true)
        .attribute_filter(filter);
    builder.clean(html).to_string()
}

/// What an allow-list of names cannot say.
fn filter<'v>(element: &str, attribute: &str, value: &'v str) -> Option<Cow<'v, str>> {
    match (element, attribute) {
        (_, "id") => value.starts_with(ID_PREFIX).then_some(Cow::Borrowed(value)),
        ("img", "src") => {
            let remote = value.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
            remote.then_some(Cow::Borrowed(value))
        }
        // Relative addresses mean files of a repository that is not here; fragments mean this page.
        ("a", "href") => {
            let absolute = value.split_once(':').is_some_and(|(scheme, _)| {
                ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
            });
            match value.strip_prefix('#') {
                Some(fragment) if fragment.starts_with(ID_PREFIX) => Some(Cow::Borrowed(value)),
                Some(fragment) if !fragment.is_empty() => Some(Cow::Owned(format!("#{ID_PREFIX}{fragment}"))),
                _ => absolute.then_some(Cow::Borrowed(value)),
            }
        }
        ("img", "width" | "height") | (_, "start" | "colspan" | "rowspan") => {
            let digits = value.strip_suffix("px").or_else(|| value.strip_suffix('%')).unwrap_or(value);
            let most = if matches!(attribute, "colspan" | "rowspan") { 2 } else { 4 };
            let small = digits.len() <= most && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            small.then_some(Cow::Borrowed(value))
        }
        (_, "align") => ["left", "right", "center"].contains(&value).then_some(Cow::Borrowed(value)),
        ("ol", "type") => ["1", "a", "A", "i", "I"].contains(&value).then_some(Cow::Borrowed(value)),
        _ => Some(Cow::Borrowed(value)),
    }
}
