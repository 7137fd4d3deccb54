//! Tests `certificate` against servers with certificates of several ages, and against files.

#![cfg(all(feature = "config", feature = "certificate", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind, Status};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_hours(24);

/// A CA, with an intermediate CA below it.
struct Authority {
    folder: tempfile::TempDir,
    root: CertifiedIssuer<'static, KeyPair>,
    middle: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its chain and its key, as PEM.
struct Signed {
    own: String,
    key: String,
}

fn authority_of(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority_of("root"), KeyPair::generate().unwrap())
            .unwrap();
        let middle =
            CertifiedIssuer::signed_by(authority_of("middle"), KeyPair::generate().unwrap(), &root)
                .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
        Self {
            folder,
            root,
            middle,
        }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn ca(&self) -> String {
        format!(
            "ca_file = \"{}\"\n",
            self.folder.path().join("ca.pem").display()
        )
    }
}

/// Signs a certificate for a name that is valid from and until these days from now.
fn sign(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str, from: i32, until: i32) -> Signed {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let at = |days: i32| {
        let days_long = DAY * days.unsigned_abs();
        let now = SystemTime::now() + Duration::from_mins(5); // so that a whole number of days is left
        if days < 0 {
            now - days_long
        } else {
            now + days_long
        }
        .into()
    };
    (params.not_before, params.not_after) = (at(from), at(until));
    let key = KeyPair::generate().unwrap();
    Signed {
        own: params.signed_by(&key, issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// Serves TLS with this chain. Returns the address.
async fn serve(chain: &str, key: &str, clients: Option<&str>) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    address
}

async fn row(keys: &str) -> CheckReport {
    let text = format!("[[checks]]\nkind = \"certificate\"\ntimeout = 2\n{keys}");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    health.report().await.checks[0].clone()
}

async fn says(keys: &str) -> String {
    row(keys).await.pretty_status()
}

#[tokio::test]
async fn the_days_of_a_served_certificate_are_counted() {
    let authority = Authority::new();
    for (until, said) in [
        (20, "working"),
        (
            10,
            "warning: the certificate expires in 10 days, and the limit is 14 days",
        ),
        (
            1,
            "warning: the certificate expires in a day, and the limit is 14 days",
        ),
        (
            0,
            "warning: the certificate expires in less than a day, and the limit is 14 days",
        ),
        (-1, "unavailable: the certificate has expired"),
    ] {
        let signed = sign(&authority.root, "127.0.0.1", -90, until);
        let keys = format!(
            "address = \"{}\"\n{}",
            serve(&signed.own, &signed.key, None).await,
            authority.ca()
        );
        let row = row(&keys).await;
        assert_eq!(row.pretty_status(), said, "{until} days");
        let observed = row
            .observations
            .iter()
            .find(|seen| seen.name == "days_left")
            .unwrap()
            .value;
        assert!(
            (observed - f64::from(until)).abs() < f64::EPSILON,
            "{observed} of {until} days"
        );
        if until < 14 {
            assert_eq!(row.errors[0].kind, FailureKind::Expired, "{until}");
        }
        let patient = says(&format!("{keys}days_min = false\n")).await;
        assert_eq!(patient == "working", until >= 0, "{until} days: {patient}");
    }
    let early = sign(&authority.root, "127.0.0.1", 2, 90);
    let keys = format!(
        "address = \"{}\"\n{}",
        serve(&early.own, &early.key, None).await,
        authority.ca()
    );
    assert_eq!(
        says(&keys).await,
        "unavailable: the certificate is not valid yet"
    );
}

#[tokio::test]
async fn a_certificate_that_clients_refuse_is_an_error_unless_it_is_not_verified() {
    let authority = Authority::new();
    let other_name = sign(&authority.root, "shop.example.com", -90, 90);
    let address = serve(&other_name.own, &other_name.key, None).await;
    let keys = format!("address = \"{address}\"\n{}", authority.ca());
    assert_eq!(
        says(&keys).await,
        "unavailable: the certificate is for another name"
    );
    assert_eq!(
        says(&format!("{keys}server_name = \"shop.example.com\"\n")).await,
        "working"
    );
    let alone = format!("address = \"{address}\"\nserver_name = \"shop.example.com\"\n");
    assert_eq!(
        says(&alone).await,
        "unavailable: the certificate's issuer is not trusted"
    );
    assert_eq!(
        says(&format!("address = \"{address}\"\nverify = false\n")).await,
        "working",
        "the dates count alone"
    );
    let ending = sign(&authority.root, "a.test", -90, -3);
    let ending = format!(
        "address = \"{}\"\nverify = false\n",
        serve(&ending.own, &ending.key, None).await
    );
    assert_eq!(
        says(&ending).await,
        "unavailable: the certificate has expired"
    );
}

#[tokio::test]
async fn a_chain_counts_as_a_whole() {
    let authority = Authority::new();
    let signed = sign(&authority.middle, "127.0.0.1", -90, 90);
    let whole = format!("{}{}", signed.own, authority.middle.pem());
    for (chain, said) in [
        (&whole, "working"),
        (
            &signed.own,
            "unavailable: the certificate's issuer is not trusted",
        ),
    ] {
        let keys = format!(
            "address = \"{}\"\n{}",
            serve(chain, &signed.key, None).await,
            authority.ca()
        );
        assert_eq!(says(&keys).await, said);
    }
    let mut params = super_short("middle");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle =
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &authority.root).unwrap();
    let signed = sign(&middle, "127.0.0.1", -90, 90);
    let chain = format!("{}{}", signed.own, middle.pem());
    let keys = format!(
        "address = \"{}\"\n{}",
        serve(&chain, &signed.key, None).await,
        authority.ca()
    );
    assert_eq!(
        says(&keys).await,
        "warning: a certificate of the chain expires in 5 days, and the limit is 14 days"
    );
}

/// A server may send certificates that no client needs, such as an old root that another authority
/// has signed.
#[tokio::test]
async fn a_certificate_that_no_client_needs_does_not_count() {
    let authority = Authority::new();
    let other = CertifiedIssuer::self_signed(authority_of("other"), KeyPair::generate().unwrap());
    let other = other.unwrap();
    let signed = sign(&authority.root, "127.0.0.1", -90, 90);
    for days in [-1, 3] {
        let extra = sign(&other, "old root", -900, days).own;
        let chain = format!("{}{extra}", signed.own);
        let address = serve(&chain, &signed.key, None).await;
        let verified = format!("address = \"{address}\"\n{}", authority.ca());
        assert_eq!(says(&verified).await, "working", "{days}");
        let unverified = says(&format!("address = \"{address}\"\nverify = false\n")).await;
        let file = authority.file("chain.pem", &chain);
        let of_file = says(&format!("path = \"{}\"\n", file.display())).await;
        assert_eq!(unverified, of_file);
        assert!(
            unverified.starts_with("warning: a certificate of the chain "),
            "{unverified}"
        );
    }
}

/// The parameters of a certificate that expires in five days.
fn super_short(name: &str) -> CertificateParams {
    let mut params = authority_of(name);
    params.not_after = (SystemTime::now() + 5 * DAY + Duration::from_mins(5)).into();
    params
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_the_client_shows_its_own() {
    let authority = Authority::new();
    let signed = sign(&authority.root, "127.0.0.1", -90, 10);
    let address = serve(&signed.own, &signed.key, Some(&authority.root.pem())).await;
    let keys = format!("address = \"{address}\"\n{}", authority.ca());
    let expected = "warning: the certificate expires in 10 days, and the limit is 14 days";
    assert_eq!(says(&keys).await, expected, "with a certificate or without");
    let client = sign(&authority.root, "health", -90, 90);
    let cert = authority.file("client.pem", &client.own);
    let key = authority.file("client.key", &client.key);
    let both = format!(
        "{keys}client_cert = \"{}\"\nclient_key = \"{}\"\n",
        cert.display(),
        key.display()
    );
    assert_eq!(says(&both).await, expected);
}

#[tokio::test]
async fn a_file_is_judged_by_its_dates_and_its_name() {
    let authority = Authority::new();
    let at = |name: &str, until: i32| {
        let signed = sign(&authority.root, "shop.example.com", -90, until);
        format!(
            "path = \"{}\"\n",
            authority.file(name, &signed.own).display()
        )
    };
    assert_eq!(says(&at("good.pem", 60)).await, "working");
    assert_eq!(
        says(&at("soon.pem", 10)).await,
        "warning: the certificate expires in 10 days, and the limit is 14 days"
    );
    assert_eq!(
        says(&at("old.pem", -1)).await,
        "unavailable: the certificate has expired"
    );
    let named = |name: &str| format!("{}server_name = \"{name}\"\n", at("good.pem", 60));
    assert_eq!(says(&named("shop.example.com")).await, "working");
    assert_eq!(
        says(&named("blog.example.com")).await,
        "unavailable: the certificate is for another name"
    );
    let none = format!(
        "path = \"{}\"\n",
        authority.file("none.pem", "no certificate").display()
    );
    assert_eq!(
        says(&none).await,
        "unavailable: the file has no certificate in PEM"
    );
    assert_eq!(
        says("path = \"/no/such.pem\"\n").await,
        "unavailable: the file of the certificate can't be read"
    );
}

#[tokio::test]
async fn a_server_without_tls_and_one_that_does_not_answer_are_errors() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        says(&format!("address = \"{free}\"\n")).await,
        "unavailable: connection refused"
    );
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let began = Instant::now();
    let row = row(&format!("address = \"{}\"\n", silent.local_addr().unwrap())).await;
    assert_eq!(row.status, Status::Unavailable, "{}", row.line());
    assert_eq!(row.errors[0].kind, FailureKind::TimedOut, "{}", row.line());
    assert_eq!(
        row.pretty_status(),
        "unavailable: the server does not answer"
    );
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn what_would_be_ignored_is_refused_by_name() {
    for (keys, message) in [
        ("", "checks[1].address: expected an address or a path"),
        (
            "address = \"a:1\"\npath = \"/a\"",
            "checks[1].address: expected an address or a path",
        ),
        (
            "address = \"https://a/\"",
            "checks[1].address: expected a host and a port",
        ),
        (
            "address = \"a\"",
            "checks[1].address: expected a host and a port",
        ),
        (
            "path = \"/a\"\nca_file = \"/b\"",
            "checks[1].ca_file: is only for an address",
        ),
        (
            "path = \"/a\"\nverify = false",
            "checks[1].verify: is only for an address",
        ),
        (
            "address = \"a:1\"\nclient_key = \"/b\"",
            "checks[1].client_key: needs client_cert beside it",
        ),
    ] {
        let text = format!("[[checks]]\nkind = \"certificate\"\n{keys}");
        let error = Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{keys}: {error}");
    }
}
