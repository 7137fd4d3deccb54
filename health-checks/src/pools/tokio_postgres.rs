use std::error::Error as _;
use std::io;
use std::sync::Arc;

use health_core::{
    FailureKind, Findings, HealthCheckException, Result, ServiceUnavailable, UnknownError,
};
use tokio_postgres::{Client, Error};

use crate::support::connection::pool::Ping;
use crate::support::database_words::{DATABASE_ERROR, postgres};
use crate::support::io::{Words, failure_below};

impl Ping for Arc<Client> {
    async fn ping(&self, _: &Findings) -> Result {
        select_1(self).await
    }
}

/// Runs `SELECT 1` over the simple protocol, which works behind a pooler as well.
pub(super) async fn select_1(client: &Client) -> Result {
    client
        .simple_query("SELECT 1")
        .await
        .map(drop)
        .map_err(describe)
}

/// Converts an error of the driver to a message that is safe to show to anyone.
pub(super) fn describe(error: Error) -> HealthCheckException {
    let Some((kind, message)) = words(&error) else {
        return UnknownError::caused_by(error).into();
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

/// The messages by the text of an error, because the kind of an error is private.
const TEXTS: &[(&str, Words)] = &[
    (
        "authentication",
        (FailureKind::Authentication, "authentication failed"),
    ),
    ("TLS", (FailureKind::Tls, "TLS failed")),
    (
        "invalid con",
        (FailureKind::Misconfigured, "its options are not valid"),
    ),
    ("timeout", (FailureKind::TimedOut, "timed out")),
    ("communicating", (FailureKind::Lost, "connection lost")),
    ("connecting", (FailureKind::Lost, "connection lost")),
    (
        "message",
        (
            FailureKind::UnexpectedAnswer,
            "the server does not speak this database's protocol",
        ),
    ),
    (
        "parsing",
        (
            FailureKind::UnexpectedAnswer,
            "the server does not speak this database's protocol",
        ),
    ),
];

fn words(error: &Error) -> Option<Words> {
    if let Some(error) = error.as_db_error() {
        return Some(postgres(error.code().code(), error.message()).unwrap_or(DATABASE_ERROR));
    }
    if error.is_closed() {
        return Some((FailureKind::Lost, "connection lost"));
    }
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    if io.is_some_and(|io| io.kind() == io::ErrorKind::NotFound) {
        return Some((FailureKind::NotFound, "there is no such file or socket"));
    }
    if let Some(words) = failure_below(error) {
        return Some(words);
    }
    let text = error.to_string();
    TEXTS
        .iter()
        .find(|(part, _)| text.contains(part))
        .map(|(_, words)| *words)
}
