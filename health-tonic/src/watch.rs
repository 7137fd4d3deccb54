use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use health_core::{Health, Subscription};
use tonic::Status;

use crate::generated::HealthCheckResponse;
use crate::generated::health_check_response::ServingStatus;
use crate::statuses::{response, serving};

/// Returns the statuses of a group: the present one, then each change. Without a group it is `SERVICE_UNKNOWN`, and the stream stays open, as
/// the protocol wants it.
///
/// The stream ends with the last `Health`, and once the service has drained, so that it never holds the server's shutdown. It holds no
/// `Health` itself, and has no task of its own.
pub(crate) fn stream(
    health: &Health,
    subscription: Option<Subscription>,
) -> BoxStream<'static, Result<HealthCheckResponse, Status>> {
    let delay = health.settings().drain_delay;
    // A drain is seen by a subscription; any group has one.
    let drain = health.subscribe("live").ok();
    let first = subscription.is_none().then(|| Ok(response(ServingStatus::ServiceUnknown)));
    let changes = stream::unfold((subscription, drain), move |(mut subscription, drain)| async move {
        let change = async {
            match &mut subscription {
                Some(subscription) => subscription.changed().await.map(|report| serving(report.healthy)),
                None => std::future::pending().await,
            }
        };
        let status = {
            let (change, drained) = (pin!(change), pin!(drained(drain.as_ref(), delay)));
            tokio::select! {
                biased; // a change that is there is sent before the end
                status = change => status?,
                () = drained => return None,
            }
        };
        Some((Ok(response(status)), (subscription, drain)))
    });
    stream::iter(first).chain(changes).boxed()
}

/// Waits until the service has been draining for this long.
async fn drained(drain: Option<&Subscription>, delay: Duration) {
    let Some(drain) = drain else { return };
    loop {
        drain.draining().await;
        tokio::time::sleep(delay).await;
        if drain.is_draining() {
            return;
        }
    }
}
