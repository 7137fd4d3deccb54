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
    /// The idle connections, each with the means to end it. The one with the lowest number has been idle for the
    /// longest time.
    silent: BTreeMap<u64, Arc<Notify>>,
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
    /// The number of requests in progress. With HTTP/2, there may be several.
    requests: usize,
    /// The key among the idle connections, if the connection is idle.
    idle: Option<u64>,
    has_asked: bool,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a new connection. If there are too many, notifies the one that has been idle for the longest time that it
    /// has to end.
    pub(crate) fn enter(&self, most: usize) -> Arc<Connection> {
        let end = Arc::new(Notify::new());
        let mut state = self.lock();
        state.open += 1;
        if state.open > most {
            state.end_oldest();
        }
        let number = state.add(Arc::clone(&end));
        drop(state);
        let activity = Mutex::new(Activity { requests: 0, idle: Some(number), has_asked: false });
        Arc::new(Connection { all: self.clone(), activity, end })
    }

    /// Notifies the connection that has been idle for the longest time that it has to end.
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
    fn add(&mut self, end: Arc<Notify>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.silent.insert(number, end);
        number
    }

    fn end_oldest(&mut self) {
        if let Some((_, end)) = self.silent.pop_first() {
            end.notify_one();
        }
    }
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the connection as busy, because a request has arrived.
    pub(crate) fn mark_busy(&self) {
        let mut activity = self.lock();
        activity.requests += 1;
        activity.has_asked = true;
        self.leave_idle(&mut activity);
    }

    /// Marks the connection as idle, if this was the last request in progress.
    pub(crate) fn mark_idle(&self) {
        let mut activity = self.lock();
        activity.requests -= 1;
        if activity.requests == 0 {
            activity.idle = Some(self.all.lock().add(Arc::clone(&self.end)));
        }
    }

    fn leave_idle(&self, activity: &mut Activity) {
        if let Some(number) = activity.idle.take() {
            self.all.lock().silent.remove(&number);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().idle.is_some()
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave_idle(&mut self.lock());
        self.all.lock().open -= 1;
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
        first.mark_busy(); // it is not idle
        second.mark_busy();
        second.mark_idle(); // idle for less time than the third
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
        only.mark_busy();
        only.mark_busy();
        only.mark_idle();
        assert!(!only.is_idle());
        only.mark_idle();
        assert!(only.is_idle() && only.has_asked());
        let _second = all.enter(1);
        assert!(only.ends().now_or_never().is_some());
    }

    #[test]
    fn where_all_speak_nobody_has_to_end() {
        let all = Connections::default();
        let first = all.enter(1);
        first.mark_busy();
        let second = all.enter(1);
        assert!(first.ends().now_or_never().is_none() && second.ends().now_or_never().is_none());
        assert!(all.none().now_or_never().is_none());
        drop((first, second));
        assert!(all.none().now_or_never().is_some());
    }
}
