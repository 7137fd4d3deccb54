//! Tests every kind that speaks TLS with a private CA. TLS ends before the real server, as it does
//! at a load balancer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::{Server, alone, port, variable};
use crate::scenario::says;

/// A private CA, in files.
pub(crate) struct Ca {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for a name, in the files `{file}.pem` and `{file}.key`.
    pub(crate) fn sign(&self, file: &str, name: &str) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    pub(crate) fn acceptor(&self, file: &str, wants_client: bool) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let chain = vec![CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).unwrap();
        let config = if wants_client {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain, key)
        } else {
            builder.with_no_client_auth().with_single_cert(chain, key)
        };
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

/// The point at which TLS begins.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Begins {
    AtOnce,
    /// TLS begins after the request of PostgreSQL's protocol.
    OnRequest,
    /// TLS begins after STARTTLS (RFC 3207).
    StartTls,
    /// TLS begins after the first line of NATS.
    Info,
}

/// Requires a protocol (RFC 7301).
fn with_protocol(acceptor: &TlsAcceptor, protocol: &[u8]) -> TlsAcceptor {
    let mut config = ServerConfig::clone(acceptor.config());
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Starts a proxy that ends TLS before a server, and returns its port.
pub(crate) async fn before(server: u16, acceptor: TlsAcceptor, begins: Begins) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                match begins {
                    Begins::AtOnce => {}
                    Begins::OnRequest => {
                        client.read_exact(&mut [0; 8]).await?;
                        client.write_all(b"S").await?;
                    }
                    Begins::Info => {
                        let mut line = vec![0; 8192];
                        let read = server.read(&mut line).await?;
                        let info = String::from_utf8_lossy(&line[..read]).replacen(
                            '{',
                            "{\"tls_required\":true,",
                            1,
                        );
                        client.write_all(info.as_bytes()).await?;
                    }
                    Begins::StartTls => {
                        let mut line = [0; 512];
                        let greeting = server.read(&mut line).await?;
                        client.write_all(&line[..greeting]).await?;
                        for (command, answer) in [
                            ("EHLO ", "250-relay\r\n250 STARTTLS\r\n"),
                            ("STARTTLS", "220 ready\r\n"),
                        ] {
                            let said = client.read(&mut line).await?;
                            assert!(
                                line[..said].starts_with(command.as_bytes()),
                                "the client does not begin with {command}"
                            );
                            client.write_all(answer.as_bytes()).await?;
                        }
                    }
                }
                let mut client = acceptor.accept(client).await?;
                if client.get_ref().1.alpn_protocol()
                    != acceptor.config().alpn_protocols.first().map(Vec::as_slice)
                {
                    return Ok((0, 0)); // as servers of gRPC in Go and C++ do
                }
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    own
}

/// Returns each kind with its server, the key of its URL, the URL with TLS, and the other keys that
/// it needs.
fn kinds() -> Vec<(&'static str, &'static str, &'static str, String, String)> {
    let over = |name: &str, from: &str, to: &str| variable(name).replacen(from, to, 1);
    let s3 = format!(
        "bucket = \"{}\"\nregion = \"us-east-1\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        variable("S3_BUCKET"),
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY")
    );
    let queue = "queues = [\"celery\"]\n".to_owned();
    vec![
        (
            "redis",
            "redis",
            "url",
            over("REDIS_URL", "redis:", "rediss:"),
            String::new(),
        ),
        (
            "cache",
            "redis",
            "url",
            over("REDIS_URL", "redis:", "rediss:"),
            String::new(),
        ),
        (
            "celery_ping",
            "celery-redis",
            "broker_url",
            over("CELERY_REDIS_URL", "redis:", "rediss:"),
            queue.clone(),
        ),
        (
            "celery",
            "celery",
            "broker_url",
            over("BROKER_URL", "amqp:", "amqps:"),
            queue,
        ),
        (
            "rabbitmq",
            "rabbitmq",
            "url",
            over("BROKER_URL", "amqp:", "amqps:"),
            String::new(),
        ),
        (
            "database",
            "postgres",
            "url",
            variable("POSTGRES_URL"),
            String::new(),
        ),
        (
            "mail",
            "smtp",
            "url",
            over("SMTP_URL", "smtp:", "smtps:"),
            String::new(),
        ),
        (
            "mail",
            "smtp",
            "url",
            format!("{}/?tls=required", variable("SMTP_URL")),
            String::new(),
        ),
        (
            "http",
            "s3",
            "url",
            over("S3_ENDPOINT_URL", "http:", "https:"),
            "status = 400\n".into(),
        ),
        (
            "nats",
            "nats",
            "url",
            over("NATS_URL", "nats:", "tls:"),
            "jetstream = true\n".into(),
        ),
        (
            "grpc",
            "grpc",
            "url",
            over("GRPC_URL", "grpc:", "grpcs:"),
            String::new(),
        ),
        (
            "s3",
            "s3",
            "endpoint_url",
            over("S3_ENDPOINT_URL", "http:", "https:"),
            s3,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_ca_a_client_certificate_and_another_name() {
    let _alone = alone().await;
    let ca = Ca::new();
    for (file, name) in [
        ("server", "127.0.0.1"),
        ("other", "db.internal"),
        ("client", "health"),
    ] {
        ca.sign(file, name);
    }
    let path = |name: &str| ca.path(name).display().to_string();
    let trusted = format!("ca_file = \"{}\"\n", path("ca.pem"));
    let identity = format!(
        "client_cert = \"{}\"\nclient_key = \"{}\"\n",
        path("client.pem"),
        path("client.key")
    );
    for (kind, server, key, url, more) in kinds() {
        tokio::task::block_in_place(|| Server(server).up());
        let begins = match kind {
            "database" => Begins::OnRequest,
            "nats" => Begins::Info,
            "mail" if url.starts_with("smtp:") => Begins::StartTls,
            _ => Begins::AtOnce,
        };
        let said = async |acceptor: TlsAcceptor, keys: &str| {
            let acceptor = if kind == "grpc" {
                with_protocol(&acceptor, b"h2")
            } else {
                acceptor
            };
            let own = before(port(&url), acceptor, begins).await;
            let url = url.replacen(&format!(":{}", port(&url)), &format!(":{own}"), 1);
            let check = format!("kind = \"{kind}\"\n{key} = \"{url}\"\n{more}{keys}");
            let subject = crate::scenario::health_within(&check, Duration::from_secs(5));
            says(&subject).await
        };
        assert_eq!(
            said(ca.acceptor("server", false), &trusted).await,
            "working",
            "{kind}: ca_file"
        );
        let words = said(ca.acceptor("server", false), "").await;
        let unverified = begins == Begins::OnRequest && words == "working"; // libpq's `prefer` verifies nothing
        assert!(
            unverified || words.contains("issuer is not trusted"),
            "{kind}, without ca_file: {words}"
        );
        let words = said(ca.acceptor("other", false), &trusted).await;
        assert!(
            words.contains("for another name"),
            "{kind}, another name: {words}"
        );
        if kind == "s3" {
            continue; // its client supports only roots, and a file with other keys is refused
        }
        let unverified = said(ca.acceptor("other", false), "verify = false\n").await;
        assert_eq!(unverified, "working", "{kind}: verify = false");
        let both = format!("{trusted}{identity}");
        assert_eq!(
            said(ca.acceptor("server", true), &both).await,
            "working",
            "{kind}: client_cert"
        );
        let words = said(ca.acceptor("server", true), &trusted).await;
        assert!(
            words.starts_with("unavailable: "),
            "{kind}, without client_cert: {words}"
        );
        if kind != "database" {
            let named = format!("{trusted}server_name = \"db.internal\"\n");
            assert_eq!(
                said(ca.acceptor("other", false), &named).await,
                "working",
                "{kind}: server_name"
            );
        }
        let missing = said(
            ca.acceptor("server", false),
            "ca_file = \"/no/such/file\"\n",
        )
        .await;
        assert_eq!(missing, "unavailable: ca_file can't be read", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_with_tls_of_its_own() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("mariadb").up());
    let plain = variable("MYSQL_URL");
    let files = variable("MYSQL_TLS");
    let trusted = format!("ca_file = \"{files}/ca.pem\"\n");
    let identity =
        format!("client_cert = \"{files}/client.pem\"\nclient_key = \"{files}/client.key\"\n");
    let said = async |url: &str, keys: &str| {
        let check = format!("kind = \"database\"\nurl = \"{url}\"\n{keys}");
        says(&crate::scenario::health_within(
            &check,
            Duration::from_secs(5),
        ))
        .await
    };
    assert_eq!(said(&plain, &trusted).await, "working");
    let verifying = format!("{plain}?ssl-mode=VERIFY_IDENTITY");
    assert!(said(&verifying, "").await.contains("issuer is not trusted"));
    assert_eq!(said(&verifying, "verify = false\n").await, "working");
    let elsewhere = plain.replacen("127.0.0.1", "localhost", 1);
    assert!(
        said(&elsewhere, &trusted)
            .await
            .contains("for another name")
    );
    let mutual = plain.replacen("health:", "mutual:", 1);
    assert_eq!(
        said(&mutual, &format!("{trusted}{identity}")).await,
        "working"
    );
    assert_eq!(
        said(&mutual, &trusted).await,
        "unavailable: authentication failed"
    );
}

#[test]
fn what_would_be_ignored_is_refused_by_name() {
    use health_checks::config::{Config, Options};
    let wrong = |keys: &str| {
        let text = format!("[[checks]]\n{keys}");
        Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .unwrap_err()
            .to_string()
    };
    let unused = "the URL does not use TLS, so this would be ignored";
    for (keys, message) in [
        (
            "kind = \"redis\"\nurl = \"redis://h/0\"\nca_file = \"x\"",
            format!("test.toml:4: checks[1].ca_file: {unused}"),
        ),
        (
            "kind = \"http\"\nurl = \"http://h/\"\nverify = false",
            format!("test.toml:4: checks[1].verify: {unused}"),
        ),
        (
            "kind = \"mail\"\nurl = \"smtp://h\"\nserver_name = \"x\"",
            format!("test.toml:4: checks[1].server_name: {unused}"),
        ),
        (
            "kind = \"database\"\nurl = \"sqlite:///x.db\"\nca_file = \"x\"",
            format!("test.toml:4: checks[1].ca_file: {unused}"),
        ),
        (
            "kind = \"rabbitmq\"\nurl = \"amqps://h/\"\nclient_cert = \"x\"",
            "test.toml:4: checks[1].client_cert: needs client_key beside it".into(),
        ),
    ] {
        assert_eq!(wrong(keys), message);
    }
    for (keys, key) in [
        (
            "kind = \"database\"\nurl = \"postgres://h/d\"\nserver_name = \"x\"",
            "server_name",
        ),
        (
            "kind = \"s3\"\nbucket = \"b\"\naccess_key_id = \"a\"\nsecret_access_key = \"b\"\nverify = false",
            "verify",
        ),
        ("kind = \"disk\"\nca_file = \"x\"", "ca_file"),
    ] {
        let error = wrong(keys);
        assert!(
            error.contains(&format!("checks[1].{key}: unknown key")),
            "{error}"
        );
    }
}
