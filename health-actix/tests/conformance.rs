//! The adapter for actix-web answers as the endpoint does.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::{io, thread};

use actix_web::body::{BodySize, MessageBody, to_bytes};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, Error, HttpServer, rt, test, web};
use bytes::Bytes;
use health_core::Health;
use health_testkit::conformance::{self, Adapter, Site};
use http::{Request, Response};

fn main() -> ExitCode {
    conformance::main(Actix)
}

struct Actix;

/// The health of the routes that were configured last.
async fn checks(health: web::Data<Health>) -> String {
    format!("{} checks", health.identifiers().count())
}

fn app(
    site: &Site,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(web::Data::new("shop".to_owned()))
        .route(
            "/",
            web::get().to(|name: web::Data<String>| async move { name.to_string() }),
        )
        .route(
            "/orders/{id}",
            web::get().to(|id: web::Path<u32>| async move { format!("order {id}") }),
        )
        .route("/checks", web::get().to(checks))
        .configure(health_actix::routes("/other/", site.second.clone()))
        .configure(health_actix::routes("/ht/", site.first.clone()))
        .configure(health_actix::mount(site.public.clone()))
        .configure(health_actix::probes(&site.first))
        .configure(health_actix::routes("/status/health/", site.first.clone()))
        .service(
            web::scope("/internal").configure(health_actix::routes("/ht/", site.first.clone())),
        )
        .wrap(DefaultHeaders::new().add(("x-app", "shop")))
}

impl Adapter for Actix {
    fn ask(&self, site: &Site, request: Request<Bytes>) -> Response<Bytes> {
        rt::System::new().block_on(async {
            let app = test::init_service(app(site)).await;
            let method =
                actix_web::http::Method::from_bytes(request.method().as_str().as_bytes()).unwrap();
            let mut asked = test::TestRequest::with_uri(&request.uri().to_string()).method(method);
            for (name, value) in request.headers() {
                asked = asked.append_header((name.as_str(), value.as_bytes()));
            }
            let answer = test::call_service(&app, asked.to_request()).await;
            let mut response = Response::builder().status(answer.status().as_u16());
            for (name, value) in answer.headers() {
                response = response.header(name.as_str(), value.as_bytes());
            }
            if let BodySize::Sized(length) = answer.response().body().size() {
                response = response.header("content-length", length); // as it will be sent
            }
            response
                .body(to_bytes(answer.into_body()).await.ok().unwrap())
                .unwrap()
        })
    }

    fn serve(&self, site: Site) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let server = HttpServer::new(move || app(&site))
                .workers(2)
                .disable_signals();
            rt::System::new().block_on(server.listen_auto_h2c(listener).unwrap().run())
        });
        address
    }

    fn listen(&self, path: &str, health: Health) -> io::Result<SocketAddr> {
        Ok(health_actix::listen("127.0.0.1:0", path, health)?.address())
    }
}
