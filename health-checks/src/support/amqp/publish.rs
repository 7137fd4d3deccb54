use std::time::Duration;

use health_core::{FailureKind, HealthCheckException, Result, ServiceUnavailable};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};

use super::Connection;

/// The interval at which the check looks whether the broker blocks the connection.
const LOOK: Duration = Duration::from_millis(20);

/// Publishes a message that the broker has to confirm, on a channel that asks for confirmations.
/// Returns `true` if the message went into a queue. The broker returns a message that goes into
/// none.
///
/// A broker with an alarm stops reading from connections that publish, and may announce that. It
/// then confirms nothing, and this returns an error.
pub(crate) async fn publish(
    connection: &Connection,
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<Result<bool, lapin::Error>> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let confirmed = async {
        let confirmation = channel
            .basic_publish(exchange.into(), key.into(), options, body, properties)
            .await?
            .await?;
        Ok(!matches!(
            confirmation,
            Confirmation::Ack(Some(_)) | Confirmation::Nack(_)
        ))
    };
    let blocked = async {
        while !connection.client.status().blocked() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        confirmed = confirmed => Ok(confirmed),
        () = blocked => Err(is_blocked()),
    }
}

/// Returns the error of a broker that blocks this connection.
pub(crate) fn is_blocked() -> HealthCheckException {
    let message = "RabbitMQ blocks publishers: an alarm of memory or disk is set";
    ServiceUnavailable::new(message)
        .with_kind(FailureKind::Saturated)
        .into()
}
