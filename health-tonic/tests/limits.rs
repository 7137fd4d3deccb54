//! Tests many streams, unknown names, reflection, and compressed messages.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::time::Duration;

use health_core::{CheckExt as _, Health, Settings};
use health_testkit::ScriptedCheck;
use health_tonic::HealthService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;

const SECOND: Duration = Duration::from_secs(1);

async fn serve(
    service: HealthService,
) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(health_tonic::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let server = Server::builder()
        .add_service(service)
        .add_service(reflection);
    let serving = async move {
        let stop = async move { drop(stopped.await) };
        server
            .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
            .await
            .unwrap();
    };
    (address, stop, tokio::spawn(serving))
}

async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn ready() -> HealthCheckRequest {
    HealthCheckRequest {
        service: "ready".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_share_one_reader_and_end_with_the_server() {
    let checks: Vec<_> = (0..20)
        .map(|number| ScriptedCheck::new(&format!("check-{number}")))
        .collect();
    let delay = Duration::from_millis(500);
    let mut builder = Health::builder().settings(Settings::default().drain_delay(delay));
    for check in &checks {
        builder = builder.check(check.clone().ttl(SECOND));
    }
    let health = builder.build().unwrap();
    let (address, stop, server) = serve(health_tonic::service(health.clone())).await;
    let mut client = HealthClient::new(channel(address).await);
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = client.watch(ready()).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().status(), Serving);
        streams.push(stream);
    }
    let before = checks[0].runs();
    let began = Instant::now();
    let mut tasks = 0;
    while began.elapsed() < 3 * SECOND {
        tasks = tasks.max(
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks(),
        );
        sleep(SECOND / 100).await; // often enough to meet a run
    }
    let during = checks[0].runs() - before;
    assert!(
        (2..=4).contains(&during),
        "{during} runs in three seconds with a ttl of one"
    );
    assert!(
        tasks < 1100,
        "{tasks} tasks for a thousand streams: the server's one for each request, and no other"
    );
    let began = Instant::now();
    health.drain();
    sleep(delay).await;
    stop.send(()).unwrap();
    for stream in &mut streams {
        while timeout(5 * SECOND, stream.message())
            .await
            .unwrap()
            .unwrap()
            .is_some()
        {}
    }
    drop((client, streams));
    timeout(5 * SECOND, server)
        .await
        .expect("the server ends")
        .unwrap();
    assert!(began.elapsed() < delay + SECOND, "{:?}", began.elapsed());
}

/// SIGINT stops the service without a drain.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_the_streams_with_the_server() {
    let settings = Settings::default().drain_delay(60 * SECOND);
    let health = Health::builder().settings(settings).build().unwrap();
    let stop = health.drain_on_sigterm();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(health_tonic::service(health));
    let server =
        tokio::spawn(server.serve_with_incoming_shutdown(TcpIncoming::from(listener), stop));
    let mut client = HealthClient::new(channel(address).await);
    let mut stream = client.watch(ready()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status(), Serving);
    let kill = std::process::Command::new("kill")
        .args(["-s", "INT", &std::process::id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let ended = timeout(5 * SECOND, stream.message())
        .await
        .expect("the stream ends");
    assert!(
        ended
            .unwrap()
            .is_none_or(|last| last.status() == NotServing),
        "it ends as a response does"
    );
    timeout(5 * SECOND, server)
        .await
        .expect("the server ends")
        .unwrap()
        .unwrap();
}

#[test]
fn names_that_can_not_be_are_refused_all_at_once() {
    let health = Health::builder().build().unwrap();
    let error = HealthService::builder(health)
        .name("orders", "raedy")
        .name("live", "ready")
        .name("/stock", "ready")
        .name("mail", "ready")
        .name("mail", "live")
        .build()
        .unwrap_err();
    let expected = [
        r#"service "orders": no group is named "raedy"; there are: live, ready, startup"#,
        r#"service "live": a group has this name, and is a service already"#,
        r#"service "/stock": expected the name of a service, such as orders.v1.Orders"#,
        r#"service "mail": it has two groups"#,
    ];
    assert_eq!(error.to_string(), expected.join("\n"));
    assert_eq!(
        format!("{error:?}"),
        expected.join("\n"),
        "a main function shows the message"
    );
}

#[tokio::test]
async fn reports_and_the_page_name_the_services() {
    let health = Health::builder().build().unwrap();
    assert!(
        health.report().await.grpc_services.is_empty(),
        "nothing serves it by gRPC"
    );
    let service = HealthService::builder(health.clone())
        .name("shop.v1.Orders", "live")
        .name("", "startup")
        .build()
        .unwrap();
    let expected = [
        ("", "startup"),
        ("live", "live"),
        ("ready", "ready"),
        ("shop.v1.Orders", "live"),
        ("startup", "startup"),
    ];
    let expected = expected
        .map(|(service, group)| (service.to_owned(), group.to_owned()))
        .into();
    assert_eq!(*service.services(), expected);
    let report = health.report().await;
    assert_eq!(report.grpc_services, expected);
    let mut page = String::new();
    health
        .renderers()
        .get("html")
        .unwrap()
        .render(&report, &mut page)
        .unwrap();
    assert!(
        page.contains(
            "gRPC services: &quot;&quot; (startup), live, ready, shop.v1.Orders (live), startup<"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn messages_may_be_compressed() {
    let health = Health::builder().build().unwrap();
    let (plain, _stop, _server) = serve(health_tonic::service(health.clone())).await;
    let both = health_tonic::service(health)
        .accept_compressed(Gzip)
        .send_compressed(Gzip);
    let (gzip, _stop, _server) = serve(both).await;
    let client = async |address| {
        HealthClient::new(channel(address).await)
            .send_compressed(Gzip)
            .accept_compressed(Gzip)
    };
    let answer = client(gzip).await.check(ready()).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(answer.into_inner().status(), Serving);
    let stream = client(gzip).await.watch(ready()).await.unwrap();
    assert_eq!(stream.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(
        stream
            .into_inner()
            .message()
            .await
            .unwrap()
            .unwrap()
            .status(),
        Serving
    );
    let refused = client(plain).await.check(ready()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented, "{refused}");
}

#[tokio::test]
async fn reflection_describes_the_service() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest::{
        FileContainingSymbol, ListServices,
    };
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let (address, _stop, _server) =
        serve(health_tonic::service(Health::builder().build().unwrap())).await;
    let mut client = ServerReflectionClient::new(channel(address).await);
    let requests = [
        ListServices(String::new()),
        FileContainingSymbol("grpc.health.v1.Health.List".into()),
    ];
    let requests = requests.map(|request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    });
    let mut answers = client
        .server_reflection_info(futures::stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(services)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        unreachable!("a list was asked for")
    };
    assert!(
        services
            .service
            .iter()
            .any(|service| service.name == "grpc.health.v1.Health"),
        "{services:?}"
    );
    let Some(MessageResponse::FileDescriptorResponse(files)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        unreachable!("a file was asked for")
    };
    assert_eq!(files.file_descriptor_proto.len(), 1);
}
