use std::io::Cursor;
use std::net::SocketAddr;

use bytes::Bytes;
use health_bench::Outcome;
use http::header::CONTENT_LENGTH;
use rocket::config::{Config, LogLevel, Shutdown};
use rocket::fairing::AdHoc;
use rocket::http::Header;
use rocket::response::{self, Responder};
use rocket::{Request, Response, State, get, routes};

use super::{ADDRESS, Content, listens_at};

pub(super) async fn serve(content: Content) -> Outcome {
    let shutdown = Shutdown {
        ctrlc: false,
        signals: [].into(),
        ..Shutdown::default()
    };
    let address = ADDRESS.ip();
    let port = ADDRESS.port();
    let workers = crate::workers();
    // Rocket's Shield logs a warning for each response that already has its headers.
    let log_level = LogLevel::Off;
    let rocket = rocket::custom(Config {
        address,
        port,
        workers,
        shutdown,
        log_level,
        ..Config::release_default()
    });
    let rocket = match content {
        Content::Bare(answer) => rocket
            .mount("/", routes![bare])
            .manage(Answer::of(&answer)?),
        Content::Health(health) => rocket.attach(health_rocket::fairing("/ht/", health)),
    };
    let says = AdHoc::on_liftoff("address", |rocket| {
        let config = rocket.config();
        listens_at(SocketAddr::new(config.address, config.port));
        Box::pin(async {})
    });
    rocket.attach(says).launch().await?;
    Ok(())
}

#[get("/ht")]
fn bare(answer: &State<Answer>) -> &Answer {
    answer
}

/// A response to send with Rocket, which has its own header types and sets the length by itself.
struct Answer {
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Answer {
    fn of(answer: &http::Response<Bytes>) -> Outcome<Self> {
        let headers = answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != CONTENT_LENGTH);
        let headers =
            headers.map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())));
        Ok(Self {
            headers: headers.collect::<Outcome<_>>()?,
            body: answer.body().clone(),
        })
    }
}

impl<'r> Responder<'r, 'r> for &'r Answer {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'r> {
        let mut response = Response::build();
        for (name, value) in &self.headers {
            response.header(Header::new(name, value));
        }
        response
            .sized_body(self.body.len(), Cursor::new(&self.body))
            .ok()
    }
}
