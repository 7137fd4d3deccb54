//! The URL of a database, in the forms that drivers, frameworks and hosting providers write.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use health_core::Secret;

use super::Target;
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::url;

/// The schemes of each database, by its driver. The part after a `+` is another library's driver.
const SCHEMES: &[(&str, &[&str])] = &[
    ("mysql", &["mysql", "mysql2", "mariadb", "mysqlgis"]),
    (
        "postgres",
        &["postgres", "postgresql", "postgis", "pgsql", "psql"],
    ),
    ("sqlite", &["sqlite", "sqlite3", "spatialite"]),
];

const EXPECTED: &str = "expected the URL of a database: postgres://, mysql:// or sqlite://";

/// Parses the URL of a database. Nothing is opened yet.
pub(super) fn read(text: &Secret, tls: &TlsSettings) -> Result<Target, Misconfigured> {
    url::plain(text.expose())?;
    let scheme = url::scheme(text);
    let family = scheme.split('+').next().unwrap_or_default();
    let driver = SCHEMES
        .iter()
        .find(|(_, schemes)| schemes.contains(&family))
        .map(|(driver, _)| *driver);
    match driver {
        #[cfg(feature = "mysql")]
        Some("mysql") => mysql::read(text, tls),
        #[cfg(feature = "postgres")]
        Some("postgres") => postgres::read(text, tls),
        #[cfg(feature = "sqlite")]
        Some("sqlite") => sqlite::read(text, tls),
        Some(driver) => {
            let why = format!("this build has no driver for {driver}: switch on its cargo feature");
            Err(Misconfigured::new("url", why))
        }
        None if scheme == "jdbc" => Err(Misconfigured::new(
            "url",
            "leave out the jdbc: that it begins with",
        )),
        None => {
            let known = SCHEMES
                .iter()
                .flat_map(|(_, schemes)| schemes.iter().copied());
            Err(url::not(EXPECTED, text, known))
        }
    }
}

/// Takes the longest that connecting to one server may take, as a number of seconds, which is the
/// unit of all drivers.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn connect_timeout(url: &mut url::Url) -> Result<Option<std::time::Duration>, Misconfigured> {
    let seconds: Option<u32> = url.take_number(&["connect_timeout"])?;
    Ok(seconds
        .filter(|seconds| *seconds > 0)
        .map(|seconds| std::time::Duration::from_secs(seconds.into())))
}

/// Returns the TLS settings, or `None` if the URL itself names the certificates to trust.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn tls_of(
    (names_certificates, has_identity): (bool, bool),
    is_tls: bool,
    tls: &TlsSettings,
) -> Result<Option<crate::support::tls::Tls>, Misconfigured> {
    tls.needs(is_tls)?;
    if has_identity && tls.client_cert.is_some() {
        let why = "the URL names a certificate of this client as well: leave one out";
        return Err(Misconfigured::new("client_cert", why));
    }
    match (names_certificates, *tls == TlsSettings::default()) {
        (false, _) => Ok(Some(tls.clone().into())),
        (true, true) => Ok(None),
        (true, false) => Err(Misconfigured::new(
            "ca_file",
            "the URL names the certificates to trust: leave them out there, or here",
        )),
    }
}
