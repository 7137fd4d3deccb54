use health_core::Secret;
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::super::Target;
use super::super::own::Servers;
use super::{EXPECTED, connect_timeout, tls_of};
use crate::kind::{HAS_TLS, Misconfigured, TlsSettings};
use crate::support::url::Url;

/// The modes of TLS, from the weakest to the strongest.
const MODES: [(&str, MySqlSslMode); 5] = [
    ("disabled", MySqlSslMode::Disabled),
    ("preferred", MySqlSslMode::Preferred),
    ("required", MySqlSslMode::Required),
    ("verify_ca", MySqlSslMode::VerifyCa),
    ("verify_identity", MySqlSslMode::VerifyIdentity),
];

/// The names of a parameter, and its possible words with their positions among the modes.
type Words = (&'static [&'static str], &'static [(&'static str, usize)]);

/// The words that clients use for these modes: those of MySQL itself, Go, JDBC, Prisma and Python.
const WORDS: &[Words] = &[
    (
        &["ssl-mode", "sslmode", "ssl_mode", "sslMode"],
        &[
            ("disabled", 0),
            ("preferred", 1),
            ("required", 2),
            ("verify_ca", 3),
            ("verify_identity", 4),
        ],
    ),
    (
        &["tls"],
        &[
            ("false", 0),
            ("preferred", 1),
            ("skip_verify", 2),
            ("true", 4),
        ],
    ),
    (&["useSSL"], &[("false", 0), ("true", 2)]),
    (&["requireSSL"], &[("false", 0), ("true", 2)]),
    (&["verifyServerCertificate"], &[("false", 0), ("true", 3)]),
    (
        &["sslaccept"],
        &[("accept_invalid_certs", 2), ("strict", 4)],
    ),
    (&["ssl_verify_cert"], &[("false", 0), ("true", 3)]),
    (&["ssl_verify_identity"], &[("false", 0), ("true", 4)]),
];

pub(super) fn read(text: &Secret, tls: &TlsSettings) -> Result<Target, Misconfigured> {
    let mut url = Url::parse(text, EXPECTED)?;
    // The check does not depend on the session's settings, so they are not set.
    let mut options = MySqlConnectOptions::new()
        .pipes_as_concat(false)
        .no_engine_substitution(false);
    options = options
        .timezone(None)
        .set_names(false)
        .disable_statement_logging();
    if let Some(username) = &url.username {
        options = options.username(username);
    }
    if let Some(password) = &url.password {
        options = options.password(password);
    }
    if let Some(database) = url.name() {
        options = options.database(database);
    }
    if let Some(charset) = url.take(&["charset"])? {
        options = options.charset(&charset);
    }
    if let Some(collation) = url.take(&["collation"])? {
        options = options.collation(&collation);
    }
    if let Some(capacity) = url.take_number(&["statement-cache-capacity"])? {
        options = options.statement_cache_capacity(capacity);
    }
    let cert = url.take(&["sslcert", "ssl-cert", "ssl_cert"])?;
    let key = url.take(&["sslkey", "ssl-key", "ssl_key"])?;
    if let Some(cert) = &cert {
        options = options.ssl_client_cert(cert);
    }
    if let Some(key) = &key {
        options = options.ssl_client_key(key);
    }
    // If several of these parameters are present, the strongest mode counts.
    let mut strongest = None;
    for (names, words) in WORDS {
        strongest = strongest.max(url.take_word(names, words)?);
    }
    let roots = url.take(&["ssl-ca", "sslca", "ssl_ca", "sslCa"])?;
    if let Some(roots) = &roots {
        options = options.ssl_ca(roots);
        // A URL that names certificates asks for their verification.
        strongest = strongest.max(Some(3));
    }
    let mode = strongest.map_or(MySqlSslMode::Preferred, |place| MODES[place].1);
    options = options.ssl_mode(mode);

    let connect_timeout = connect_timeout(&mut url)?;
    let socket = url.take(&["unix_socket", "socket"])?;
    let mut servers = Vec::new();
    for host in &url.hosts {
        let mut options = options
            .clone()
            .host(host.or_local())
            .port(host.port.unwrap_or(3306));
        if let Some(socket) = &socket {
            options = options.socket(socket);
        }
        servers.push(options);
    }
    if servers.len() > 1 && (socket.is_some() || url.hosts.iter().any(|host| host.name.is_empty()))
    {
        return Err(Misconfigured::new(
            "url",
            "a list of hosts with an empty one, or with a socket",
        ));
    }
    url.end()?;
    let is_tls = match mode {
        MySqlSslMode::Disabled => false,
        MySqlSslMode::Preferred => HAS_TLS,
        _ => true,
    };
    let tls = tls_of(
        (roots.is_some(), cert.is_some() || key.is_some()),
        is_tls,
        tls,
    )?;
    Ok(Target::MySql(
        Servers {
            all: servers,
            role: None,
            connect_timeout,
        },
        tls,
    ))
}
