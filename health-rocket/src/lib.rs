#![doc = include_str!("../README.md")]

mod convert;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;

use health_core::{Endpoint, Health};
use rocket::catcher::{self, Catcher};
use rocket::config::{Config, Shutdown};
use rocket::fairing::{AdHoc, Fairing};
use rocket::http::Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
use rocket::http::Status;
use rocket::route::{Handler, Outcome, Route};
use rocket::{Data, Request};

/// The health at a path such as `/ht/`, to be attached: all methods, the path with and without its final slash, and
/// what is below it.
pub fn fairing(path: &str, health: Health) -> impl Fairing + use<> {
    let endpoint = Endpoint::new(path, health);
    let base = if endpoint.base().is_empty() { "/" } else { endpoint.base() }.to_owned();
    AdHoc::on_ignite("health", |rocket| async move {
        let methods = [Get, Head, Options, Post, Put, Patch, Delete, Trace, Connect];
        let route = |method| Route::new(method, "/<rest..>", Answer(endpoint.clone()));
        // Rocket refuses methods that it does not know before it looks for a route. At the root that would be the
        // application's business, too.
        let refused = (base != "/").then(|| Catcher::new(400, Answer(endpoint.clone())));
        rocket.mount(base.clone(), methods.map(route).to_vec()).register(base, Vec::from_iter(refused))
    })
}

#[derive(Clone)]
struct Answer(Endpoint);

#[rocket::async_trait]
impl Handler for Answer {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let answer = self.0.respond(&convert::request(request));
        Outcome::Success(convert::response(answer.await))
    }
}

#[rocket::async_trait]
impl catcher::Handler for Answer {
    async fn handle<'r>(&self, _: Status, request: &'r Request<'_>) -> catcher::Result<'r> {
        let answer = self.0.respond(&convert::request_of_unknown_method(request));
        Ok(convert::response(answer.await))
    }
}

/// The health on a port of its own, which the application's load can't starve: a thread, a runtime and a Rocket of its
/// own answer there for as long as the process lives. Port 0 takes a free one; the address is returned.
///
/// # Errors
/// Those of listening there.
pub fn listen(address: impl ToSocketAddrs, path: &str, health: Health) -> io::Result<SocketAddr> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let shutdown = Shutdown { ctrlc: false, signals: [].into(), ..Shutdown::default() };
    let config = Config { address: address.ip(), port: address.port(), shutdown, ..Config::release_default() };
    let log_level = Config::figment().extract_inner("log_level").unwrap_or(config.log_level); // it is one for all Rockets
    let config = Config { log_level, ..config };
    let (tell, told) = mpsc::channel();
    let tell_failure = tell.clone();
    let rocket =
        rocket::custom(config).attach(fairing(path, health)).attach(AdHoc::on_liftoff("address", move |rocket| {
            let _ = tell.send(Ok(SocketAddr::new(rocket.config().address, rocket.config().port)));
            Box::pin(std::future::ready(()))
        }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        if let Err(error) = rocket.launch().await {
            let _ = tell_failure.send(Err(convert::error(&error)));
        }
    };
    thread::Builder::new().name("health".into()).spawn(move || runtime.block_on(serve))?;
    told.recv().map_err(io::Error::other)?
}
