use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The open connections. It knows the order in which they became idle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The idle connections, each with the means to end it. The one with the lowest number has been
    /// idle for the longest time.
    silent: BTreeMap<u64, Arc<Notify>>,
    /// The connections on which responses are being sent and no request waits for one, in the same
    /// order. A response may have no end, or a client that does not read.
    sending: BTreeMap<u64, Arc<Notify>>,
    open: usize,
    next: u64,
}

/// An open connection. It is idle until a request arrives.
#[derive(Debug)]
pub(crate) struct Connection {
    all: Connections,
    activity: Mutex<Activity>,
    end: Arc<Notify>,
}

#[derive(Debug)]
struct Activity {
    /// The requests that wait for a response. With HTTP/2, there may be several.
    requests: usize,
    /// The responses that are being sent.
    responses: usize,
    place: Place,
    has_asked: bool,
}

/// The place of a connection among those that may have to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Silent(u64),
    Sending(u64),
    /// A request waits for its response.
    Busy,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a new connection. If there are too many, another one has to end: see
    /// [`end_oldest`](Self::end_oldest).
    pub(crate) fn enter(&self, most: usize) -> Arc<Connection> {
        let end = Arc::new(Notify::new());
        let mut state = self.lock();
        state.open += 1;
        if state.open > most {
            state.end_oldest();
        }
        let number = state.number();
        state.silent.insert(number, Arc::clone(&end));
        drop(state);
        let activity = Activity {
            requests: 0,
            responses: 0,
            place: Place::Silent(number),
            has_asked: false,
        };
        let activity = Mutex::new(activity);
        Arc::new(Connection {
            all: self.clone(),
            activity,
            end,
        })
    }

    /// Notifies the connection that has been idle for the longest time that it has to end. If none
    /// is idle, it is the one that has been sending for the longest time.
    pub(crate) fn end_oldest(&self) {
        self.lock().end_oldest();
    }

    /// Waits until no connection is open.
    pub(crate) async fn none(&self) {
        loop {
            let changed = self.0.changed.notified(); // before the check, so that no change is missed
            if self.lock().open == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn leave(&mut self, place: Place) {
        match place {
            Place::Silent(number) => drop(self.silent.remove(&number)),
            Place::Sending(number) => drop(self.sending.remove(&number)),
            Place::Busy => {}
        }
    }

    fn end_oldest(&mut self) {
        if let Some((_, end)) = self.silent.pop_first().or_else(|| self.sending.pop_first()) {
            end.notify_one();
        }
    }
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> RequestGuard {
        self.change(|activity| {
            activity.requests += 1;
            activity.has_asked = true;
        });
        RequestGuard {
            connection: Arc::clone(self),
            is_sending: false,
        }
    }

    /// Changes the counts, and moves the connection to the place that they give it.
    fn change(&self, change: impl FnOnce(&mut Activity)) {
        let mut activity = self.lock();
        change(&mut activity);
        let mut state = self.all.lock();
        match (activity.requests, activity.responses, activity.place) {
            (0, 0, Place::Silent(_)) | (0, 1.., Place::Sending(_)) | (1.., _, Place::Busy) => {
                return;
            } // it keeps its number
            _ => {}
        }
        state.leave(activity.place);
        let number = state.number();
        activity.place = match (activity.requests, activity.responses) {
            (0, 0) => {
                state.silent.insert(number, Arc::clone(&self.end));
                Place::Silent(number)
            }
            (0, _) => {
                state.sending.insert(number, Arc::clone(&self.end));
                Place::Sending(number)
            }
            _ => Place::Busy,
        };
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.lock().place, Place::Silent(_))
    }

    /// Returns `true` if a request has arrived.
    pub(crate) fn has_asked(&self) -> bool {
        self.lock().has_asked
    }

    /// Waits until this connection has to end.
    pub(crate) async fn ends(&self) {
        self.end.notified().await;
    }
}

/// A request in progress, and then its response.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    connection: Arc<Connection>,
    is_sending: bool,
}

impl RequestGuard {
    /// Notes that the response begins.
    pub(crate) fn responds(&mut self) {
        self.is_sending = true;
        self.connection.change(|activity| {
            activity.requests -= 1;
            activity.responses += 1;
        });
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.connection.change(|activity| {
            let count = if self.is_sending {
                &mut activity.responses
            } else {
                &mut activity.requests
            };
            *count -= 1;
        });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let place = self.lock().place;
        let mut state = self.all.lock();
        state.leave(place);
        state.open -= 1;
        drop(state);
        self.all.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_oldest_silent_one_has_to_end() {
        let all = Connections::default();
        let [first, second, third] = [(); 3].map(|()| all.enter(3));
        let _request = first.request(); // it is not idle
        drop(second.request()); // idle for less time than the third
        let _fourth = all.enter(3);
        assert!(third.ends().now_or_never().is_some());
        assert!(first.ends().now_or_never().is_none() && second.ends().now_or_never().is_none());
        drop(third);
        let _fifth = all.enter(4);
        assert!(second.ends().now_or_never().is_none());
        all.end_oldest();
        assert!(second.ends().now_or_never().is_some());
    }

    #[test]
    fn a_connection_is_idle_once_its_last_request_is_answered() {
        let all = Connections::default();
        let only = all.enter(1);
        assert!(!only.has_asked());
        let [mut first, second] = [only.request(), only.request()];
        first.responds();
        drop(first);
        assert!(!only.is_idle());
        drop(second);
        assert!(only.is_idle() && only.has_asked());
        let _second = all.enter(1);
        assert!(only.ends().now_or_never().is_some());
    }

    #[test]
    fn a_connection_that_sends_has_to_end_if_none_is_idle() {
        let all = Connections::default();
        let [long, short, waits] = [(); 3].map(|()| all.enter(3));
        let _waits = waits.request();
        let mut sending = [long.request(), short.request()];
        sending.iter_mut().for_each(RequestGuard::responds);
        let more = long.request(); // while a request waits, it does not have to end
        let _fourth = all.enter(4); // which is idle
        all.end_oldest();
        assert!(long.ends().now_or_never().is_none() && short.ends().now_or_never().is_none());
        all.end_oldest();
        assert!(short.ends().now_or_never().is_some());
        drop(more);
        all.end_oldest();
        assert!(long.ends().now_or_never().is_some() && waits.ends().now_or_never().is_none());
    }

    #[test]
    fn where_all_wait_for_a_response_none_has_to_end() {
        let all = Connections::default();
        let first = all.enter(1);
        let request = first.request();
        let second = all.enter(1);
        assert!(first.ends().now_or_never().is_none() && second.ends().now_or_never().is_none());
        assert!(all.none().now_or_never().is_none());
        drop((request, first, second));
        assert!(all.none().now_or_never().is_some());
    }
}
