use std::pin::pin;

use futures::future::{BoxFuture, FutureExt as _, Shared};
use futures::stream::{self, BoxStream, StreamExt as _};
use health_core::{Health, Subscription};
use tonic::Status;

use crate::generated::HealthCheckResponse;
use crate::generated::health_check_response::ServingStatus;
use crate::statuses::{response, serving};

/// Returns the statuses of a group: the current one, then each change. Without a group, the status
/// is `SERVICE_UNKNOWN`, and the stream stays open, as the protocol requires.
///
/// The stream ends when the service [stops](Health::stops), so that it never holds the server's
/// shutdown. It holds no `Health` itself, and has no task of its own.
pub(crate) fn stream(
    health: &Health,
    subscription: Option<Subscription>,
) -> BoxStream<'static, Result<HealthCheckResponse, Status>> {
    let first = subscription
        .is_none()
        .then(|| Ok(response(ServingStatus::ServiceUnknown)));
    let state = State {
        is_told: first.is_some(),
        subscription,
        stops: health.stops().boxed().shared(),
    };
    let patience = health.settings().probe_budget;
    let changes = stream::unfold(state, move |mut state| async move {
        let change = async {
            match &mut state.subscription {
                Some(subscription) => subscription
                    .changed()
                    .await
                    .map(|report| serving(report.healthy)),
                None => std::future::pending().await,
            }
        };
        let end = async {
            state.stops.clone().await;
            if !state.is_told {
                tokio::time::sleep(patience).await; // a client gets a status, even from a service that stops
            }
        };
        let status = {
            let change = pin!(change);
            let end = pin!(end);
            tokio::select! {
                biased; // a change is sent before the stream ends
                status = change => status?,
                () = end => return None,
            }
        };
        state.is_told = true;
        Some((Ok(response(status)), state))
    });
    stream::iter(first).chain(changes).boxed()
}

struct State {
    subscription: Option<Subscription>,
    stops: Shared<BoxFuture<'static, ()>>,
    /// `true` once the client has got a status.
    is_told: bool,
}
