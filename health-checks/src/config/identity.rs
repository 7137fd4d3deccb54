//! The identity of a check within a fleet: a hash of its kind and of its settings.

use health_core::Secret;
use toml::de::{DeTable, DeValue};
use uuid::Uuid;

use crate::kind::Kind;

/// The settings of a check that decide which checks are the same. Logins are not part of it, so
/// that a rotated password does not split a fleet.
#[derive(Debug, Default)]
pub(super) struct Identity {
    plain: Vec<String>,
    /// The settings with secret values, each without the value and with it.
    secret: Vec<(String, String)>,
}

/// The namespace of the hashes. A different one would be a different schema.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d3b_1f6e_52c7_4f0a_9a61_7be0_44d9_c1e3);

/// The keys of TLS that say which server is expected. The others are a login.
const TLS: [&str; 3] = ["ca_file", "server_name", "verify"];

/// Parts of the names of parameters and headers whose values are secret.
const SECRET: [&str; 12] = [
    "auth",
    "cookie",
    "credential",
    "jwt",
    "key",
    "passwd",
    "password",
    "secret",
    "session",
    "sig",
    "token",
    "pass",
];

impl Identity {
    /// Returns the identity of a check of this kind with these settings.
    pub(super) fn of(kind: &Kind, values: &DeTable<'_>) -> Self {
        let mut identity = Self::default();
        identity.plain.push(kind.name.to_owned());
        for (name, value) in values {
            let name = name.get_ref().as_ref();
            let is_secret = kind.credentials.contains(&name) || is_login(name);
            if kind.servers.contains(&name) || !is_secret {
                identity.add(name, value.get_ref());
            }
        }
        identity
    }

    /// Returns the identity of the keys of TLS.
    pub(super) fn of_tls(values: &DeTable<'_>) -> Self {
        let mut identity = Self::default();
        for (name, value) in values {
            if TLS.contains(&name.get_ref().as_ref()) {
                identity.add(name.get_ref(), value.get_ref());
            }
        }
        identity
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        self.plain.extend(other.plain);
        self.secret.extend(other.secret);
        self
    }

    fn add(&mut self, name: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(values) if matches!(name, "headers" | "metadata") => {
                for (header, value) in values {
                    let header = header.get_ref().to_ascii_lowercase();
                    let with = format!("{name}.{header:?}={}", text(value.get_ref()));
                    if is_secret(&header) {
                        self.secret.push((format!("{name}.{header:?}"), with));
                    } else {
                        self.plain.push(with);
                    }
                }
            }
            value => self.plain.push(format!("{name}={}", text(value))),
        }
    }

    /// Returns the hash, which is the same in every replica, whatever the order of the keys. The
    /// values of headers with secret names are part of it only with a secret, which makes the hash
    /// useless to whoever wants to guess them.
    pub(super) fn hash(&self, secret: Option<&Secret>) -> String {
        let value = |(without, with): &(String, String)| {
            let has_key = secret.is_some();
            if has_key { with } else { without }.clone()
        };
        let secrets = self.secret.iter().map(value);
        let mut parts: Vec<String> = self.plain.iter().cloned().chain(secrets).collect();
        parts.sort_unstable();
        let key = secret.map_or(NAMESPACE, |secret| {
            Uuid::new_v5(&NAMESPACE, secret.expose().as_bytes())
        });
        let hash = Uuid::new_v5(&key, parts.join("\n").as_bytes());
        hash.simple().to_string()[..16].to_owned()
    }
}

/// Returns `true` for a key that is part of a login.
fn is_login(name: &str) -> bool {
    name.contains("password") || name.contains("username")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// Returns a value as text. Different values have different texts.
fn text(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.contains("://") => format!("{:?}", without_login(text)),
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Table(inner) => {
            let part = |(name, value): (
                &toml::Spanned<std::borrow::Cow<'_, str>>,
                &toml::Spanned<DeValue<'_>>,
            )| { format!("{:?}={}", name.get_ref(), text(value.get_ref())) };
            let mut parts: Vec<String> = inner.iter().map(part).collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(","))
        }
        DeValue::Array(items) => {
            let parts: Vec<String> = items.iter().map(|item| text(item.get_ref())).collect();
            format!("[{}]", parts.join(","))
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
    }
}

/// Returns a URL, or several, without a login and without parameters whose values are secret.
fn without_login(urls: &str) -> String {
    let urls: Vec<String> = urls.split(';').map(one_without_login).collect();
    urls.join(";")
}

fn one_without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let end = rest.find('/').unwrap_or(rest.len());
    let place = &rest[..end];
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => name,
            _ => parameter,
        });
    format!(
        "{scheme}://{place}{}?{}",
        &rest[end..],
        parameters.collect::<Vec<_>>().join("&")
    )
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::*;
    use crate::catalogue::{CATALOGUE, TlsSettings};

    fn hash(settings: &str, secret: Option<&str>) -> String {
        let kind = CATALOGUE.iter().find(|kind| kind.name == "http");
        let (tls, own): (DeTable<'_>, DeTable<'_>) = DeTable::parse(settings)
            .expect("it is TOML")
            .into_inner()
            .into_iter()
            .partition(|(name, _)| TlsSettings::ALL.contains(&&**name.get_ref()));
        let identity =
            Identity::of(kind.expect("there is a kind http"), &own).and(Identity::of_tls(&tls));
        identity.hash(secret.map(Secret::from).as_ref())
    }

    /// Returns `true` if two replicas with these settings share the check.
    fn is_same(one: &str, other: &str, secret: Option<&str>) -> bool {
        hash(one, secret) == hash(other, secret)
    }

    #[test]
    fn checks_of_different_settings_are_different_checks() {
        for (one, other) in [
            ("headers = {Host = 'a'}", "headers = {Host = 'b'}"),
            ("headers = {Host = 'a'}", "headers = {X-Tenant = 'a'}"),
            ("headers = {Host = 'a'}", ""),
            ("metadata = {tenant = 'a'}", "metadata = {tenant = 'b'}"),
            ("headers = {tenant = 'a'}", "metadata = {tenant = 'a'}"),
            ("body = 'a'", "body = 'b'"),
            ("key_prefix = 'a'", "key_prefix = 'b'"),
            ("global_keyprefix = 'a'", "global_keyprefix = 'b'"),
            ("server_name = 'a'", "server_name = 'b'"),
            ("verify = false", "verify = true"),
            ("ca_file = '/a'", "ca_file = '/b'"),
            ("credentials = '/a.creds'", "credentials = '/b.creds'"),
            ("contains = 'a'", "contains = 'b'"),
            ("status = 200", "status = '200'"),
            ("queues = ['a', 'b']", "queues = ['a,b']"),
            ("contains = \"a\\nbody=b\"", "contains = 'a'\nbody = 'b'"),
            (
                "headers = {a-b = '1', c = '2'}",
                "headers = {a-b = '2', c = '1'}",
            ),
            ("url = 'http://a/?q=1'", "url = 'http://a/?q=2'"),
            ("url = 'http://a/'", "url = 'https://a/'"),
            ("url = 'http://a/#1'", "url = 'http://a/#2'"),
        ] {
            for secret in [None, Some("x")] {
                assert!(!is_same(one, other, secret), "{one} and {other}");
            }
        }
    }

    #[test]
    fn a_rotated_login_does_not_split_a_fleet() {
        for (one, other) in [
            ("url = 'http://a:1@h/'", "url = 'http://b:2@h/'"),
            ("url = 'http://h/?token=1'", "url = 'http://h/?token=2'"),
            (
                "url = 'amqp://a:1@h//;amqp://a:1@i//'",
                "url = 'amqp://b:2@h//;amqp://b:2@i//'",
            ),
            ("sasl_password = '1'", "sasl_password = '2'"),
            ("client_key = '/1'", "client_key = '/2'"),
            (
                "headers = {Authorization = '1'}",
                "headers = {authorization = '2'}",
            ),
            ("headers = {X-Api-Key = '1'}", "headers = {X-Api-Key = '2'}"),
            ("a = 1\nb = 2", "b = 2\na = 1"),
        ] {
            assert!(is_same(one, other, None), "{one} and {other}");
        }
    }

    /// Without a secret, whoever can read the keys in Redis could guess such a value by its hash.
    #[test]
    fn with_a_secret_the_values_of_secret_headers_are_part_of_it() {
        let one = "headers = {X-Api-Key = '1'}";
        let other = "headers = {X-Api-Key = '2'}";
        assert!(is_same(one, other, None));
        assert!(!is_same(one, other, Some("pepper")));
        assert_ne!(hash(one, Some("pepper")), hash(one, Some("salt")));
        let urls = ["url = 'http://a:1@h/'", "url = 'http://b:2@h/'"];
        assert!(is_same(urls[0], urls[1], Some("pepper")), "logins stay out");
    }
}
