use std::error::Error;

use futures::FutureExt as _;
use health_checks::config::Config;
use health_core::{Endpoint, Endpoints, Health};
use health_listen::{Limits, Socket, serve_service};

use crate::grpc::Site;
use crate::load::load;
use crate::outcome::{HEALTHY, Outcome};
use crate::output;
use crate::signal::{handle_hang_up_as_terminate, interrupted, killed};
use crate::sockets::{bind, sockets};
use crate::systemd;
use crate::values::Source;

/// Serve the checks at a URL as a page, JSON and text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health serve
  health serve --config health.toml --listen :8000
  health serve --listen 127.0.0.1:8000 --listen unix:/run/health.sock
  health serve --listen 'unix:/run/health.sock?mode=0660&group=www-data'
  health serve --config health.toml --grpc 127.0.0.1:50051
  curl http://127.0.0.1:8000/ht/?format=json

--listen takes HOST:PORT, a port of the loopback address (8000), a port of all addresses (:8000),
unix:PATH, or systemd. The last one stands for the sockets that systemd passes to the process; they
are also used if --listen is left out.

/livez and /readyz answer the probes of Kubernetes. They need no token, and show no checks without
it.

After SIGTERM or SIGHUP, /ht/, /ht/ready/ and /readyz fail, and the server stops once drain_delay is
over. SIGINT or a second signal stops it at once. systemd receives READY=1, the checks that fail or
warn (STATUS=), and WATCHDOG=1 while the group live is healthy.

gRPC clients read the same checks by the gRPC health protocol (Check, Watch and List), on the same
port or on that of --grpc, which takes the same addresses: the service \"\" is the group ready, and
every group is a service. Like /livez and /readyz, it tells the status alone and needs no token.

At most 512 connections are open at a time: a further one replaces the one that was idle longest
or, if none is idle, the one that watches or receives a response longest.

Exit status: 0 stopped by a signal, 2 wrong usage or configuration.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    source: Source,
    /// Listen on this address; may be given several times; port 0 picks a free port
    /// [default: 127.0.0.1:8000]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "HEALTH_LISTEN",
        value_delimiter = ','
    )]
    listen: Vec<String>,
    /// Also serve the gRPC health protocol on this address, without HTTP; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<String>,
    /// Serve the endpoint under this path [default: that of the file, or /ht/]
    #[arg(long)]
    path: Option<String>,
}

pub(crate) async fn serve(args: &ServeArgs) -> Outcome {
    let mut endpoints = Vec::new();
    // If a signal arrives while the health is loading, what was created so far is cleaned up as
    // well.
    let interruption = interrupted();
    let loaded = tokio::select! {
        biased; // handles signals before anything is created
        () = interruption => return Ok(HEALTHY),
        loaded = load(&args.source, None, |config: Config| {
            let health;
            (health, endpoints) = build(config, args.path.as_deref())?;
            Ok(health)
        }) => loaded?,
    };
    let health = loaded.health.clone();
    let sockets = sockets(&args.listen)?;
    let grpc_sockets: Vec<_> = args
        .grpc
        .iter()
        .map(|address| bind("--grpc", address))
        .collect::<Result<_, _>>()?;
    let grpc = health_tonic::service(health.clone());
    handle_hang_up_as_terminate();
    let stop = health.drain_on_sigterm().shared();
    health.start();

    for socket in &sockets {
        for endpoint in &endpoints {
            let _ = output::print(line(socket, endpoint.base())); // stdout may be closed
        }
    }
    for socket in &grpc_sockets {
        let _ = output::print(grpc_line(socket));
    }
    systemd::is_ready(&health);
    let only_grpc = Site {
        grpc: grpc.clone(),
        endpoints: None,
    };
    let site = Site {
        grpc,
        endpoints: Some(with_probes(endpoints, &health)),
    };
    let limits = Limits::default();
    let http = serve_service(sockets, site, limits, stop.clone());
    let only_grpc = serve_service(grpc_sockets, only_grpc, limits, stop.clone()); // ends at once without a socket
    tokio::select! {
        ended = async { futures::try_join!(http, only_grpc) } => drop(ended?),
        () = at_once(&health, stop) => {}
        () = killed() => {}
    }
    systemd::stops();
    Ok(HEALTHY)
}

/// Builds the health and the endpoints of a file, for which `--path` replaces the path of the
/// settings.
fn build(
    mut config: Config,
    path: Option<&str>,
) -> Result<(Health, Vec<Endpoint>), Box<dyn Error>> {
    if let Some(path) = path {
        if config.has_endpoints() {
            return Err(
                "--path is for a file without [[endpoints]]: write their paths into the file"
                    .into(),
            );
        }
        path.clone_into(&mut config.settings.path);
    }
    Ok(config.build_endpoints(|builder| builder.listener(systemd::listener()))?)
}

/// Adds `/livez` and `/readyz`, unless the file has endpoints of these paths.
fn with_probes(endpoints: Vec<Endpoint>, health: &Health) -> Endpoints {
    let is_free = |probe: &Endpoint| {
        endpoints
            .iter()
            .all(|endpoint| endpoint.base() != probe.base())
    };
    let probes: Vec<_> = Endpoint::probes(health)
        .into_iter()
        .filter(is_free)
        .collect();
    endpoints.into_iter().chain(probes).collect()
}

/// Formats the address of a socket as a URL that `probe` accepts.
fn line(socket: &Socket, base: &str) -> String {
    match socket.address() {
        Some(address) => format!("http://{address}{base}/\n"),
        None => format!("{socket}:{base}/\n"),
    }
}

/// Formats the address of a socket for gRPC as a URL that `probe` accepts.
fn grpc_line(socket: &Socket) -> String {
    match socket.address() {
        Some(address) => format!("grpc://{address}\n"),
        None => format!(
            "grpc+unix://{}\n",
            socket
                .to_string()
                .trim_start_matches("unix:")
                .replace('/', "%2F")
        ),
    }
}

/// Completes when the server has to stop without waiting for open connections: on SIGINT, or on
/// another signal after a drain.
async fn at_once(health: &Health, stop: impl Future<Output = ()>) {
    stop.await;
    if health.is_draining() {
        interrupted().await;
    }
}
