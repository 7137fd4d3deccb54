//! Starts the service, and reads it by gRPC and by HTTP until it has drained.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
}

/// The service, which ends with this value.
struct Greeter(Child);

impl Drop for Greeter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the service, and returns its addresses for gRPC and for HTTP.
fn start() -> (Greeter, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-tonic"));
    let mut child = command
        .args(["127.0.0.1:0", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (grpc, http) = line.trim().split_once(" and ").unwrap();
    let grpc = grpc.replace("grpc:", "http:");
    let http = http.replace("http://", "").replace("/ht/", "");
    (Greeter(child), grpc, http)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nAccept: text/plain\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

async fn greet(channel: Channel) -> String {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/helloworld.Greeter/SayHello");
    let codec = ProstCodec::<Name, Name>::default();
    let request = tonic::Request::new(Name {
        name: "Ferris".into(),
    });
    grpc.unary(request, path, codec)
        .await
        .unwrap()
        .into_inner()
        .name
}

#[tokio::test]
async fn the_greeter_is_read_until_it_has_drained() {
    let (mut greeter, grpc, http) = start();
    let channel = Endpoint::from_shared(grpc)
        .unwrap()
        .connect()
        .await
        .unwrap();
    assert_eq!(greet(channel.clone()).await, "Hello Ferris!");
    let mut client = HealthClient::new(channel.clone());
    for service in ["", "live", "helloworld.Greeter"] {
        let response = client
            .check(HealthCheckRequest {
                service: service.into(),
            })
            .await
            .unwrap();
        assert_eq!(response.into_inner().status(), Serving, "{service:?}");
    }
    let request = HealthCheckRequest {
        service: "helloworld.Greeter".into(),
    };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Serving);
    assert!(
        get(&http, "/readyz").starts_with("HTTP/1.0 200 "),
        "{}",
        get(&http, "/readyz")
    );
    assert!(get(&http, "/ht/?format=text&verbose").contains("[+]DiskUsage ok"));
    let kill = Command::new("kill")
        .args(["-s", "TERM", &greeter.0.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(watch.message().await.unwrap().unwrap().status(), NotServing);
    assert_eq!(
        greet(channel).await,
        "Hello Ferris!",
        "while it drains, it still serves"
    );
    assert!(
        get(&http, "/readyz").starts_with("HTTP/1.0 500 "),
        "{}",
        get(&http, "/readyz")
    );
    let end = timeout(Duration::from_secs(20), watch.message())
        .await
        .expect("the stream ends");
    assert!(end.unwrap().is_none());
    let exits = async {
        loop {
            if let Some(status) = greeter.0.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(
        timeout(Duration::from_secs(10), exits)
            .await
            .expect("the server stops")
            .success()
    );
}
