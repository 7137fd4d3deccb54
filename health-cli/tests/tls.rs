//! `health probe` over TLS, with valid certificates and several kinds of invalid ones.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{http, told};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
        Self(authority)
    }

    /// Starts a server with a certificate for this name, which is valid until the end of this year.
    fn serve(&self, name: &str, year: i32) -> String {
        self.answer(name, year, http("200 OK", "", r#"{"a": "working"}"#))
    }

    fn answer(&self, name: &str, year: i32, answer: String) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key.into());
        listen(Arc::new(config.unwrap()), answer)
    }
}

fn listen(config: Arc<ServerConfig>, answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = StreamOwned::new(connection, stream.unwrap());
            support::answer(stream, &|_| answer.clone());
        }
    });
    address
}

#[test]
fn certificates_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let trusted = folder.path().join("authority.pem").display().to_string();
    let right = authority.serve("127.0.0.1", 4000);
    let expired = authority.serve("127.0.0.1", 2021);
    let other = authority.serve("other.internal", 4000);
    let probe = |address: &str, file: &str| {
        let variables = [("SSL_CERT_FILE", file), ("SSL_CERT_DIR", "/no/such/folder")];
        told(&["probe", &format!("https://{address}/t0ken/")], &variables)
    };
    assert_eq!(
        probe(&right, &trusted),
        (
            0,
            "a                        ... working\n".into(),
            String::new()
        )
    );
    for (address, file, what) in [
        (
            &right,
            "/no/such/file",
            "the certificate's issuer is not trusted",
        ),
        (&expired, &*trusted, "the certificate has expired"),
        (&other, &*trusted, "the certificate is for another name"),
    ] {
        assert_eq!(
            probe(address, file),
            (
                2,
                String::new(),
                format!("error: {address}: TLS failed: {what}\n")
            )
        );
    }
}

#[test]
fn redirects_lead_to_tls_and_not_away_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let trusted = folder.path().join("authority.pem").display().to_string();
    let redirect = |to: String| http("308 Permanent Redirect", &format!("Location: {to}\r\n"), "");
    let safe = authority.serve("127.0.0.1", 4000);
    let (upgrading, _) = support::answering(move |_| redirect(format!("https://{safe}/")));
    let (plain, _) = support::answering(|_| http("200 OK", "", "{}"));
    let downgrading = authority.answer("127.0.0.1", 4000, redirect(format!("http://{plain}/")));
    for (url, code) in [
        (format!("http://{upgrading}/"), 0),
        (format!("https://{downgrading}/"), 2),
    ] {
        assert_eq!(
            told(&["probe", &url], &[("SSL_CERT_FILE", &trusted)]).0,
            code,
            "{url}"
        );
    }
}

#[test]
fn an_image_without_certificates_can_ask_without_tls() {
    let server = support::Server::of(support::CACHE);
    let variables = [
        ("SSL_CERT_FILE", "/no/such/file"),
        ("SSL_CERT_DIR", "/no/such/folder"),
    ];
    assert_eq!(told(&["probe", &server.url("/ht/")], &variables).0, 0);
}

#[test]
fn a_server_without_tls_is_told_from_one_with_a_wrong_certificate() {
    let (address, _) = support::answering(|_| String::new());
    let server = support::Server::of(support::CACHE);
    for address in [&server.address, &address] {
        let (code, output, error) = told(
            &[
                "probe",
                &format!("https://{address}/"),
                "--timeout",
                "500ms",
            ],
            &[],
        );
        assert!(
            code == 2 && output.is_empty() && error.starts_with(&format!("error: {address}: ")),
            "{error}"
        );
    }
    let (_, _, error) = told(&["probe", &format!("https://{}/", server.address)], &[]);
    assert!(
        error.ends_with("TLS failed: what answers there does not speak TLS\n"),
        "{error}"
    );
}
