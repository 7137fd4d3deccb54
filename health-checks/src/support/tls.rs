//! TLS by rustls, with a provider of our own choice for each client: a library that installs one for the process takes the
//! choice from its application, and clients that look for it panic where there is none.

use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
#[cfg(feature = "_net")]
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
#[cfg(feature = "_net")]
use tokio_rustls::TlsConnector;

#[cfg(feature = "_net")]
use super::connection::net::{Io, Stream};

/// What all clients of this process use.
static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();

#[cfg(feature = "_net")]
/// Speaks TLS over a stream to the server of this name.
pub(crate) async fn connect(stream: impl Io + 'static, host: &str) -> io::Result<Stream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    Ok(Box::new(TlsConnector::from(client_config()?).connect(name, stream).await?))
}

/// The roots that the system trusts, or else Mozilla's; made when it is first needed.
pub(crate) fn client_config() -> io::Result<Arc<ClientConfig>> {
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let config = builder.with_root_certificates(roots()?).with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// The same certificates as PEM, for clients that read nothing else.
pub(crate) fn pem() -> io::Result<Vec<u8>> {
    let pem = certificates()?.iter().fold(String::new(), |pem, certificate| {
        pem + "-----BEGIN CERTIFICATE-----\n" + &BASE64_STANDARD.encode(certificate) + "\n-----END CERTIFICATE-----\n"
    });
    Ok(pem.into_bytes())
}

/// For a client that wants to know about TLS though it does not use it: it trusts nobody.
#[cfg(feature = "http")]
pub(crate) fn without_roots() -> io::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(Arc::new(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()))
}

fn roots() -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates()?);
    Ok(roots)
}

/// The certificates that the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` included), or else Mozilla's.
pub(crate) fn certificates() -> io::Result<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    if !found.certs.is_empty() {
        return Ok(found.certs);
    }
    if let Some(variable) = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some())
    {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("{variable}: no certificate can be read there")));
    }
    Ok(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec())
}

/// The words for what rustls refuses; the same for checks and for whoever asks an endpoint.
#[doc(hidden)]
pub fn words(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "TLS failed: the certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "TLS failed: the certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "TLS failed: the certificate is for another name"
            }
            CertificateError::UnknownIssuer => "TLS failed: the certificate's issuer is not trusted",
            // A certificate that signs itself is its own CA as a rule.
            error if format!("{error:?}").contains("CaUsedAsEndEntity") => {
                "TLS failed: the certificate is a CA's own, which is none of a server"
            }
            _ => "TLS failed: the certificate is not valid",
        },
        rustls::Error::InvalidMessage(_) => "TLS failed: what answers there does not speak TLS",
        rustls::Error::AlertReceived(_) => "TLS failed: the server refused the handshake",
        _ => "TLS failed",
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
