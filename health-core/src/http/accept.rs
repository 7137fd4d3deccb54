//! Content negotiation (RFC 9110, section 12.5.1): a pure function of the header and of the offered
//! media types.

use std::cmp::Reverse;
use std::iter;

use http::HeaderValue;

use crate::render::Renderers;

/// A media type, and the position of its renderer.
#[derive(Debug)]
pub(super) struct Offer {
    kind: String,
    subtype: String,
    version: Option<String>,
    /// `true` if another format of this type has versions: a client that names a version does not
    /// mean this one.
    has_twin: bool,
    /// `true` if only a wildcard, or no preference at all, selects the format.
    is_fallback: bool,
    /// `true` if the status code is that of the verdict, and not always 200.
    has_verdict: bool,
    renderer: usize,
}

impl Offer {
    /// Parses a media type such as `text/plain; version=0.0.4; charset=utf-8`.
    fn new(media_type: &str, renderer: usize) -> Self {
        let mut parts = media_type.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let (kind, subtype) = essence.split_once('/').unwrap_or((essence, ""));
        let version = parts.find_map(|parameter| parameter.strip_prefix("version="));
        Self {
            kind: kind.into(),
            subtype: subtype.into(),
            version: version.map(str::to_owned),
            has_twin: false,
            is_fallback: false,
            has_verdict: true,
            renderer,
        }
    }
}

/// Lists the first media type of each offered renderer and then the others, so that a wildcard
/// matches the main types. Metrics and feeds come last: their status code is not the verdict, so
/// they answer a client without a preference only if there is nothing else. The fallback, if there
/// is one, answers such a client before all others.
pub(super) fn offers(
    renderers: &Renderers,
    offered: &[usize],
    fallback: Option<usize>,
) -> Vec<Offer> {
    let mut offered = offered.to_vec();
    offered.sort_by_key(|&position| renderers.at(position).always_ok());
    let types_of = |position: usize| renderers.at(position).media_types();
    let main = offered
        .iter()
        .map(|&position| (position, types_of(position).get(..1).unwrap_or_default()));
    let others = offered
        .iter()
        .map(|&position| (position, types_of(position).get(1..).unwrap_or_default()));
    let types = main.chain(others);
    let offers = types.flat_map(|(renderer, types)| {
        let has_verdict = !renderers.at(renderer).always_ok();
        types.iter().map(move |media_type| Offer {
            has_verdict,
            ..Offer::new(media_type, renderer)
        })
    });
    let fallback = fallback.and_then(|position| {
        let offer = Offer::new(types_of(position).first()?, position);
        Some(Offer {
            is_fallback: true,
            ..offer
        })
    });
    let mut offers: Vec<Offer> = fallback.into_iter().chain(offers).collect();
    let versioned = |offer: &Offer| {
        offer
            .version
            .is_some()
            .then(|| (offer.kind.clone(), offer.subtype.clone()))
    };
    let twins: Vec<_> = offers.iter().filter_map(versioned).collect();
    for offer in offers.iter_mut().filter(|offer| offer.version.is_none()) {
        offer.has_twin = twins
            .iter()
            .any(|(kind, subtype)| *kind == offer.kind && *subtype == offer.subtype);
    }
    offers
}

/// Returns the renderer that the client prefers, or `None` if it accepts none of them.
///
/// A format whose status code is not the verdict is chosen by its type. A wildcard chooses it only if
/// the client accepts no other format, whatever the qualities are: a probe that says `text/*` must
/// not always get 200.
///
/// The most specific range that matches an offer decides its quality. Among offers of equal quality
/// the client's order decides, then the precision of the match, then the order of the offers.
/// Malformed members are skipped. Without any valid member, the first offer is chosen.
pub(super) fn choose<'v>(
    headers: impl IntoIterator<Item = &'v HeaderValue>,
    offers: &[Offer],
) -> Option<usize> {
    let members = headers
        .into_iter()
        .flat_map(|header| split_outside_quotes(header.as_bytes(), b','));
    let mut ranges = members.filter_map(Range::parse);
    let Some(first) = ranges.next() else {
        return offers.first().map(|offer| offer.renderer);
    };
    first
        .decides(offers)
        .or_else(|| weigh(&iter::once(first).chain(ranges).collect::<Vec<_>>(), offers))
}

fn weigh(ranges: &[Range<'_>], offers: &[Offer]) -> Option<usize> {
    let mut best = None;
    for offer in offers {
        let fitting = ranges
            .iter()
            .enumerate()
            .filter_map(|(at, range)| Some((range.fit(offer)?, Reverse(at))));
        let Some((fit, Reverse(at))) = fitting.max() else {
            continue;
        };
        let is_meant = offer.has_verdict || fit > Fit::Kind;
        let liking = (is_meant, ranges[at].quality, Reverse(at), fit);
        if ranges[at].quality > 0 && best.is_none_or(|(other, _)| liking > other) {
            best = Some((liking, offer.renderer));
        }
    }
    best.map(|(_, renderer)| renderer)
}

/// A member of the header: `text/*;q=0.5`.
#[derive(Debug, PartialEq, Eq)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// The quality in thousandths.
    quality: u16,
    has_parameters: bool,
    /// The only parameter that distinguishes formats of the same type.
    version: Option<&'a str>,
}

/// The precision with which a range matches a media type, from a wildcard to the exact version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Any,
    Kind,
    /// The type matches. The range has parameters that are unknown here.
    Parameters,
    /// The type matches in another version, which is still closer to what a scraper reads than a
    /// format without versions.
    OtherVersion,
    Type,
    Version,
}

impl<'a> Range<'a> {
    fn parse(member: &'a [u8]) -> Option<Self> {
        let mut parts =
            split_outside_quotes(member, b';').map(|part| std::str::from_utf8(part).map(str::trim));
        let (kind, subtype) = parts.next()?.ok()?.split_once('/')?;
        if !matches!((kind, subtype), ("*", "*"))
            && !(is_token(kind) && (is_token(subtype) || subtype == "*"))
        {
            return None;
        }
        let mut range = Self {
            kind,
            subtype,
            quality: 1000,
            has_parameters: false,
            version: None,
        };
        for part in parts.filter(|part| *part != Ok("")) {
            let (name, value) = part.ok()?.split_once('=')?;
            if name.eq_ignore_ascii_case("q") {
                range.quality = quality(value)?;
            } else if is_token(name) && (is_token(value) || is_quoted(value)) {
                range.has_parameters = true;
                if name.eq_ignore_ascii_case("version") {
                    range.version = Some(value.trim_matches('"'));
                }
            } else {
                return None;
            }
        }
        Some(range)
    }

    /// Returns the renderer that this range selects as the first one of a header, whatever follows.
    ///
    /// A range that names a type, with full quality and without parameters, is preferred to all
    /// later ones. Only a format with versions can still be excluded by a later range. Browsers and
    /// most clients begin with such a range, so the rest need not be parsed.
    fn decides(&self, offers: &[Offer]) -> Option<usize> {
        if self.quality < 1000 || self.has_parameters {
            return None;
        }
        let offer = offers
            .iter()
            .find(|offer| self.fit(offer) == Some(Fit::Type))?;
        offer.version.is_none().then_some(offer.renderer)
    }

    /// Returns `None` if the range does not match. Clients send more parameters than types have, so
    /// parameters only decide which match is better. The exception is a version where another
    /// format of the type has versions.
    fn fit(&self, offer: &Offer) -> Option<Fit> {
        match (self.kind, self.subtype) {
            ("*", _) => Some(Fit::Any),
            (kind, _) if !kind.eq_ignore_ascii_case(&offer.kind) => None,
            (_, "*") => Some(Fit::Kind),
            _ if offer.is_fallback => None,
            (_, subtype) if !subtype.eq_ignore_ascii_case(&offer.subtype) => None,
            _ if offer.has_twin && self.version.is_some() => None,
            _ => Some(self.fit_parameters(offer)),
        }
    }

    fn fit_parameters(&self, offer: &Offer) -> Fit {
        match (self.version, offer.version.as_deref()) {
            (Some(wanted), Some(offered)) if wanted == offered => Fit::Version,
            (Some(_), Some(_)) => Fit::OtherVersion,
            _ if self.has_parameters => Fit::Parameters,
            _ => Fit::Type,
        }
    }
}

/// Parses a quality: `0`, `0.5`, `0.123`, `1` or `1.000`, with at most three digits (RFC 9110,
/// section 12.4.2).
fn quality(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = digits.bytes().chain(iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
    !text.is_empty() && text.bytes().all(is_token) && text != "*"
}

fn is_quoted(text: &str) -> bool {
    text.len() >= 2 && text.starts_with('"') && text.ends_with('"')
}

/// Splits at a separator that is not inside of a quoted string. In such a string, a backslash
/// escapes the next byte.
fn split_outside_quotes(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    let has_quotes = text.contains(&b'"'); // rarely
    text.split(move |&byte| {
        match byte {
            _ if !has_quotes => return byte == separator,
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => return byte == separator && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static OFFERS: LazyLock<[Offer; 5]> = LazyLock::new(|| {
        [
            Offer::new("text/html", 0),
            Offer::new("application/json", 1),
            Offer::new("text/plain; charset=utf-8", 2),
            Offer::new(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                3,
            ),
            Offer::new("text/plain;charset=utf-8;version=0.0.4", 4),
        ]
    });

    fn chosen(accept: &str) -> Option<usize> {
        choose(HeaderValue::from_bytes(accept.as_bytes()).iter(), &*OFFERS)
    }

    #[test]
    fn a_version_picks_the_format_that_has_it() {
        for (accept, expected) in [
            ("text/plain", Some(2)),
            ("text/plain;charset=utf-8", Some(2)),
            ("text/plain;version=0.0.4", Some(4)),
            ("text/plain; Version=\"0.0.4\"; charset=utf-8", Some(4)),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", Some(4)),
            ("text/plain;version=0.0.4;q=0.5,text/plain;q=0.6", Some(2)),
            ("text/plain;version=0.0.4,text/plain;q=0.6", Some(4)),
            ("text/plain;version=0.0.4;q=0,text/plain", Some(2)),
            ("text/plain;q=0,text/plain;version=0.0.4", Some(4)),
            ("text/plain;q=0", None),
            ("application/openmetrics-text", Some(3)),
            ("application/openmetrics-text;version=0.0.1", Some(3)),
            (
                "application/openmetrics-text,application/openmetrics-text;version=1.0.0;q=0",
                None,
            ),
            (
                "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Some(3),
            ),
            (
                "application/openmetrics-text;q=0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Some(4),
            ),
            ("application/*", Some(1)),
        ] {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
    }

    /// Returns a strategy for valid members of the header.
    fn member() -> impl Strategy<Value = String> {
        const TYPES: &[&str] = &[
            "text/html",
            "application/json",
            "text/plain",
            "text/*",
            "*/*",
            "image/png",
            "TEXT/html",
        ];
        const PARAMETERS: &[&str] = &[
            "",
            ";level=1",
            ";version=0.0.4",
            "; a=\"b,c;q=0\"",
            ";x=y ; z=w",
        ];
        const QUALITIES: &[&str] = &[
            "", ";q=0", ";q=0.0", "; q=0.5", ";Q=0.501", ";q=1", ";q=1.000",
        ];
        (
            prop::sample::select(TYPES),
            prop::sample::select(PARAMETERS),
            prop::sample::select(QUALITIES),
        )
            .prop_map(|(kind, parameter, quality)| format!("{kind}{parameter}{quality}"))
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(header) = HeaderValue::from_bytes(&bytes) {
                let _ = choose([&header, &header].into_iter(), &*OFFERS);
            }
        }

        #[test]
        fn what_looks_like_a_header_gets_an_answer(text in "[a-z*/;,=q.01\" \\\\+-]{0,80}") {
            let _ = chosen(&text);
        }

        #[test]
        fn malformed_members_change_nothing(members in prop::collection::vec(member(), 1..5), at in any::<prop::sample::Index>()) {
            let expected = chosen(&members.join(","));
            for malformed in ["garbage", "*", "*/x", "text/", "/html", "text/html;q=2", "text/html;q=0.1234", "a b/c", ""] {
                let mut members = members.clone();
                members.insert(at.index(members.len() + 1), malformed.to_owned());
                prop_assert_eq!(chosen(&members.join(",")), expected, "with {}", malformed);
            }
        }

        #[test]
        fn what_the_first_member_decides_all_would(members in prop::collection::vec(member(), 1..5)) {
            let header = members.join(",");
            let ranges: Vec<_> = header.split(',').filter_map(|member| Range::parse(member.as_bytes())).collect();
            prop_assume!(!header.contains('"')); // a comma in quotes separates nothing
            prop_assert_eq!(chosen(&header), weigh(&ranges, &*OFFERS));
        }

        #[test]
        fn one_header_or_several_are_the_same(members in prop::collection::vec(member(), 1..5)) {
            let several: Vec<_> = members.iter().map(|member| HeaderValue::from_str(member).unwrap()).collect();
            prop_assert_eq!(choose(several.iter(), &*OFFERS), chosen(&members.join(", ")));
        }

        #[test]
        fn what_is_refused_is_not_chosen(members in prop::collection::vec(member(), 0..4)) {
            let refused = std::iter::once("application/json;q=0".to_owned()).chain(members);
            prop_assert_ne!(chosen(&refused.collect::<Vec<_>>().join(",")), Some(1));
        }

        #[test]
        fn the_one_that_is_liked_best_is_chosen(likes in prop::collection::vec(0..=1000_u16, 3)) {
            let types = ["text/html", "application/json", "text/plain"];
            let weigh = |(kind, like): (&&str, &u16)| format!("{kind};q={}.{:03}", like / 1000, like % 1000);
            let header = types.iter().zip(&likes).map(weigh).collect::<Vec<_>>().join(", ");
            let most = likes.iter().max().copied().unwrap_or_default();
            let first = likes.iter().position(|&like| like == most).filter(|_| most > 0);
            prop_assert_eq!(chosen(&header), first);
        }
    }
}
