use std::time::Duration;

use health_core::Secret;

use crate::ask::{self, Client, RequestArgs};
use crate::exit::ExitArgs;
use crate::nagios;
use crate::outcome::{HEALTHY, Outcome, UNHEALTHY};
use crate::show;
use crate::values::{duration, secret};

/// Query a running endpoint and print its report, without curl
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health probe http://127.0.0.1:8000/ht/
  health probe http://127.0.0.1:8000/ht/ --group ready --timeout 500ms
  health probe unix:/run/app.sock:/ht/               a Unix socket, then the path
  health probe https://shop.example/ht/ --header 'Authorization: Bearer ${HEALTH_TOKEN}'
  health probe 'http://127.0.0.1:8000/ht/${file:/run/secrets/token}/'
  health probe http://127.0.0.1:9200/_cluster/health --json /status=green
  health probe grpc://127.0.0.1:50051                the gRPC health protocol; grpcs:// for TLS
  health probe grpc://127.0.0.1:50051/shop.v1.Orders --header 'authorization: Bearer ${TOKEN}'

In a Dockerfile:
  HEALTHCHECK CMD [\"health\", \"probe\", \"http://127.0.0.1:8000/ht/\", \"--exit\", \"docker\"]

In the URL and in headers, ${VAR} is replaced by an environment variable and ${file:/path} by the
content of a file, so that no token appears in the process list. Paths and headers are never
printed. Redirects are followed within the same host only. HTTP_PROXY, HTTPS_PROXY and NO_PROXY are
respected, but requests to this machine use no proxy. SSL_CERT_FILE names the certificates to trust.
The status of metrics and feeds (--format openmetrics, atom, ...) is 200 whatever the checks report.

A gRPC service is healthy if it answers SERVING. Its name is the path of the URL; without a name,
the server as a whole is asked. --group names a service as well, and --header adds metadata.

Exit status: 0 healthy, 1 unhealthy, 2 wrong usage, no response, or a response that is no health
report. A report decides. Otherwise the JSON does, if it has a member such as \"status\": \"UP\" or
\"healthy\": false, or else the status code: 2xx is healthy, 500 and 503 are not. --status and
--json say what is healthy instead.")]
pub(crate) struct ProbeArgs {
    #[arg(value_name = "URL", value_parser = secret, help = ask::URL)]
    url: Secret,
    /// Limit the time for the response: 500ms, 5s, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    timeout: Duration,
    /// Read only this group; its name is appended to the URL's path, or is the gRPC service
    #[arg(long, short)]
    group: Option<String>,
    #[command(flatten)]
    asked: RequestArgs,
    /// Print the report in this format: table, text, or one of the endpoint's, such as json or html
    /// [default: text]
    #[arg(long, short)]
    format: Option<String>,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
}

pub(crate) async fn probe(args: &ProbeArgs) -> Outcome {
    let format = args.exit.format(args.format.as_deref())?;
    let is_ours = show::FORMATS.contains(&format);
    let client = Client::new(&args.url, args.group.as_deref(), &args.asked)?;
    if !is_ours && !client.has_formats() {
        return Err(format!("--format {format}: gRPC only has a status: use text or table").into());
    }
    let answer = client
        .ask((!is_ours).then_some(format), args.timeout)
        .await?;
    let is_healthy = answer.is_healthy()?;
    let rows = answer.rows();
    if args.exit.is_nagios() {
        return Ok(nagios::report(
            is_healthy,
            &rows.unwrap_or_default(),
            Some(answer.took),
        ));
    }
    let printed = match rows.filter(|_| is_ours) {
        Some(rows) => show::print(&rows, format),
        None => answer.print(),
    };
    args.exit.printed(printed);
    Ok(if is_healthy { HEALTHY } else { UNHEALTHY })
}
