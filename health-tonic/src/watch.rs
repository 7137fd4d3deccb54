use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use health_core::{Health, Subscription};
use tonic::Status;

use crate::generated::HealthCheckResponse;
use crate::generated::health_check_response::ServingStatus;
use crate::statuses::{response, serving};

/// Returns the statuses of a group: the current one, then each change. Without a group, the status is `SERVICE_UNKNOWN`, and the stream
/// stays open, as the protocol requires.
///
/// The stream ends when the last `Health` is dropped, and once the service has drained, so that it does not delay the shutdown of the
/// server. It does not own a `Health` or a task.
pub(crate) fn stream(
    health: &Health,
    subscription: Option<Subscription>,
) -> BoxStream<'static, Result<HealthCheckResponse, Status>> {
    let delay = health.settings().drain_delay;
    // Any subscription can wait for a drain.
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
                biased; // a change is sent before the stream ends
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
