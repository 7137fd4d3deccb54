//! A line on stderr with the checks that a run is waiting for. It is only shown on a terminal, and
//! not for short runs.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use health_core::{StatusListener, Transition};
use tokio::time::{Instant, interval_at};

use crate::screen;

const SHOW_AFTER: Duration = Duration::from_millis(300);
const INTERVAL: Duration = Duration::from_millis(100);

/// `true` if a line has to be cleared before other output.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// The checks that have a result.
#[derive(Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<BTreeSet<String>>>);

impl Progress {
    /// Returns a listener that records the checks with a verdict.
    pub(crate) fn listener(&self) -> impl StatusListener + use<> {
        let done = Arc::clone(&self.0);
        move |transition: &Transition| {
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(transition.check.clone());
        }
    }

    /// Awaits `run`, and shows which of these checks it is waiting for.
    pub(crate) async fn show<T>(&self, names: &[String], run: impl Future<Output = T>) -> T {
        if !io::stderr().is_terminal() || !screen::can_move() {
            return run.await;
        }
        let mut run = pin!(run);
        let mut ticks = interval_at(Instant::now() + SHOW_AFTER, INTERVAL);
        let _line = Line;
        loop {
            tokio::select! {
                ended = &mut run => return ended,
                _ = ticks.tick() => self.draw(names),
            }
        }
    }

    fn draw(&self, names: &[String]) {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: Vec<_> = names
            .iter()
            .filter(|name| !done.contains(*name))
            .map(String::as_str)
            .collect();
        let line = format!(
            "{} of {} done, waiting for {}",
            names.len() - waiting.len(),
            names.len(),
            waiting.join(", ")
        );
        let room = usize::from(screen::size().0).saturating_sub(1);
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(room)
            .collect();
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r{line}\x1b[K");
        DRAWN.store(true, Ordering::SeqCst);
    }
}

/// Clears the line, if it is shown.
pub(crate) fn clear() {
    if DRAWN.swap(false, Ordering::SeqCst) {
        let _ = write!(io::stderr().lock(), "\r\x1b[K");
    }
}

struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        clear();
    }
}
