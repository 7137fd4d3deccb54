//! Tests `nats` against a fake of the protocol: servers that wait for TLS before they send
//! anything, servers that are silent, and the answers of a JetStream cluster in trouble.

#![cfg(all(feature = "config", feature = "nats", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind};
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The behaviour of the fake.
#[derive(Clone, Copy)]
enum Way {
    Plain,
    /// Accepts connections, and sends nothing.
    Silent,
    /// `handshake_first`: TLS, then INFO.
    TlsFirst,
    /// INFO after this time, then TLS.
    InfoFirst(Duration),
}

const INFO: &str = "INFO {\"server_id\":\"x\",\"headers\":true,\"max_payload\":1048576";

struct Fake {
    port: u16,
    ca: tempfile::NamedTempFile,
}

/// Starts a server that answers a request to JetStream with this message, or not at all.
async fn server(way: Way, jetstream: Option<&'static str>) -> Fake {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), cert.pem()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(cert.der().to_vec())], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, acceptor.clone(), way, jetstream));
        }
    });
    Fake { port, ca }
}

async fn serve(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
    way: Way,
    jetstream: Option<&str>,
) -> std::io::Result<()> {
    let required = format!("{INFO},\"tls_required\":true}}\r\n");
    match way {
        Way::Silent => std::future::pending().await,
        Way::Plain => {
            stream.write_all(format!("{INFO}}}\r\n").as_bytes()).await?;
            answer(stream, jetstream).await
        }
        Way::TlsFirst => {
            let mut stream = acceptor.accept(stream).await?;
            stream.write_all(required.as_bytes()).await?;
            answer(stream, jetstream).await
        }
        Way::InfoFirst(after) => {
            tokio::time::sleep(after).await;
            stream.write_all(required.as_bytes()).await?;
            answer(acceptor.accept(stream).await?, jetstream).await
        }
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    jetstream: Option<&str>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        if line.starts_with("PING") {
            stream.write_all(b"PONG\r\n").await?;
        } else if let Some(inbox) = line.strip_prefix("PUB $JS.API.INFO ")
            && let Some(message) = jetstream
        {
            let inbox = inbox.split(' ').next().unwrap_or_default();
            let message = format!("MSG {inbox} 1 {}\r\n{message}\r\n", message.len());
            stream.write_all(message.as_bytes()).await?;
        }
        stream.flush().await?;
        line.clear();
    }
    Ok(())
}

async fn row(keys: &str) -> CheckReport {
    let text = format!("[[checks]]\nkind = \"nats\"\ntimeout = 3\n{keys}\n");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    health.report().await.checks[0].clone()
}

#[tokio::test]
async fn a_silent_first_server_of_nats_leaves_time_for_the_second() {
    let silent = server(Way::Silent, None).await.port;
    let fine = server(Way::Plain, None).await.port;
    let began = Instant::now();
    let first = row(&format!(
        "url = \"nats://127.0.0.1:{silent},127.0.0.1:{fine}\""
    ))
    .await;
    assert_eq!(first.pretty_status(), "working");
    assert!(began.elapsed() < Duration::from_secs(3));
    let alone = row(&format!("url = \"nats://127.0.0.1:{silent}\"")).await;
    assert_eq!(
        alone.pretty_status(),
        "unavailable: the server does not answer"
    );
}

#[tokio::test]
async fn tls_begins_before_info_where_the_server_waits_for_it() {
    let late = Duration::from_millis(600);
    for way in [
        Way::TlsFirst,
        Way::InfoFirst(Duration::ZERO),
        Way::InfoFirst(late),
    ] {
        let fake = server(way, None).await;
        let url = format!("url = \"tls://localhost:{}\"\n", fake.port);
        let trusted = row(&format!("{url}ca_file = \"{}\"", fake.ca.path().display())).await;
        assert_eq!(trusted.pretty_status(), "working");
        let other = row(&url).await.pretty_status();
        assert!(
            other.starts_with("unavailable: TLS failed: the certificate"),
            "{other}"
        );
    }
}

#[tokio::test]
async fn jetstream_in_trouble_is_not_a_jetstream_that_is_not_enabled() {
    let lost = r#"{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}"#;
    let account = r#"{"error":{"code":503,"err_code":10039,"description":"JetStream not enabled for account"}}"#;
    let server_wide =
        r#"{"error":{"code":503,"err_code":10076,"description":"JetStream not enabled"}}"#;
    let full = r#"{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}"#;
    let other = r#"{"error":{"code":503,"err_code":10999,"description":"something new"}}"#;
    for (answer, kind, message) in [
        (
            Some(lost),
            FailureKind::Lost,
            "JetStream is temporarily unavailable: its cluster has no leader",
        ),
        (
            Some(account),
            FailureKind::NotFound,
            "JetStream is not enabled",
        ),
        (
            Some(server_wide),
            FailureKind::NotFound,
            "JetStream is not enabled",
        ),
        (
            Some(full),
            FailureKind::Saturated,
            "JetStream has no resources left: memory or storage",
        ),
        (
            Some(other),
            FailureKind::Other,
            "JetStream reports an error",
        ),
        (None, FailureKind::TimedOut, "JetStream does not answer"),
    ] {
        let port = server(Way::Plain, answer).await.port;
        let row = row(&format!(
            "url = \"nats://127.0.0.1:{port}\"\njetstream = true"
        ))
        .await;
        assert_eq!(row.pretty_status(), format!("unavailable: {message}"));
        assert_eq!(row.errors[0].kind, kind);
    }
    let port = server(Way::Plain, Some("{\"memory\":0}")).await.port;
    let fine = row(&format!(
        "url = \"nats://127.0.0.1:{port}\"\njetstream = true"
    ))
    .await;
    assert_eq!(fine.pretty_status(), "working");
}
