//! The adapter for hyper answers as the endpoint does.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::{io, thread};

use bytes::Bytes;
use example_hyper::{App, listen, not_found, serve, with_endpoints, with_health};
use health_core::http::Body;
use health_core::{Endpoint, Health};
use health_testkit::conformance::{self, Adapter, Site};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::{ServiceExt as _, service_fn};

fn main() -> ExitCode {
    conformance::main(Hyper)
}

struct Hyper;

fn app<B: Send + 'static>(site: &Site) -> impl App<B> + use<B> {
    let health = site.first.clone();
    let own = service_fn(move |request: Request<B>| {
        let checks = format!("{} checks", health.identifiers().count());
        std::future::ready(Ok(match request.uri().path() {
            "/checks" => Response::new(Body::new(checks)),
            "/" => Response::new(Body::new("shop")),
            "/orders/7" => Response::new(Body::new("order 7")),
            _ => not_found(),
        }))
    });
    let endpoints = Endpoint::probes(&site.first)
        .into_iter()
        .chain([site.public.clone()])
        .collect();
    let own = with_endpoints(endpoints, own);
    let app = with_health("/ht/", site.first.clone(), own);
    let app = with_health("/status/health/", site.first.clone(), app);
    let app = with_health("/internal/ht/", site.first.clone(), app);
    with_health("/other/", site.second.clone(), app).map_response(|mut answer| {
        answer
            .headers_mut()
            .insert("x-app", HeaderValue::from_static("shop"));
        answer
    })
}

impl Adapter for Hyper {
    fn ask(&self, site: &Site, request: Request<Bytes>) -> Response<Bytes> {
        Runtime::new().unwrap().block_on(async {
            let (head, body) = app(site).oneshot(request).await.unwrap().into_parts();
            Response::from_parts(head, body.collect().await.unwrap().to_bytes())
        })
    }

    fn serve(&self, site: Site) -> SocketAddr {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || runtime.block_on(serve(listener, app(&site))));
        address
    }

    fn speaks_http2(&self) -> bool {
        false // the example serves only HTTP/1.1
    }

    fn listen(&self, path: &str, health: Health) -> io::Result<SocketAddr> {
        listen("127.0.0.1:0", path, health)
    }
}
