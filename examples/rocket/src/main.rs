//! A small service with health checks, on Rocket.
//!
//! ```text
//! cargo run -p example-rocket
//! curl http://127.0.0.1:8000/ht/?format=text
//! ```

use std::error::Error;
use std::net::SocketAddr;

use example_shop::{PAGE, Shop};
use rocket::config::Config;
use rocket::error::ErrorKind;
use rocket::fairing::AdHoc;
use rocket::response::content::RawHtml;
use rocket::{get, routes};

#[get("/")]
fn page() -> RawHtml<&'static str> {
    RawHtml(PAGE)
}

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Shop::from_args().await?;
    // The health handles the signals, and Rocket is notified once it has drained.
    let config = Config::figment()
        .merge(("address", shop.listen.ip()))
        .merge(("port", shop.listen.port()))
        .merge(("shutdown", health_rocket::no_signals()));
    let rocket = rocket::custom(config)
        .mount("/", routes![page])
        .attach(health_rocket::fairing("/ht/", shop.health.clone()))
        .attach(AdHoc::on_liftoff("address", |rocket| {
            let config = rocket.config();
            Shop::listens_at(SocketAddr::new(config.address, config.port));
            Box::pin(async {})
        }))
        .ignite()
        .await?;

    // After SIGTERM, /ht/ready/ fails, and the service keeps serving until the load balancers have
    // noticed.
    let shutdown = rocket.shutdown();
    let drained = shop.health.drain_on_sigterm();
    rocket::tokio::spawn(async move {
        drained.await;
        shutdown.notify();
    });
    match rocket.launch().await {
        // Rocket reports a failed shutdown if a connection was just being closed. For this service,
        // that is a normal exit.
        Err(error) if !matches!(error.kind(), ErrorKind::Shutdown(..)) => Err(error.into()),
        _ => Ok(()),
    }
}
