//! The adapter for warp answers as the endpoint does.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::{io, thread};

use bytes::Bytes;
use health_core::Health;
use health_testkit::conformance::{self, Adapter, Site};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use warp::{Filter, Rejection, Reply};

fn main() -> ExitCode {
    conformance::main(Warp)
}

struct Warp;

fn app(
    site: &Site,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection> + Clone + use<> {
    let state = warp::any().map(|| "shop".to_owned());
    let page = warp::path::end().and(warp::get()).and(state);
    let order = warp::path!("orders" / u32)
        .and(warp::get())
        .map(|id| format!("order {id}"));
    let checks = warp::path!("checks")
        .and(warp::get())
        .and(health_warp::with(site.first.clone()));
    let checks = checks.map(|health: Health| format!("{} checks", health.identifiers().count()));
    page.or(order)
        .or(checks)
        .or(health_warp::mount(site.public.clone()))
        .or(health_warp::probes(&site.first))
        .or(health_warp::routes("/ht/", site.first.clone()))
        .or(health_warp::routes("/status/health/", site.first.clone()))
        .or(warp::path("internal").and(health_warp::routes("/ht/", site.first.clone())))
        .or(health_warp::routes("/other/", site.second.clone()))
        .with(warp::reply::with::header("x-app", "shop"))
}

impl Adapter for Warp {
    fn ask(&self, site: &Site, request: Request<Bytes>) -> Response<Bytes> {
        Runtime::new().unwrap().block_on(async {
            let request = request.map(Full::new);
            let (head, body) = warp::service(app(site))
                .oneshot(request)
                .await
                .unwrap()
                .into_parts();
            Response::from_parts(head, body.collect().await.unwrap().to_bytes())
        })
    }

    fn serve(&self, site: Site) -> SocketAddr {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || runtime.block_on(warp::serve(app(&site)).incoming(listener).run()));
        address
    }

    fn listen(&self, path: &str, health: Health) -> io::Result<SocketAddr> {
        Ok(health_warp::listen("127.0.0.1:0", path, health)?.address())
    }
}
