//! Tests that checks speak TLS without a crypto provider of the process, which is the application's
//! to choose at any time. In this build, rustls has two providers, and a client that looks for the
//! default one panics.

#![cfg(all(feature = "full", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use health_checks::config::{Config, Options};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const CHECKS: &str = r#"
[[checks]]
kind = "redis"
url = "rediss://127.0.0.1:PORT"

[[checks]]
kind = "cache"
url = "rediss://127.0.0.1:PORT"

[[checks]]
kind = "celery"
broker_url = "rediss://127.0.0.1:PORT"
queues = ["celery"]

[[checks]]
kind = "celery_ping"
broker_url = "amqps://127.0.0.1:PORT"

[[checks]]
kind = "rabbitmq"
url = "amqps://127.0.0.1:PORT"

[[checks]]
kind = "database"
url = "postgres://app@127.0.0.1:PORT/app?sslmode=verify-full"

[[checks]]
kind = "mail"
url = "smtps://127.0.0.1:PORT"

[[checks]]
kind = "grpc"
url = "grpcs://127.0.0.1:PORT"

[[checks]]
kind = "http"
url = "https://127.0.0.1:PORT/"

[[checks]]
kind = "s3"
endpoint_url = "https://127.0.0.1:PORT"
bucket = "health"
access_key_id = "id"
secret_access_key = "secret"
"#;

/// Presents a certificate that is not trusted. The client of PostgreSQL requests TLS first.
async fn untrusted() -> u16 {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(
        builder
            .with_single_cert(vec![own.cert.into()], key)
            .unwrap(),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(shake_hands(stream, acceptor.clone()));
        }
    });
    port
}

async fn shake_hands(mut stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
    const HANDSHAKE: u8 = 0x16; // RFC 8446, 5.1
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first != [HANDSHAKE] {
        stream.read_exact(&mut [0; 8]).await?;
        stream.write_all(b"S").await?;
    }
    acceptor.accept(stream).await.map(drop)
}

#[tokio::test]
async fn no_check_installs_a_provider_nor_needs_one() {
    let file = CHECKS.replace("PORT", &untrusted().await.to_string());
    let all_refuse = async || {
        let config = Config::from_text("test.toml", &file, &|_| None, &Options::default()).unwrap();
        let report = config.build().unwrap().report().await;
        assert_eq!(report.checks.len(), file.matches("kind =").count());
        for check in &report.checks {
            let words = check.pretty_status();
            assert!(
                words.contains("TLS failed: "),
                "{}: {words}",
                check.identifier
            );
        }
    };
    all_refuse().await;
    assert!(
        CryptoProvider::get_default().is_none(),
        "a check has chosen for the application"
    );
    aws_lc_rs::default_provider().install_default().unwrap();
    all_refuse().await;
}
