//! The adapter for axum answers as the endpoint does.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::{io, thread};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, Path, State};
use axum::http::HeaderValue;
use axum::middleware::map_response;
use axum::response::Response as Answer;
use axum::routing::get;
use bytes::Bytes;
use health_core::Health;
use health_testkit::conformance::{self, Adapter, Site};
use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

fn main() -> ExitCode {
    conformance::main(Axum)
}

struct Axum;

/// The state of the application. Handlers extract parts of it.
#[derive(Clone)]
struct Shop {
    name: &'static str,
    health: Health,
}

impl FromRef<Shop> for &'static str {
    fn from_ref(shop: &Shop) -> Self {
        shop.name
    }
}

impl FromRef<Shop> for Health {
    fn from_ref(shop: &Shop) -> Self {
        shop.health.clone()
    }
}

fn app(site: &Site) -> Router {
    let own = Router::new()
        .route(
            "/",
            get(|State(name): State<&'static str>| async move { name }),
        )
        .route(
            "/checks",
            get(|State(health): State<Health>| async move {
                format!("{} checks", health.identifiers().count())
            }),
        )
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u32>| async move { format!("order {id}") }),
        );
    own.merge(health_axum::routes("/ht/", site.first.clone()))
        .merge(health_axum::routes("/status/health/", site.first.clone()))
        .nest("/internal", health_axum::routes("/ht/", site.first.clone()))
        .merge(health_axum::routes("/other/", site.second.clone()))
        .merge(health_axum::mount(site.public.clone()))
        .merge(health_axum::probes(&site.first))
        .layer(map_response(|mut answer: Answer| async {
            answer
                .headers_mut()
                .insert("x-app", HeaderValue::from_static("shop"));
            answer
        }))
        .with_state(Shop {
            name: "shop",
            health: site.first.clone(),
        })
}

impl Adapter for Axum {
    fn ask(&self, site: &Site, request: Request<Bytes>) -> Response<Bytes> {
        Runtime::new().unwrap().block_on(async {
            let answer = app(site).oneshot(request.map(Body::from)).await.unwrap();
            let (head, body) = answer.into_parts();
            Response::from_parts(head, to_bytes(body, usize::MAX).await.unwrap())
        })
    }

    fn serve(&self, site: Site) -> SocketAddr {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || runtime.block_on(async { axum::serve(listener, app(&site)).await }));
        address
    }

    fn listen(&self, path: &str, health: Health) -> io::Result<SocketAddr> {
        Ok(health_axum::listen("127.0.0.1:0", path, health)?.address())
    }
}
