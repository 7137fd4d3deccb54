use std::future::Future;
use std::pin::pin;

use health_core::HeartbeatGuard;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::POLL;

/// A message of a partition.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) offset: u64,
}

/// Consumes a partition until the service stops. It beats where the work makes progress: after each
/// message, and after each poll without one. A beat from a timer would continue while the loop
/// hangs.
pub(crate) async fn consume(
    guard: HeartbeatGuard,
    mut messages: mpsc::Receiver<Message>,
    committed: mpsc::Sender<u64>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    loop {
        guard.beat();
        let polled = tokio::select! {
            () = &mut stop => break,
            polled = timeout(POLL, messages.recv()) => polled,
        };
        match polled {
            Ok(Some(message)) => {
                if committed.send(message.offset).await.is_err() {
                    return; // the guard reports that the task has ended
                }
            }
            Ok(None) => return,
            Err(_) => {} // no message in this time
        }
    }
    guard.finish();
}
