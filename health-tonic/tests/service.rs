//! The service over a socket, read by the client of tonic-health.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{CheckExt as _, GroupSettings, Health, HealthBuilder, Hold, ServiceUnavailable, Settings, check_fn};
use health_tonic::HealthService;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, ServiceUnknown, Serving};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
struct Switch(Arc<Mutex<bool>>);

impl Switch {
    fn fail(&self, fails: bool) {
        *self.0.lock().unwrap() = fails;
    }

    fn health(&self) -> HealthBuilder {
        let fails = Arc::clone(&self.0);
        let orders = check_fn("orders", move || {
            let fails = *fails.lock().unwrap();
            async move { if fails { Err(ServiceUnavailable::new("refused").into()) } else { Ok(()) } }
        });
        let orders = orders.ttl(Duration::from_millis(50)).hold(Hold::NONE).groups(["ready", "batch"]);
        Health::builder().check(orders).group("batch", GroupSettings::default())
    }
}

/// Serves until its task is dropped; ends when the service has drained.
async fn serve(
    service: HealthService,
    stop: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(service);
    let serving = async move { server.serve_with_incoming_shutdown(TcpIncoming::from(listener), stop).await.unwrap() };
    (address, tokio::spawn(serving))
}

async fn client(address: SocketAddr) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

fn named(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

async fn check(client: &mut HealthClient<Channel>, service: &str) -> Result<ServingStatus, Code> {
    let answer = client.check(named(service)).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let message = timeout(5 * SECOND, stream.message()).await.expect("a message within five seconds");
    message.unwrap().map(|message| message.status())
}

#[tokio::test]
async fn check_answers_for_each_group_and_each_name_of_our_own() {
    let switch = Switch::default();
    let health = switch.health().build().unwrap();
    let service = HealthService::builder(health).name("orders.v1.Orders", "batch").build().unwrap();
    let (address, _server) = serve(service, std::future::pending()).await;
    let mut client = client(address).await;
    for service in ["", "live", "ready", "startup", "batch", "orders.v1.Orders"] {
        assert_eq!(check(&mut client, service).await, Ok(Serving), "{service}");
    }
    assert_eq!(check(&mut client, "orders").await, Err(Code::NotFound));
    switch.fail(true);
    sleep(Duration::from_millis(100)).await;
    for (service, status) in
        [("", NotServing), ("live", Serving), ("startup", Serving), ("orders.v1.Orders", NotServing)]
    {
        assert_eq!(check(&mut client, service).await, Ok(status), "{service}");
    }
}

#[tokio::test]
async fn it_is_never_serving_before_its_checks_have_run() {
    let never = check_fn("never", std::future::pending);
    let settings = Settings::default().probe_budget(Duration::from_millis(100));
    let health = Health::builder().settings(settings).check(never).build().unwrap();
    let (address, _server) = serve(health_tonic::service(health), std::future::pending()).await;
    let mut client = client(address).await;
    assert_eq!(check(&mut client, "").await, Ok(NotServing), "within the budget of ready");
    let mut watch = client.watch(named("")).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, Some(NotServing));
}

#[tokio::test]
async fn watch_sends_the_present_status_and_each_change() {
    let switch = Switch::default();
    let health = switch.health().build().unwrap();
    let (address, _server) = serve(health_tonic::service(health.clone()), std::future::pending()).await;
    let mut client = client(address).await;
    let mut ready = client.watch(named("ready")).await.unwrap().into_inner();
    let mut unknown = client.watch(named("nothing")).await.unwrap().into_inner();
    assert_eq!(next(&mut ready).await, Some(Serving));
    assert_eq!(next(&mut unknown).await, Some(ServiceUnknown));
    for fails in [true, false, true] {
        switch.fail(fails);
        assert_eq!(next(&mut ready).await, Some(if fails { NotServing } else { Serving }));
    }
    let silent = timeout(Duration::from_millis(300), unknown.message()).await;
    assert!(silent.is_err(), "the stream of an unknown service stays open and says nothing more");
}

#[tokio::test]
async fn a_drain_ends_the_streams_after_its_delay_and_they_do_not_hold_the_server() {
    let settings = Settings::default().drain_delay(Duration::from_millis(300));
    let health = Switch::default().health().settings(settings).build().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let service = health_tonic::service(health.clone());
    let (address, server) = serve(service, async move { drop(stopped.await) }).await;
    let mut client = client(address).await;
    let mut streams = Vec::new();
    for service in ["", "live", "batch", "nothing"] {
        let mut stream = client.watch(named(service)).await.unwrap().into_inner();
        next(&mut stream).await.unwrap();
        streams.push((service, stream));
    }
    health.drain();
    assert_eq!(check(&mut client, "ready").await, Ok(NotServing));
    assert_eq!(check(&mut client, "live").await, Ok(Serving));
    stop.send(()).unwrap();
    for (service, stream) in &mut streams {
        if ["", "batch"].contains(service) {
            assert_eq!(next(stream).await, Some(NotServing), "{service}");
        }
        assert_eq!(next(stream).await, None, "{service}");
    }
    drop(client);
    timeout(5 * SECOND, server).await.expect("the server ends").unwrap();
}

#[tokio::test]
async fn an_undrain_in_time_keeps_the_streams() {
    let settings = Settings::default().drain_delay(Duration::from_millis(300));
    let health = Switch::default().health().settings(settings).build().unwrap();
    let (address, _server) = serve(health_tonic::service(health.clone()), std::future::pending()).await;
    let mut client = client(address).await;
    let mut ready = client.watch(named("")).await.unwrap().into_inner();
    assert_eq!(next(&mut ready).await, Some(Serving));
    health.drain();
    assert_eq!(next(&mut ready).await, Some(NotServing));
    assert!(health.undrain());
    assert_eq!(next(&mut ready).await, Some(Serving));
    let silent = timeout(Duration::from_millis(600), ready.message()).await;
    assert!(silent.is_err(), "it is still open");
}

#[tokio::test]
async fn a_thousand_streams_share_one_reader() {
    let runs = Arc::new(Mutex::new(0_u32));
    let counted = Arc::clone(&runs);
    let orders = check_fn("orders", move || {
        *counted.lock().unwrap() += 1;
        async { Ok(()) }
    });
    let health = Health::builder().check(orders).build().unwrap();
    let (address, _server) = serve(health_tonic::service(health), std::future::pending()).await;
    let mut client = client(address).await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = client.watch(named("")).await.unwrap().into_inner();
        assert_eq!(next(&mut stream).await, Some(Serving));
        streams.push(stream);
    }
    let (before, tasks) = (*runs.lock().unwrap(), tokio::runtime::Handle::current().metrics().num_alive_tasks());
    sleep(3 * SECOND).await;
    let during = *runs.lock().unwrap() - before;
    assert!((2..=4).contains(&during), "{during} runs in three seconds with a ttl of one");
    assert!(tasks < 1100, "{tasks} tasks for a thousand streams: the server's one for each request, and no other");
}

#[test]
fn a_name_of_an_unknown_group_is_refused() {
    let health = Health::builder().build().unwrap();
    let error = HealthService::builder(health).name("orders", "raedy").build().unwrap_err();
    assert_eq!(error.to_string(), "no group is named \"raedy\"; there are: live, ready, startup");
}
