//! Tests `nats` and `kafka` against servers that the test itself starts, with a configuration that
//! only it needs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::harness::{alone, variable};
use crate::proxy::Proxy;
use crate::scenario::{health_within, says};
use crate::tls::{Begins, Ca, before};

/// A server that ends with the test.
struct Own(Child);

impl Own {
    /// Starts a server, and waits until it listens.
    async fn start(command: &mut Command, port: u16) -> Self {
        let own = Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the server does not listen"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        own
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn row(keys: &str) -> String {
    says(&health_within(keys, Duration::from_secs(5))).await
}

/// Signs the claims of NATS:
/// <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt>.
fn token(
    by: &KeyPair,
    subject: &KeyPair,
    name: &str,
    expires: Option<u64>,
    nats: &Value,
) -> String {
    let mut claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": by.public_key(), "name": name, "sub": subject.public_key(), "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = expires.into();
    }
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!(
        "{}.{}",
        part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})),
        part(&claims)
    );
    let signature = BASE64_URL_SAFE_NO_PAD.encode(by.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

fn credentials(folder: &Path, jwt: &str, user: &KeyPair) -> String {
    let path = folder.join("health.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n\
         ------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_with_a_file_of_credentials() {
    let _alone = alone().await;
    let operator = KeyPair::new_operator();
    let account = KeyPair::new_account();
    let user = KeyPair::new_user();
    let stranger = KeyPair::new_user();
    let all = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1});
    let of_user = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}});
    let root = token(
        &operator,
        &operator,
        "operator",
        None,
        &json!({"type": "operator", "version": 2}),
    );
    let shop = token(
        &operator,
        &account,
        "shop",
        None,
        &json!({"type": "account", "version": 2, "limits": all}),
    );
    let jwt = token(&account, &user, "health", None, &of_user);
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = folder.path().join("nats.conf");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\noperator: \"{root}\"\nresolver: MEMORY\nresolver_preload: {{ {}: \"{shop}\" }}\n",
        account.public_key()
    );
    std::fs::write(&config, text).unwrap();
    let _server = Own::start(
        Command::new(variable("NATS_PROGRAM"))
            .arg("--config")
            .arg(&config),
        port,
    )
    .await;

    let check = |path: &str| {
        format!("kind = \"nats\"\nurl = \"nats://127.0.0.1:{port}\"\ncredentials = \"{path}\"")
    };
    assert_eq!(
        row(&check(&credentials(folder.path(), &jwt, &user))).await,
        "working"
    );
    assert_eq!(
        row(&check(&credentials(folder.path(), &jwt, &stranger))).await,
        "unavailable: authentication failed",
        "the seed of another user"
    );
    let over = token(&account, &user, "health", Some(1_700_000_001), &of_user);
    let said = row(&check(&credentials(folder.path(), &over, &user))).await;
    assert!(
        said == "unavailable: the credentials have expired"
            || said == "unavailable: authentication failed",
        "{said}"
    );
    assert_eq!(
        row(&format!(
            "kind = \"nats\"\nurl = \"nats://127.0.0.1:{port}\""
        ))
        .await,
        "unavailable: authentication failed"
    );
}

/// The server answers to the subscription, to the request, or to both with an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_with_a_user_who_may_not_ask_jetstream() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    for denied in [
        "publish: { deny: \"$JS.API.INFO\" }",
        "subscribe: { deny: \"_INBOX.>\" }",
        "publish: { deny: \"$JS.API.INFO\" }, subscribe: { deny: \"_INBOX.>\" }",
    ] {
        let port = free_port();
        let config = folder.path().join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nauthorization {{ users: [{{ user: a, password: b, permissions: {{ {denied} }} }}] }}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(variable("NATS_PROGRAM"));
        let _server = Own::start(command.arg("--config").arg(&config), port).await;
        let proxy = Proxy::to(port, Duration::ZERO).await;
        let check = |url: &str| format!("kind = \"nats\"\nurl = \"{url}\"\njetstream = true");
        let url = format!("nats://a:b@127.0.0.1:{}", proxy.port);
        let subject = health_within(&check(&url), Duration::from_secs(5));
        for run in 1..=3 {
            let said = says(&subject).await;
            assert_eq!(
                said, "unavailable: permission denied",
                "{denied}, run {run}"
            );
        }
        assert_eq!(proxy.taken(), 1, "{denied}: connections");
    }
}

/// The broker names the proxy as its address, because a client connects to the address that the
/// broker names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_over_tls() {
    let _alone = alone().await;
    let ca = Ca::new();
    ca.sign("server", "127.0.0.1");
    ca.sign("other", "db.internal");
    ca.sign("client", "health");
    let port = free_port();
    let trusted = format!("ca_file = \"{}\"", ca.path("ca.pem").display());
    let identity = format!(
        "client_cert = \"{}\"\nclient_key = \"{}\"",
        ca.path("client.pem").display(),
        ca.path("client.key").display()
    );
    let both = format!("{trusted}\n{identity}");
    for (file, wants_client, keys, message) in [
        ("server", false, &*trusted, "working"),
        (
            "server",
            false,
            "",
            "unavailable: TLS failed: the certificate's issuer is not trusted",
        ),
        ("server", false, "verify = false", "working"),
        (
            "other",
            false,
            &trusted,
            "unavailable: TLS failed: the certificate is for another name",
        ),
        ("server", true, &both, "working"),
    ] {
        let proxy = before(port, ca.acceptor(file, wants_client), Begins::AtOnce).await;
        let mut command = Command::new(variable("KAFKA_PROGRAM"));
        command.args([
            "broker",
            "--listener-url",
            &format!("tcp://127.0.0.1:{port}"),
        ]);
        command.args([
            "--advertised-listener-url",
            &format!("tcp://127.0.0.1:{proxy}"),
        ]);
        let _broker = Own::start(
            command.args(["--storage-engine", "memory://tansu/", "--silent"]),
            port,
        )
        .await;
        let check =
            format!("kind = \"kafka\"\nbrokers = [\"127.0.0.1:{proxy}\"]\ntls = true\n{keys}");
        assert_eq!(row(&check).await, message, "{file}, {keys}");
    }
}
