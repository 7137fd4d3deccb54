use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use health_checks::config::Config;
use health_core::Endpoint;
use tokio::net::TcpListener;

use crate::load::load;
use crate::outcome::{HEALTHY, Outcome};
use crate::signal::interrupted;
use crate::values::Source;

/// How long open connections may take to end once the listener is closed.
const GRACE: Duration = Duration::from_secs(5);

/// Serve the checks at a URL: a page, JSON and text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health serve
  health serve --config health.toml --listen 0.0.0.0:8000
  curl http://127.0.0.1:8000/ht/?format=json

SIGTERM makes /ht/ and /ht/ready/ fail, and stops the server after drain_delay; SIGINT stops it at
once.

Exit status: 0 when it was stopped, 2 wrong usage or configuration.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    source: Source,
    /// The address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "HEALTH_LISTEN", default_value = "127.0.0.1:8000")]
    listen: String,
    /// The path of the endpoint
    #[arg(long, default_value = "/ht/")]
    path: String,
}

pub(crate) async fn serve(args: &ServeArgs) -> Outcome {
    let loaded = load(&args.source, None, Config::build).await?;
    let health = loaded.health.clone();
    let listener =
        TcpListener::bind(&args.listen).await.map_err(|error| format!("can't listen at {}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    health.start();

    let path = format!("{}/", Endpoint::new(&args.path, health.clone()).base());
    anstream::println!("http://{address}{path}");
    let app: Router = health_axum::routes(&path, health.clone());
    let stop = health.drain_on_sigterm().shared();
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone());
    let late = async {
        stop.await;
        if health.is_draining() {
            tokio::select! {
                () = tokio::time::sleep(GRACE) => {}
                () = interrupted() => {}
            }
        }
    };
    tokio::select! {
        ended = server.into_future() => ended?,
        () = late => {} // at once after SIGINT, whoever is still connected
    }
    Ok(HEALTHY)
}
