//! Tests `mail`, `http`, `grpc`, `nats`, `kafka`, `tcp` and `dns`.

use std::time::Duration;

use health_core::FailureKind;

use crate::harness::{Server, alone, nobody, password, variable};
use crate::scenario::{Scenario, health, says};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail() {
    let _alone = alone().await;
    let url = variable("SMTP_URL");
    let check = |url: &str| format!("kind = \"mail\"\nurl = \"{url}\"");
    let mail = Scenario {
        server: Server("smtp"),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: connection refused",
        wrong_password: Some((
            check(&url.replace(password(&url), "wrong")),
            "unavailable: authentication failed",
        )),
        secret: Some(password(&url).to_owned()),
    };
    mail.play().await;
    let tls = health(&check(&format!("{url}?tls=required")));
    mail.expect(
        &tls,
        "unavailable: the server does not offer what the URL asks for",
        "without STARTTLS",
    )
    .await;
}

/// The S3 server is also an HTTP server. It refuses a request without credentials.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http() {
    let _alone = alone().await;
    let url = variable("S3_ENDPOINT_URL");
    let check = |url: &str| {
        format!(
            "kind = \"http\"\nurl = \"{url}/?secret=hunter2\"\nstatus = 400\ncontains = \"UnsupportedAlgorithm\""
        )
    };
    let http = Scenario {
        server: Server("s3"),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: connection refused",
        wrong_password: None,
        secret: Some("hunter2".into()),
    };
    http.play().await;
    let other = |more: &str| health(&format!("kind = \"http\"\nurl = \"{url}\"\n{more}"));
    http.expect(
        &other(""),
        "unexpected result: answered with 400 instead of 2xx",
        "another status",
    )
    .await;
    let body = other("status = \"4xx\"\ncontains = \"all is well\"");
    http.expect(
        &body,
        "unexpected result: the body does not contain what it should",
        "another body",
    )
    .await;
    let tls = health(&format!(
        "kind = \"http\"\nurl = \"{}\"",
        url.replace("http:", "https:")
    ));
    http.expect(
        &tls,
        "unavailable: TLS failed: what answers there does not speak TLS",
        "no TLS there",
    )
    .await;
    let name = crate::scenario::health_within(
        "kind = \"http\"\nurl = \"http://no-such-host.invalid/\"",
        Duration::from_secs(20),
    );
    assert_eq!(
        says(&name).await,
        "unavailable: the host name can't be resolved"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc() {
    let _alone = alone().await;
    let url = variable("GRPC_URL");
    let token = variable("GRPC_TOKEN");
    let check = |url: &str, token: &str| {
        let metadata = format!("metadata = {{ Authorization = \"Bearer {token}\" }}");
        format!("kind = \"grpc\"\nurl = \"{url}\"\nservice = \"guarded\"\n{metadata}")
    };
    let grpc = Scenario {
        server: Server("grpc"),
        check: check(&url, &token),
        nobody: check(&nobody(&url), &token),
        refused: "unavailable: connection refused",
        wrong_password: Some((
            check(&url, "wrong"),
            "unavailable: the server answered UNAUTHENTICATED: it wants other metadata",
        )),
        secret: Some(token.clone()),
    };
    grpc.play().await;
    for (service, message) in [
        ("", "working"),
        ("down", "unavailable: not serving"),
        (
            "unsure",
            "unavailable: the server does not know the status of the service",
        ),
        (
            "other",
            "unavailable: the server does not know this service",
        ),
    ] {
        let named = health(&format!(
            "kind = \"grpc\"\nurl = \"{url}\"\nservice = \"{service}\""
        ));
        grpc.expect(&named, message, service).await;
        let in_path = health(&format!("kind = \"grpc\"\nurl = \"{url}/{service}\""));
        grpc.expect(&in_path, message, service).await;
    }
    for (service, message, kind) in [
        (
            "other",
            "the server does not know this service",
            FailureKind::NotFound,
        ),
        (
            "missing",
            "the server has no gRPC health service",
            FailureKind::NotFound,
        ),
        (
            "away",
            "the server answered UNAVAILABLE",
            FailureKind::Refused,
        ),
        ("late", "the server does not answer", FailureKind::TimedOut),
        (
            "private",
            "the server answered PERMISSION_DENIED",
            FailureKind::Forbidden,
        ),
        (
            "full",
            "the server answered RESOURCE_EXHAUSTED",
            FailureKind::Saturated,
        ),
        ("broken", "the server answered INTERNAL", FailureKind::Other),
        ("slow", "the server does not answer", FailureKind::TimedOut),
    ] {
        let named = format!("kind = \"grpc\"\nurl = \"{url}\"\nservice = \"{service}\"");
        let named = crate::scenario::health_within(&named, Duration::from_secs(2));
        let began = std::time::Instant::now();
        let report = named.report().await;
        let error = report
            .checks
            .iter()
            .find_map(|row| row.errors.first())
            .unwrap();
        assert_eq!(error.message.as_str(), message, "{service}");
        assert_eq!(error.kind, kind, "{service}");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "within the timeout: {service}, {:?}",
            began.elapsed()
        );
    }
    let hurried = health(&format!("kind = \"grpc\"\nurl = \"{url}/hurried\""));
    grpc.expect(&hurried, "working", "the call has a deadline")
        .await;
    let tls = health(&format!(
        "kind = \"grpc\"\nurl = \"{}\"",
        url.replace("grpc:", "grpcs:")
    ));
    grpc.expect(
        &tls,
        "unavailable: TLS failed: what answers there does not speak TLS",
        "no TLS there",
    )
    .await;
    for other in ["S3_ENDPOINT_URL", "SMTP_URL", "REDIS_URL"] {
        let url = format!(
            "grpc://127.0.0.1:{}",
            crate::harness::port(&variable(other))
        );
        let said = says(&health(&format!("kind = \"grpc\"\nurl = \"{url}\""))).await;
        let words = [
            "unavailable: what answers there does not speak gRPC",
            "unavailable: connection lost",
        ];
        assert!(words.contains(&said.as_str()), "{other}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats() {
    let _alone = alone().await;
    let url = variable("NATS_URL");
    let check = |url: &str| format!("kind = \"nats\"\nurl = \"{url}\"\njetstream = true");
    let nats = Scenario {
        server: Server("nats"),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: connection refused",
        wrong_password: Some((
            check(&url.replace(password(&url), "wrong")),
            "unavailable: authentication failed",
        )),
        secret: Some(password(&url).to_owned()),
    };
    nats.play().await;
    let without = url.replace("//health:", "//without:");
    nats.expect(
        &health(&check(&without)),
        "unavailable: JetStream is not enabled",
        "an account without it",
    )
    .await;
    let plain = format!("kind = \"nats\"\nurl = \"{without}\"");
    nats.expect(&health(&plain), "working", "without JetStream")
        .await;
    let tls = health(&check(&url.replace("nats:", "tls:")));
    nats.expect(
        &tls,
        "unavailable: TLS failed: the server does not offer TLS",
        "no TLS there",
    )
    .await;
    let place = url.rsplit_once('@').unwrap().1;
    let cluster = format!("nats://health:{}@127.0.0.1:1,{place}", password(&url));
    nats.expect(
        &health(&check(&cluster)),
        "working",
        "the second of two servers",
    )
    .await;
    let other = format!(
        "nats://127.0.0.1:{}",
        crate::harness::port(&variable("SMTP_URL"))
    );
    nats.expect(
        &health(&check(&other)),
        "unexpected result: the server does not speak NATS",
        "a mail server",
    )
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let anonymous = format!("nats://{place}");
    let keys = format!(
        "{}\ncredentials = \"{}\"",
        check(&anonymous),
        file.path().display()
    );
    nats.expect(
        &health(&keys),
        "unavailable: the file has no credentials of NATS",
        "an empty file",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka() {
    let _alone = alone().await;
    let broker = variable("KAFKA_BROKER");
    let url = format!("kafka://{broker}");
    let away = nobody(&url).replace("kafka://", "");
    let check = |broker: &str| format!("kind = \"kafka\"\nbrokers = [\"{broker}\"]");
    let kafka = Scenario {
        server: Server("kafka"),
        check: check(&broker),
        nobody: check(&away),
        refused: "unavailable: connection refused",
        wrong_password: None, // the broker of these tests has no users
        secret: Some("hunter2".into()),
    };
    kafka.play().await;
    let client = rskafka::client::ClientBuilder::new(vec![broker.clone()])
        .build()
        .await
        .unwrap();
    let created = client
        .controller_client()
        .unwrap()
        .create_topic("orders", 3, 1, 5_000)
        .await;
    assert!(created.is_ok(), "{created:?}");
    let topics = |topics: &str| format!("{}\ntopics = {topics}", check(&broker));
    kafka
        .expect(&health(&topics("[\"orders\"]")), "working", "a topic")
        .await;
    let missing = health(&topics("[\"orders\", \"invoices\"]"));
    kafka
        .expect(
            &missing,
            "unavailable: there is no topic \"invoices\"",
            "a missing topic",
        )
        .await;
    let cluster = format!("kind = \"kafka\"\nbrokers = [\"127.0.0.1:1\", \"{broker}\"]");
    kafka
        .expect(&health(&cluster), "working", "one of two brokers")
        .await;
    let tls = health(&format!("{}\ntls = true", check(&broker)));
    kafka
        .expect(
            &tls,
            "unavailable: the server does not answer",
            "TLS, which the broker takes for a long request",
        )
        .await;
}

/// A listener whose process is frozen still accepts connections, because its kernel does. `tcp`
/// cannot see that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp() {
    let _alone = alone().await;
    let url = variable("MEMCACHED_URL");
    let check = |url: &str| {
        format!(
            "kind = \"tcp\"\naddress = \"{}\"",
            url.trim_start_matches("memcached://")
        )
    };
    assert_eq!(says(&health(&check(&url))).await, "working");
    assert_eq!(
        says(&health(&check(&nobody(&url)))).await,
        "unavailable: connection refused"
    );
    Server("memcached").kill();
    assert_eq!(
        says(&health(&check(&url))).await,
        "unavailable: connection refused"
    );
    tokio::task::block_in_place(|| Server("memcached").up());
    assert_eq!(says(&health(&check(&url))).await, "working");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns() {
    let _alone = alone().await;
    let address = variable("DNS_ADDRESS");
    let check = |name: &str, address: &str| {
        format!("kind = \"dns\"\nhostname = \"{name}\"\nnameservers = [\"{address}\"]")
    };
    let url = format!("dns://{address}");
    let away = nobody(&url).replace("dns://", "");
    let dns = Scenario {
        server: Server("dns"),
        check: check("health.test.", &address),
        nobody: check("health.test.", &away),
        refused: "unavailable: no name server answered in time",
        wrong_password: None,
        secret: None,
    };
    dns.play().await;
    for (name, message) in [
        (
            "nowhere.test.",
            "unavailable: the name does not exist (NXDOMAIN)",
        ),
        ("text.test.", "unavailable: the name has no address"),
        // The name is in every hosts file, which says nothing about the name server.
        (
            "ip6-localhost.test.",
            "unavailable: the name does not exist (NXDOMAIN)",
        ),
    ] {
        dns.expect(&health(&check(name, &address)), message, name)
            .await;
    }
    for (name, record, message) in [
        ("text.test.", "TXT", "working"),
        ("health.test.", "A", "working"),
        (
            "health.test.",
            "MX",
            "unavailable: the name has no such record",
        ),
        (
            "health.test.",
            "AAAA",
            "unavailable: the name has no such record",
        ),
        (
            "nowhere.test.",
            "SRV",
            "unavailable: the name does not exist (NXDOMAIN)",
        ),
    ] {
        let typed = format!("{}\nrecord = \"{record}\"", check(name, &address));
        dns.expect(&health(&typed), message, record).await;
    }
}
