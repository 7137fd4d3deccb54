//! TLS through rustls, with a crypto provider that is passed to each client. A library that
//! installs a provider for the process takes that choice from its application, and a client that
//! looks for one panics if there is none.

mod trust;
mod verifier;
mod words;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use health_core::{FailureKind, HealthCheckException, Result, ServiceUnavailable};
use rustls::client::{Resumption, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
#[cfg(feature = "certificate")]
use {
    rustls::client::danger::ServerCertVerifier, rustls::pki_types::UnixTime, std::time::Duration,
};

#[cfg(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs")))]
use crate::kind::NO_TLS;
use crate::kind::TlsSettings;
use crate::support::io::without_brackets;
use trust::{Marks, OfFiles};
#[doc(hidden)]
pub use words::words;

/// The configurations that were used last, by their settings.
static CONFIGS: Mutex<VecDeque<(TlsSettings, OfFiles<Arc<ClientConfig>>)>> =
    Mutex::new(VecDeque::new());

/// The number of configurations that are kept.
const CONFIGS_MAX: usize = 64;

/// The TLS settings of a client. Files are looked at when they are needed: an error in them is an
/// error of the check, and a renewed file is read for the next connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls(Arc<TlsSettings>);

impl From<TlsSettings> for Tls {
    fn from(settings: TlsSettings) -> Self {
        Self(Arc::new(settings))
    }
}

impl Tls {
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>> {
        let settings = &*self.0;
        let own = [
            &settings.ca_file,
            &settings.client_cert,
            &settings.client_key,
        ];
        let places = trust::places();
        let places = places.iter().chain(own.into_iter().flatten());
        let marks = Marks::of(places.map(PathBuf::as_path));
        let configs = || CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = configs()
            .iter()
            .find_map(|(of, config)| (of == settings).then(|| config.fresh(&marks))?);
        if let Some(config) = known {
            return Ok(config);
        }
        let config = Arc::new(self.build()?);
        let mut configs = configs();
        configs.retain(|(of, _)| of != settings);
        configs.truncate(CONFIGS_MAX - 1);
        configs.push_front((settings.clone(), OfFiles::new(marks, Arc::clone(&config))));
        Ok(config)
    }

    fn build(&self) -> Result<ClientConfig> {
        let provider = provider()?;
        let builder = builder(Arc::clone(&provider))?;
        let builder = match (self.0.verify, &self.0.server_name) {
            (false, _) => builder
                .dangerous()
                .with_custom_certificate_verifier(verifier::nobody(provider)),
            (true, None) => builder.with_root_certificates(self.roots()?),
            (true, Some(name)) => {
                let name = ServerName::try_from(name.clone())
                    .map_err(|error| unusable("server_name is no name of a server", error))?;
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider)
                        .build();
                let verifier = verifier.map_err(|error| unusable(UNREADABLE, error))?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier::named(verifier, name))
            }
        };
        let mut config = self.with_identity(builder)?;
        // Each connection verifies the certificate: a resumed session would hide that it has expired.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Adds the certificate of this client, if it has one.
    fn with_identity(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig> {
        match self.identity()? {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(NO_IDENTITY, error)),
        }
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.certificates()?);
        Ok(roots)
    }

    /// Returns the certificates that are trusted: those of the system and of `ca_file`.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let system = trust::system().map_err(|error| unusable(UNREADABLE, error))?;
        let mut all = system.to_vec();
        if let Some(path) = &self.0.ca_file {
            let text = std::fs::read(path).map_err(|error| unusable(CA_FILE, error))?;
            all.extend(parse(&text).map_err(|error| unusable(CA_FILE, error))?);
        }
        Ok(all)
    }

    /// Returns the certificate that this client presents, and its key.
    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
        let Some((cert, key)) = self.identity_pem()? else {
            return Ok(None);
        };
        let chain = parse(&cert).map_err(|error| unusable(CLIENT_CERT, error))?;
        let key =
            PrivateKeyDer::from_pem_slice(&key).map_err(|error| unusable(CLIENT_KEY, error))?;
        Ok(Some((chain, key)))
    }

    /// Returns the certificate and its key as PEM, for clients that read nothing else.
    pub(crate) fn identity_pem(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let (Some(cert), Some(key)) = (&self.0.client_cert, &self.0.client_key) else {
            return Ok(None);
        };
        let cert = std::fs::read(cert).map_err(|error| unusable(CLIENT_CERT, error))?;
        let key = std::fs::read(key).map_err(|error| unusable(CLIENT_KEY, error))?;
        Ok(Some((cert, key)))
    }

    /// Returns the certificates that are trusted as PEM, for clients that read nothing else.
    pub(crate) fn pem(&self) -> Result<Vec<u8>> {
        Ok(self
            .certificates()?
            .iter()
            .flat_map(|certificate| to_pem(certificate))
            .collect())
    }

    /// Opens a TLS connection over a stream to a host, and accepts any certificate. Returns the
    /// chain that the server presents, and the reason why a client would not accept it.
    #[cfg(feature = "certificate")]
    pub(crate) async fn inspect(
        &self,
        stream: tokio::net::TcpStream,
        host: &str,
        describe: impl Fn(io::Error) -> HealthCheckException,
    ) -> Result<Inspected> {
        let invalid = |error| unusable("server_name is no name of a server", error);
        let name = ServerName::try_from(self.name(host).to_owned()).map_err(invalid)?;
        let provider = provider()?;
        let judge = if self.0.verify {
            let builder = WebPkiServerVerifier::builder_with_provider(
                Arc::new(self.roots()?),
                Arc::clone(&provider),
            );
            Some(
                builder
                    .build()
                    .map_err(|error| unusable(UNREADABLE, error))?,
            )
        } else {
            None
        };
        let later = judge
            .clone()
            .map(|judge| (judge as Arc<dyn ServerCertVerifier>, name.clone()));
        let recorder = Arc::new(verifier::Recorder::new(judge, Arc::clone(&provider)));
        let builder = builder(provider)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<_>);
        let config = self.with_identity(builder)?;
        let connected = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        match (recorder.seen(), connected) {
            (Some((chain, refused)), _) => Ok(Inspected {
                chain,
                refused,
                later,
            }), // the server may require a certificate of the client, after it has sent its own
            (None, Err(error)) => Err(describe(error)),
            (None, Ok(_)) => Ok(Inspected::default()),
        }
    }

    pub(crate) fn settings(&self) -> &TlsSettings {
        &self.0
    }

    /// Returns the name that the client requests from the server, and that the server's certificate
    /// must have.
    pub(crate) fn name<'a>(&'a self, host: &'a str) -> &'a str {
        self.0
            .server_name
            .as_deref()
            .unwrap_or_else(|| without_brackets(host))
    }

    /// Opens a TLS connection over a stream to a host. Negotiates one of these protocols, if there
    /// are any (RFC 7301).
    #[cfg(feature = "_net")]
    pub(crate) async fn connect(
        &self,
        stream: impl super::connection::net::Io + 'static,
        host: &str,
        protocols: &[&[u8]],
        describe: impl Fn(io::Error) -> HealthCheckException,
    ) -> Result<super::connection::net::Stream> {
        let name = ServerName::try_from(self.name(host).to_owned());
        let name =
            name.map_err(|error| describe(io::Error::new(ErrorKind::InvalidInput, error)))?;
        let mut config = self.config()?;
        if !protocols.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols =
                protocols.iter().map(|protocol| protocol.to_vec()).collect();
        }
        let connector = tokio_rustls::TlsConnector::from(config);
        Ok(Box::new(
            connector.connect(name, stream).await.map_err(describe)?,
        ))
    }
}

/// The chain that a server presents.
#[cfg(feature = "certificate")]
#[derive(Default)]
pub(crate) struct Inspected {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The reason why a client would not accept it.
    pub(crate) refused: Option<rustls::Error>,
    /// The verifier of a client, and the name that it asks for.
    later: Option<(Arc<dyn ServerCertVerifier>, ServerName<'static>)>,
}

#[cfg(feature = "certificate")]
impl Inspected {
    /// Creates the chain of a file, which no client verifies.
    pub(crate) fn unverified(
        chain: Vec<CertificateDer<'static>>,
        refused: Option<rustls::Error>,
    ) -> Self {
        Self {
            chain,
            refused,
            later: None,
        }
    }

    /// Returns `true` if a client would accept the chain at this time, in seconds since 1970; `None`
    /// if nothing is verified.
    pub(crate) fn is_accepted_at(&self, seconds: u64) -> Option<bool> {
        let (verifier, name) = self.later.as_ref()?;
        let (own, others) = self.chain.split_first()?;
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        Some(
            verifier
                .verify_server_cert(own, others, name, &[], at)
                .is_ok(),
        )
    }
}

/// Returns a configuration that trusts no certificate, for a client that needs one although it does
/// not use TLS.
#[cfg(all(
    feature = "_http",
    any(feature = "rustls-ring", feature = "rustls-aws-lc-rs")
))]
pub(crate) fn without_roots() -> Result<ClientConfig> {
    Ok(builder(provider()?)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error| unusable("TLS can't be set up", error))
}

const CA_FILE: &str = "ca_file can't be read";
const CLIENT_CERT: &str = "client_cert can't be read";
const CLIENT_KEY: &str = "client_key can't be read";
const UNREADABLE: &str = "the certificates of the system can't be read";
pub(crate) const NO_IDENTITY: &str = "client_cert and client_key do not belong together";

fn unusable(
    message: &'static str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> HealthCheckException {
    ServiceUnavailable::new(message)
        .with_kind(FailureKind::Misconfigured)
        .with_source(cause)
        .into()
}

/// Parses certificates in PEM. Returns an error if there is none.
pub(crate) fn parse(text: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = certificates
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("{error:?}")))?;
    if certificates.is_empty() {
        Err(io::Error::new(ErrorKind::InvalidData, "no certificate"))
    } else {
        Ok(certificates)
    }
}

fn to_pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let text = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}

/// Returns the provider that is passed to each client. No client uses that of the process, which is
/// the application's to choose.
fn provider() -> Result<Arc<CryptoProvider>> {
    #[cfg(feature = "rustls-aws-lc-rs")]
    let provider = Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "rustls-ring", not(feature = "rustls-aws-lc-rs")))]
    let provider = Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs")))]
    let provider = Err(ServiceUnavailable::new(NO_TLS)
        .with_kind(FailureKind::Misconfigured)
        .into());
    provider
}

#[cfg(all(test, feature = "rustls-ring"))]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_kept_until_one_of_its_files_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let write = |certificate: &CertificateDer<'_>| {
            let new = folder.path().join("new.pem");
            std::fs::write(&new, to_pem(certificate)).unwrap();
            std::fs::rename(&new, &path).unwrap();
        };
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        write(&roots[0]);
        let tls = Tls::from(TlsSettings {
            ca_file: Some(path.clone()),
            ..TlsSettings::default()
        });
        let first = tls.config().unwrap();
        assert!(Arc::ptr_eq(&first, &tls.config().unwrap()));
        write(&roots[1]);
        let second = tls.config().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::remove_file(&path).unwrap();
        assert!(tls.config().is_err(), "and not the one from before");
        write(&roots[1]);
        assert!(tls.config().is_ok());
    }
}
