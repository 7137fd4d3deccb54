//! The login by SASL.

use health_core::{FailureKind, HealthCheckException, Result, ServiceUnavailable};
use rsasl::prelude::{Mechname, SASLClient, SASLConfig};

use super::wire::{Reader, Writer};
use super::{Connection, Login, MOST_AT_FIRST, api, no_kafka};

/// The error code of a broker that does not offer the mechanism.
const UNSUPPORTED_MECHANISM: i16 = 33;

/// Logs in. The inner error is the refusal of a broker.
pub(super) async fn log_in(connection: &mut Connection, login: &Login) -> Result<Result> {
    let mut body = Writer::default();
    body.text(login.mechanism);
    let body = body.with(&[]);
    let answer = connection
        .ask(api::SASL_HANDSHAKE, 1, &body, MOST_AT_FIRST)
        .await?;
    match Reader::new(&answer).i16().ok_or_else(no_kafka)? {
        0 => exchange(connection, login).await,
        UNSUPPORTED_MECHANISM => Ok(Err(unsupported())),
        _ => Ok(Err(refused(None))),
    }
}

/// Exchanges the messages of the mechanism.
async fn exchange(connection: &mut Connection, login: &Login) -> Result<Result> {
    let password = login.password.expose().to_owned();
    let Ok(config) = SASLConfig::with_credentials(None, login.user.clone(), password) else {
        return Ok(Err(refused(None)));
    };
    let mechanism = Mechname::parse(login.mechanism.as_bytes());
    let session = mechanism
        .ok()
        .and_then(|mechanism| SASLClient::new(config).start_suggested(&[mechanism]).ok());
    let Some(mut session) = session else {
        return Ok(Err(unsupported()));
    };
    let mut received: Option<Vec<u8>> = None;
    loop {
        let mut message = std::io::Cursor::new(Vec::new());
        // A server of SCRAM that does not know the password can't prove itself.
        let Ok(state) = session.step(received.as_deref(), &mut message) else {
            return Ok(Err(refused(None)));
        };
        if state.has_sent_message() {
            match send(connection, &message.into_inner()).await? {
                Ok(answer) => received = Some(answer),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        if state.is_finished() {
            return Ok(Ok(()));
        }
    }
}

/// Sends a message of the mechanism, and returns that of the broker.
async fn send(connection: &mut Connection, message: &[u8]) -> Result<Result<Vec<u8>>> {
    let mut body = Writer::default();
    body.count(message.len());
    let answer = connection
        .ask(
            api::SASL_AUTHENTICATE,
            0,
            &body.with(message),
            MOST_AT_FIRST,
        )
        .await?;
    let mut answer = Reader::new(&answer);
    let error = answer.i16().ok_or_else(no_kafka)?;
    let text = answer.text().ok_or_else(no_kafka)?;
    if error != 0 {
        return Ok(Err(refused(Some(text))));
    }
    Ok(Ok(answer.bytes().ok_or_else(no_kafka)?))
}

fn refused(text: Option<String>) -> HealthCheckException {
    let error = ServiceUnavailable::new("authentication failed");
    let error = error.with_kind(FailureKind::Authentication);
    match text {
        Some(text) => error.with_source(text).into(),
        None => error.into(),
    }
}

fn unsupported() -> HealthCheckException {
    ServiceUnavailable::new("the broker does not offer the mechanism of sasl")
        .with_kind(FailureKind::Misconfigured)
        .into()
}
