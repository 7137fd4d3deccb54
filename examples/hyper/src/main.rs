//! A service on plain hyper.
//!
//! ```text
//! cargo run -p example-hyper
//! curl http://127.0.0.1:8000/ht/?format=text
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::error::Error;

use example_hyper::{not_found, serve, with_health};
use health_core::http::Body;
use health_core::{Health, check_fn};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower::service_fn;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::builder()
        .check(check_fn("cache", || async { Ok(()) }))
        .build()?;
    let app = service_fn(|request: Request<Incoming>| async move {
        Ok(if request.uri().path() == "/" {
            Response::new(Body::new("hello\n"))
        } else {
            not_found()
        })
    });
    let listener = TcpListener::bind("127.0.0.1:8000").await?;
    println!("http://{}/ht/", listener.local_addr()?);
    serve(listener, with_health("/ht/", health, app)).await;
    Ok(())
}
