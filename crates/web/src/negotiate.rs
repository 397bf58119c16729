//! Which representation a client gets (RFC 9110 §12, pypi-behaviour §2.1).

use axum::http::{HeaderMap, header};
use packaging::simple::{CONTENT_TYPE_HTML, CONTENT_TYPE_JSON};

/// A representation of a Simple API page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `text/html`, for whoever says nothing better.
    Html,
    /// The versioned HTML type.
    HtmlV1,
    /// The versioned JSON type: the form that is signed.
    Json,
}

impl Form {
    /// In the server's order of preference.
    const OFFERS: [Self; 3] = [Self::Html, Self::HtmlV1, Self::Json];

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=UTF-8",
            Self::HtmlV1 => CONTENT_TYPE_HTML,
            Self::Json => CONTENT_TYPE_JSON,
        }
    }

    fn media(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::HtmlV1 => CONTENT_TYPE_HTML,
            Self::Json => CONTENT_TYPE_JSON,
        }
    }

    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Html | Self::HtmlV1 => "html",
            Self::Json => "json",
        }
    }
}

/// The offer that the Accept header likes best; on a tie the server's order; when it likes none, HTML rather than
/// a refusal.
pub(crate) fn form(headers: &HeaderMap) -> Form {
    let mut best = (Form::Html, 0_u16);
    for offer in Form::OFFERS {
        let quality = quality(headers, offer.media());
        if quality > best.1 {
            best = (offer, quality);
        }
    }
    best.0
}

/// The offer that the Accept header likes best, the first of equals; `None` when it likes none.
pub(crate) fn best<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Option<&'a str> {
    let ranked = offers.iter().rev().map(|offer| (quality(headers, offer), *offer));
    ranked.max_by_key(|(quality, _)| *quality).filter(|(quality, _)| *quality > 0).map(|(_, offer)| offer)
}

/// Whether the client takes gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for item in items(headers, header::ACCEPT_ENCODING) {
        let (coding, quality) = weighed(item);
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return quality > 0;
        }
        if coding == "*" {
            any = Some(quality > 0);
        }
    }
    any.unwrap_or(false)
}

/// Whether the client would rather have JSON than text: for errors of the upload and the API.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let named = items(headers, header::ACCEPT).any(|item| {
        let media = weighed(item).0;
        media.eq_ignore_ascii_case("application/json") || media.eq_ignore_ascii_case("application/problem+json")
    });
    named
        && quality(headers, "application/json").max(quality(headers, "application/problem+json"))
            >= quality(headers, "text/plain").max(quality(headers, "text/html"))
}

fn items(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

/// The quality that an Accept header gives a media type, in thousandths: the most specific range decides. No
/// header at all accepts everything.
fn quality(headers: &HeaderMap, media: &str) -> u16 {
    let mut found: Option<(u8, u16)> = None;
    let mut said = false;
    for item in items(headers, header::ACCEPT) {
        let (range, quality) = weighed(item);
        if range.is_empty() {
            continue;
        }
        said = true;
        let specificity = if range.eq_ignore_ascii_case(media) {
            2
        } else if range == "*/*" {
            0
        } else if range.strip_suffix("/*").is_some_and(|kind| media.split('/').next() == Some(kind)) {
            1
        } else {
            continue;
        };
        if found.is_none_or(|(known, _)| specificity > known) {
            found = Some((specificity, quality));
        }
    }
    if said { found.map_or(0, |(_, quality)| quality) } else { 1000 }
}

/// An item without its parameters, and its quality in thousandths. A quality that is no number counts as zero.
fn weighed(item: &str) -> (&str, u16) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let mut quality = 1000;
    for part in parts {
        if let Some(text) = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")) {
            quality = text.parse::<f32>().map_or(0, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16);
        }
    }
    (name, quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, text.parse().expect("header text"));
        headers
    }

    #[test]
    fn the_public_index_answers_the_same() {
        let table = [
            ("*/*", Form::Html),
            ("text/html", Form::Html),
            ("application/json", Form::Html),
            ("application/vnd.pypi.simple.latest+json", Form::Html),
            ("application/*", Form::HtmlV1),
            ("application/vnd.pypi.simple.v1+json", Form::Json),
            (
                "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01",
                Form::Json,
            ),
            ("application/vnd.pypi.simple.v1+json;q=0.1, text/html;q=0.2", Form::Html),
            ("application/vnd.pypi.simple.v1+json;q=0, */*;q=0.1", Form::Html),
            ("application/vnd.pypi.simple.v1+html", Form::HtmlV1),
            ("", Form::Html),
            ("garbage;;;q=x", Form::Html),
        ];
        for (text, want) in table {
            assert_eq!(form(&accept(text)), want, "{text}");
        }
        assert_eq!(form(&HeaderMap::new()), Form::Html);
    }

    #[test]
    fn gzip_only_for_those_who_take_it() {
        for (text, want) in
            [("gzip, deflate", true), ("gzip;q=0", false), ("*", true), ("br", false), ("*, gzip;q=0", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, text.parse().expect("header text"));
            assert_eq!(takes_gzip(&headers), want, "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
