//! The ways to serve the health.

use std::collections::{BTreeMap, HashMap};
use std::future::{pending, ready};
use std::ops::{Deref, DerefMut};

use futures::future::{BoxFuture, FutureExt as _};
use health_listen::{Limits, Socket, serve_service};
use health_tonic::HealthService;
use http::Response;
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceExt as _};

/// A connection, whatever is between a client and the service.
type Channel = BoxCloneService<http::Request<Body>, Response<Body>, BoxError>;

/// The client of a case: that of tonic-health, and `List`, which it does not have.
#[derive(Clone)]
pub(crate) struct Client {
    health: HealthClient<Channel>,
    channel: Channel,
}

impl Client {
    fn new(channel: Channel) -> Self {
        Self {
            health: HealthClient::new(channel.clone()),
            channel,
        }
    }

    pub(crate) async fn list(&self) -> Result<BTreeMap<String, ServingStatus>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/List");
        let codec = ProstCodec::<Empty, Statuses>::default();
        let response = grpc
            .unary(Request::new(Empty {}), path, codec)
            .await?
            .into_inner();
        Ok(response
            .statuses
            .into_iter()
            .map(|(name, response)| (name, response.status()))
            .collect())
    }
}

impl Deref for Client {
    type Target = HealthClient<Channel>;

    fn deref(&self) -> &Self::Target {
        &self.health
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.health
    }
}

/// `HealthListRequest` of the protocol.
#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

/// `HealthListResponse` of the protocol.
#[derive(Clone, PartialEq, prost::Message)]
struct Statuses {
    #[prost(map = "string, message", tag = "1")]
    statuses: HashMap<String, HealthCheckResponse>,
}

type Mount = fn(HealthService) -> BoxFuture<'static, Client>;

/// Every way, with its name.
pub(crate) const ALL: [(&str, Mount); 4] = [
    ("in_process", |service| ready(in_process(service)).boxed()),
    ("tonic", |service| tonic(service).boxed()),
    ("axum", |service| axum(service).boxed()),
    ("listen", |service| listen(service).boxed()),
];

fn in_process(service: HealthService) -> Client {
    let service = tower::ServiceExt::<http::Request<Body>>::map_err(service, BoxError::from);
    Client::new(BoxCloneService::new(service))
}

async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn connect(url: String) -> Client {
    let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    Client::new(channel.map_err(BoxError::from).boxed_clone())
}

/// With a reflection service beside it, and the layers that applications put around their services.
async fn tonic(service: HealthService) -> Client {
    let (listener, url) = bind().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(health_tonic::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let server = Server::builder()
        .layer(tower::limit::ConcurrencyLimitLayer::new(4096))
        .add_service(reflection)
        .add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    connect(url).await
}

async fn axum(service: HealthService) -> Client {
    let (listener, url) = bind().await;
    let router = axum::Router::new()
        .route("/", axum::routing::get(|| async { "shop" }))
        .route_service("/grpc.health.v1.Health/{method}", service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    connect(url).await
}

async fn listen(service: HealthService) -> Client {
    let socket = Socket::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{socket}");
    tokio::spawn(serve_service(
        vec![socket],
        service,
        Limits::default(),
        pending(),
    ));
    connect(url).await
}
