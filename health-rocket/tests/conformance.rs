//! The adapter for Rocket answers as the endpoint does.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;
use std::{io, thread};

use bytes::Bytes;
use health_core::Health;
use health_testkit::conformance::{self, Adapter, Site};
use http::{Request, Response};
use rocket::config::{Config, LogLevel};
use rocket::fairing::AdHoc;
use rocket::http::{Header, Method};
use rocket::local::blocking::Client;
use rocket::{Build, Rocket, State, get, routes};

fn main() -> ExitCode {
    conformance::main(Rockets)
}

struct Rockets;

#[get("/")]
fn page(name: &State<String>) -> String {
    name.to_string()
}

/// A route for everything else at the top, as many applications have for their pages.
#[get("/<name>")]
fn other(name: &str) -> Option<String> {
    (name == "about").then(|| "about".to_owned())
}

#[get("/orders/<id>")]
fn order(id: u32) -> String {
    format!("order {id}")
}

/// The health of the fairing that was attached first.
#[get("/checks")]
fn checks(health: &State<Health>) -> String {
    format!("{} checks", health.identifiers().count())
}

fn app(site: &Site) -> Rocket<Build> {
    let shutdown = health_rocket::no_signals();
    let config = Config {
        port: 0,
        workers: 2,
        log_level: LogLevel::Off,
        shutdown,
        ..Config::release_default()
    };
    rocket::custom(config)
        .manage("shop".to_owned())
        .mount("/", routes![page, order, checks, other])
        .attach(health_rocket::fairing("/ht/", site.first.clone()))
        .attach(health_rocket::fairing(
            "/status/health/",
            site.first.clone(),
        ))
        .attach(health_rocket::fairing("/internal/ht/", site.first.clone()))
        .attach(health_rocket::fairing("/other/", site.second.clone()))
        .attach(health_rocket::mount(site.public.clone()))
        .attach(health_rocket::probes(&site.first))
        .attach(AdHoc::on_response("x-app", |_, answer| {
            Box::pin(async move {
                answer.set_header(Header::new("x-app", "shop"));
            })
        }))
}

impl Adapter for Rockets {
    fn ask(&self, site: &Site, request: Request<Bytes>) -> Response<Bytes> {
        let client = Client::untracked(app(site)).unwrap();
        let method: Method = request.method().as_str().parse().unwrap();
        let mut asked = client.req(method, request.uri().to_string());
        for (name, value) in request.headers() {
            // Drops values that are not UTF-8, as Rocket does with requests from a socket.
            if let Ok(value) = std::str::from_utf8(value.as_bytes()) {
                asked.add_header(Header::new(name.as_str().to_owned(), value.to_owned()));
            }
        }
        let answer = asked.dispatch();
        let mut response = Response::builder().status(answer.status().code);
        for header in answer.headers().iter() {
            response = response.header(header.name.as_str(), &*header.value);
        }
        if let Some(length) = answer.body().preset_size() {
            response = response.header("content-length", length); // as it will be sent
        }
        response
            .body(answer.into_bytes().unwrap_or_default().into())
            .unwrap()
    }

    fn serve(&self, site: Site) -> SocketAddr {
        let (tell, told) = mpsc::channel();
        let rocket = app(&site).attach(AdHoc::on_liftoff("address", move |rocket| {
            tell.send(SocketAddr::new(
                rocket.config().address,
                rocket.config().port,
            ))
            .unwrap();
            Box::pin(async {})
        }));
        thread::spawn(move || rocket::execute(rocket.launch()).map_err(Box::new));
        told.recv().unwrap()
    }

    fn listen(&self, path: &str, health: Health) -> io::Result<SocketAddr> {
        Ok(health_rocket::listen("127.0.0.1:0", path, health)?.address())
    }
}
