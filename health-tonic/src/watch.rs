use std::pin::pin;

use futures::stream::{self, BoxStream, StreamExt as _};
use health_core::{Health, Subscription};
use tonic::Status;

use crate::generated::HealthCheckResponse;
use crate::generated::health_check_response::ServingStatus;
use crate::statuses::{response, serving};

/// Returns the statuses of a group: the current one, then each change. Without a group, the status is `SERVICE_UNKNOWN`, and the stream
/// stays open, as the protocol requires.
///
/// The stream ends when the service [stops](Health::stops), so that it never holds the server's shutdown. It holds no `Health` itself, and
/// has no task of its own.
pub(crate) fn stream(
    health: &Health,
    subscription: Option<Subscription>,
) -> BoxStream<'static, Result<HealthCheckResponse, Status>> {
    let first = subscription.is_none().then(|| Ok(response(ServingStatus::ServiceUnknown)));
    let changes = stream::unfold((subscription, Box::pin(health.stops())), async |(mut subscription, mut stops)| {
        let change = async {
            match &mut subscription {
                Some(subscription) => subscription.changed().await.map(|report| serving(report.healthy)),
                None => std::future::pending().await,
            }
        };
        let status = {
            let change = pin!(change);
            tokio::select! {
                biased; // a change is sent before the stream ends
                status = change => status?,
                () = &mut stops => return None,
            }
        };
        Some((Ok(response(status)), (subscription, stops)))
    });
    stream::iter(first).chain(changes).boxed()
}
