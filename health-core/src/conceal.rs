//! Replaces known secrets in the text of an error.
//!
//! A driver or a server may quote a secret as it was sent, in an encoding, or cut off. What is
//! replaced:
//!
//! - the secret as it is, and each part of it that is a secret by itself ([`parts`]);
//! - each of these percent-encoded, escaped as in JSON or by Rust, and in base64, alone or as a
//!   part of a longer text such as `user:password`;
//! - the beginning of a long secret, because servers cut off what they quote.

use std::cmp::Reverse;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Secret;

/// The text in place of a secret.
pub(crate) const MASK: &str = "***";

/// The minimum length of what is replaced, in characters. A text in which each `a` is replaced says
/// nothing any more, and a password of two characters is no secret.
const SHORTEST: usize = 3;

/// The minimum length of a word within a secret that is replaced alone, if the word has a digit.
const WORD: usize = 8;

/// The minimum length of such a word without a digit, and of a part of a path.
const LONG_WORD: usize = 16;

/// A long secret is replaced even if only this many bytes of its beginning are quoted.
const BEGINNING: usize = 16;

/// The minimum length of a part of a longer text in base64.
const BASE64: usize = 6;

/// The characters that RFC 3986 does not encode.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The texts that are replaced, in lower case.
pub(crate) struct Concealer(Vec<String>);

impl Concealer {
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut parts = Vec::new();
        for secret in secrets {
            self::parts(secret.expose(), &mut parts);
        }
        parts.retain(|part| part.chars().count() >= SHORTEST);
        let mut texts: Vec<String> = parts
            .iter()
            .flat_map(|part| forms(part))
            .filter(|text| text.chars().count() >= SHORTEST)
            .map(|text| text.to_ascii_lowercase())
            .collect();
        texts.sort_by(|a, b| Reverse(a.len()).cmp(&Reverse(b.len())).then(a.cmp(b)));
        texts.dedup();
        Self(texts)
    }

    /// Returns the text without the secrets, in upper or lower case. `None` if it has none.
    pub(crate) fn apply(&self, text: &str) -> Option<String> {
        let lower = text.to_ascii_lowercase(); // of the same length
        let mut found: Vec<_> = self.0.iter().flat_map(|one| places(&lower, one)).collect();
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|place| place.start);
        let mut shown = String::with_capacity(text.len());
        let mut end = 0;
        for place in found {
            if place.start >= end {
                shown.push_str(&text[end..place.start]);
                shown.push_str(MASK);
            }
            end = end.max(place.end);
        }
        shown.push_str(&text[end..]);
        Some(shown)
    }
}

/// Returns the places of a secret in a text, and the places of its beginning if the secret is long.
fn places(text: &str, secret: &str) -> Vec<Range<usize>> {
    let is_cut = secret.len() > BEGINNING && !secret.contains("://");
    let mut beginning = if is_cut { BEGINNING } else { secret.len() };
    while !secret.is_char_boundary(beginning) {
        beginning += 1;
    }
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(&secret[..beginning]) {
        let start = from + at;
        let same = text[start..]
            .chars()
            .zip(secret.chars())
            .take_while(|(a, b)| a == b);
        from = start + same.map(|(c, _)| c.len_utf8()).sum::<usize>();
        places.push(start..from);
    }
    places
}

/// Adds a secret, and its parts that are secrets as well: the login, secret parameters and secret
/// words of a URL; the token behind a word such as `Bearer`; long words of any other text.
fn parts(secret: &str, parts: &mut Vec<String>) {
    let secret = secret.trim();
    parts.push(secret.to_owned());
    for url in [secret].into_iter().chain(secret.split(';')) {
        if let Some((scheme, rest)) = url.split_once("://") {
            parts_of_url(&scheme.to_ascii_lowercase(), rest, parts);
        }
    }
    if secret.contains("://") {
        return;
    }
    if let Some((word, token)) = secret.split_once(' ')
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        parts.push(token.trim().to_owned());
    }
    let is_between = |c: char| c.is_whitespace() || ";,&=\"'{}[]:".contains(c);
    parts.extend(
        secret
            .split(is_between)
            .filter(|word| is_secret(word))
            .map(str::to_owned),
    );
}

fn parts_of_url(scheme: &str, rest: &str, parts: &mut Vec<String>) {
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some((login, _)) = authority.rsplit_once('@') {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        // NATS, and many services over HTTP, take a token in place of the user.
        let takes_token = ["nats", "tls", "http", "https", "http+unix"].contains(&scheme);
        if takes_token && password.is_empty() || is_secret(user) {
            parts.extend([user.to_owned(), decoded(user)]);
        }
        if !password.is_empty() {
            parts.extend([password.to_owned(), decoded(password)]);
            let (user, password) = (decoded(user), decoded(password));
            parts.push(format!("{user}:{password}")); // as in `Authorization: Basic`
            parts.push(format!("\0{user}\0{password}")); // as in SASL PLAIN
        }
    }
    let is_http = scheme.starts_with("http");
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if names_a_secret(&decoded(name)) || is_http && is_secret(value) {
            parts.extend([
                value.to_owned(),
                decoded(value),
                decoded(&value.replace('+', " ")),
            ]);
        }
    }
    if is_http {
        let secret = |part: &&str| part.len() >= LONG_WORD && is_secret(part);
        for part in path.split('/').filter(secret) {
            parts.extend([part.to_owned(), decoded(part)]);
        }
    }
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// Returns `true` if a parameter of this name holds a secret, and not the path of a file.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_file = ["file", "path", "sslkey", "keyprefix"]
        .iter()
        .any(|part| name.contains(part));
    let words = [
        "pass",
        "pwd",
        "token",
        "secret",
        "key",
        "sig",
        "cred",
        "jwt",
        "session_id",
    ];
    !is_file && (name == "auth" || words.iter().any(|word| name.contains(word)))
}

/// Returns `true` if a word may be a secret, and not a word of a language.
fn is_secret(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let is_long = word.len() >= LONG_WORD && word.chars().any(char::is_alphanumeric);
    is_long || has_digit && word.len() >= WORD
}

/// Returns the forms in which a text may be quoted.
fn forms(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let within = |quoted: &str| quoted.trim_matches('"').to_owned();
    let ascii: String = text.chars().map(ascii_json).collect();
    let mut forms = vec![
        text.to_owned(),
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        utf8_percent_encode(text, RESERVED).to_string(),
        form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        within(&json),
        ascii,
        within(&format!("{text:?}")),
        text.as_bytes().escape_ascii().to_string(),
    ];
    forms.push(base64(text.as_bytes()));
    // The bytes before it decide how a text is encoded: there are three cases. The digits that also
    // depend on other bytes are left out.
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&[0; 2][..before], text.as_bytes()].concat();
        let encoded = base64(&bytes);
        let own = encoded.get(skipped..bytes.len() * 8 / 6);
        forms.extend(own.filter(|own| own.len() >= BASE64).map(str::to_owned));
    }
    let urls = forms.iter().filter(|form| form.contains(['+', '/']));
    let urls: Vec<_> = urls
        .map(|form| form.replace('+', "-").replace('/', "_"))
        .collect();
    forms.extend(urls);
    forms
}

/// Escapes a character as JSON in ASCII does.
fn ascii_json(c: char) -> String {
    let mut units = [0; 2];
    match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ => c
            .encode_utf16(&mut units)
            .iter()
            .fold(String::new(), |text, unit| format!("{text}\\u{unit:04x}")),
    }
}

/// Encodes bytes in base64, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secret: &str, text: &str) -> String {
        let secret = Secret::from(secret);
        Concealer::of([&secret])
            .apply(text)
            .unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_secret_is_replaced_however_it_is_quoted() {
        let secret = "hünter \"2\"/+x";
        for quoted in [
            secret,
            "H\u{fc}NTER \"2\"/+X",
            "h%C3%BCnter%20%222%22%2F%2Bx",
            "h%c3%bcnter%20%222%22%2f%2bx",
            "h%C3%BCnter+%222%22%2F%2Bx",
            "hünter \\\"2\\\"/+x",
            "h\\u00fcnter \\\"2\\\"/+x",
            "h\\xc3\\xbcnter \\\"2\\\"/+x",
        ] {
            assert_eq!(
                shown(secret, &format!("-ERR '{quoted}' [{quoted}]")),
                "-ERR '***' [***]"
            );
        }
    }

    #[test]
    fn a_secret_in_base64_is_replaced_wherever_it_begins() {
        for before in ["", "a", "ab", "abc", "\0app\0", "user:"] {
            let encoded = base64(format!("{before}c4n4ry-0f-n0-us3").as_bytes());
            let text = shown("c4n4ry-0f-n0-us3", &encoded);
            assert!(text.contains(MASK) && text.len() < 16, "{before:?}: {text}");
        }
        let login = base64(b"app:pa55");
        assert_eq!(shown("smtp://app:pa55@h", &format!("<{login}>")), "<***>");
        let login = base64(b"\0app\0pa55");
        assert_eq!(shown("smtp://app:pa55@h", &format!("<{login}>")), "<***>");
    }

    #[test]
    fn the_secret_parts_of_a_url_are_replaced() {
        let url =
            "postgres://app:p%40ss@db.internal/orders?sslmode=require&password=0ther&sslkey=/k.pem";
        let text = "p%40ss p@ss 0ther db.internal orders require app /k.pem";
        let expected = "*** *** *** db.internal orders require app /k.pem";
        assert_eq!(shown(url, text), expected);
        assert_eq!(shown(url, &format!("at {url}.")), "at ***.");
        let url = "https://hooks.example.com/services/T0/abcdefghij0123456789?id=1234567x&v=2";
        let text = "/services/T0/abcdefghij0123456789?id=1234567x&v=2";
        assert_eq!(shown(url, text), "/services/T0/***?id=***&v=2");
        assert_eq!(shown("nats://t0ken@h", "'t0ken'"), "'***'");
        assert_eq!(shown("http://t0ken:@h", "'t0ken'"), "'***'");
        assert_eq!(shown("redis://user@h", "'user'"), "'user'");
        let url = "smtp://AKIA0123456789:pa55@h";
        assert_eq!(shown(url, "AKIA0123456789 pa55"), "*** ***");
        assert_eq!(
            shown("sentinel://:pa@h1;sentinel://:0ther@h2", "pa 0ther"),
            "pa ***"
        );
    }

    #[test]
    fn the_token_of_a_header_is_replaced_without_its_scheme() {
        assert_eq!(
            shown("Bearer t0k", "unknown token t0k"),
            "unknown token ***"
        );
        let cookie = "theme=dark; session=abcd1234";
        assert_eq!(shown(cookie, "dark abcd1234"), "dark ***");
        let body = r#"{"user": "app", "password": "hunter2-and-more"}"#;
        assert_eq!(shown(body, "app hunter2-and-more"), "app ***");
    }

    #[test]
    fn the_beginning_of_a_long_secret_is_replaced() {
        let secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0";
        assert_eq!(shown(secret, "'eyJhbGciOiJIUzI1NiJ9.eyJz'"), "'***'");
        assert_eq!(shown(secret, "'eyJhbGci'"), "'eyJhbGci'");
    }

    #[test]
    fn what_is_too_short_is_not_replaced() {
        assert_eq!(shown("a", "a database"), "a database");
        assert_eq!(shown("ab", "ab"), "ab");
        assert_eq!(shown("", "text"), "text");
        assert_eq!(shown("abc", "abcabc"), "******");
    }
}
