use std::time::Instant;

use fred::clients::{Client, Pool};
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::Options;
use health_core::{
    FailureKind as Kind, Findings, HealthCheckException, Result, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, Unit,
};

use crate::support::connection::pool::Ping;
use crate::support::connection::share_of_time;
use crate::support::io::Words;
use crate::support::redis::words::{
    AUTHENTICATION, DNS, LOST, NOT_REDIS, REFUSED, TIMEOUT, TLS, UNREACHED, by_code, by_text,
    without_arguments,
};

/// The share of a run's time after which the client cancels a command. A command whose future is
/// dropped would stay in the client's queue.
const SHARE_OF_COMMAND: f64 = 0.9;

impl Ping for Client {
    async fn ping(&self, findings: &Findings) -> Result {
        if !self.is_connected() {
            // A command would wait in the client's queue.
            self.wait_for_connect().await.map_err(describe)?;
        }
        let timeout = Some(share_of_time(findings, SHARE_OF_COMMAND));
        let options = Options {
            timeout,
            max_attempts: Some(1),
            fail_fast: true,
            ..Options::default()
        };
        let began = Instant::now();
        match self.with_options(&options).ping(None).await {
            // A client whose connection was lost does not know. The probe of the client finds out
            // whether the server answers.
            Err(error) if *error.kind() == ErrorKind::Timeout => std::future::pending().await,
            answer => pong(answer)?,
        }
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        Ok(())
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(directly(self).await)
    }
}

/// Pings the next client of the pool, and prefers one that is connected.
impl Ping for Pool {
    async fn ping(&self, findings: &Findings) -> Result {
        Ping::ping(self.next_connected(), findings).await
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(directly(self.next_connected()).await)
    }
}

/// Opens a connection with the configuration of this client, and closes it.
async fn directly(client: &Client) -> Result {
    let mut config = client.client_config();
    config.fail_fast = true;
    let mut builder = Builder::from_config(config);
    let of_connection = client.connection_config().clone();
    builder.with_connection_config(|config| *config = of_connection);
    let other = builder.build().map_err(describe)?;
    other.init().await.map_err(describe)?;
    let outcome = pong(ClientLike::ping(&other, None).await);
    let _ = other.quit().await; // the connection is not needed any more
    outcome
}

fn pong(answer: Result<String, Error>) -> Result {
    match answer.map_err(describe)?.as_str() {
        "PONG" => Ok(()),
        _ => Err(ServiceReturnedUnexpectedResult::new("PING was not answered by PONG").into()),
    }
}

/// Converts an error of the client to a message that is safe to show to anyone.
fn describe(error: Error) -> HealthCheckException {
    let (kind, message) = words(&error);
    let failure = ServiceUnavailable::new(message).with_kind(kind);
    match without_arguments(&error.to_string()) {
        Some(text) => failure.with_source(text).into(),
        None => failure.with_source(error).into(),
    }
}

fn words(error: &Error) -> Words {
    let text = error.details();
    let code = text.split(' ').next().unwrap_or_default();
    if let Some(words) = by_code(code).or_else(|| by_text(text)) {
        return words;
    }
    match error.kind() {
        ErrorKind::Auth => AUTHENTICATION,
        ErrorKind::Timeout => TIMEOUT,
        ErrorKind::Config | ErrorKind::Url => (Kind::Misconfigured, "Redis: its URL is not valid"),
        ErrorKind::Protocol | ErrorKind::Parse => NOT_REDIS,
        ErrorKind::Unknown | ErrorKind::InvalidCommand | ErrorKind::InvalidArgument => REFUSED,
        _ if text.contains("refused") => UNREACHED,
        _ if text.contains("lookup") || text.contains("resolve") => DNS,
        _ if text.contains("certificate") => TLS,
        _ => LOST,
    }
}
