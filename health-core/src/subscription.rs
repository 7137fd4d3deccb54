use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::home::{self, Job};
use crate::health::{Health, Inner};
use crate::runner::Runner;
use crate::{Report, UnknownName};

/// The shortest pause between two reads of a driver, for checks whose verdicts are never fresh.
const PAUSE: Duration = Duration::from_secs(1);

/// A watch on the verdict of a group; see [`Health::subscribe`].
///
/// It does not keep the [`Health`] alive, and ends when the last clone of that is dropped.
pub struct Subscription {
    receiver: watch::Receiver<Option<Arc<Report>>>,
}

impl Subscription {
    /// Waits until the verdict of the group changes, and returns the report. The first call returns
    /// the present report, as soon as there is one. Returns `None` once the last `Health` was
    /// dropped.
    ///
    /// Changes that follow each other faster than they are received are skipped: the report is
    /// always the latest one. This method is cancel safe.
    pub async fn changed(&mut self) -> Option<Arc<Report>> {
        self.receiver.changed().await.ok()?;
        self.receiver.borrow_and_update().clone()
    }

    /// Returns the latest report without waiting; `None` before the first one.
    pub fn latest(&self) -> Option<Arc<Report>> {
        self.receiver.borrow().clone()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("healthy", &self.latest().map(|report| report.healthy))
            .finish()
    }
}

/// The reports of one group for all of its subscriptions.
pub(crate) type Driver = watch::Sender<Option<Arc<Report>>>;

impl Health {
    /// Watches the verdict of a group.
    ///
    /// All subscriptions of a group share one reader. It reads as often as verdicts become stale,
    /// and at once after a change in between: a drain, an expired verdict, or a check whose status
    /// changes in another read. Without a subscription, no such reader runs.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use health_core::{Health, check_fn};
    ///
    /// let health = Health::builder().check(check_fn("cache", || async { Ok(()) })).build()?;
    /// let mut ready = health.subscribe("ready")?;
    /// assert!(ready.changed().await.unwrap().healthy);
    /// health.drain();
    /// assert!(!ready.changed().await.unwrap().healthy);
    /// drop(health);
    /// assert_eq!(ready.changed().await, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Fails for an unknown group.
    pub fn subscribe(&self, group: &str) -> Result<Subscription, UnknownName> {
        let plan = self.position(group)?;
        let receiver = self.drive(plan);
        Ok(Subscription { receiver })
    }

    /// Subscribes to the reports of a plan, and starts the reader of the plan unless it is running.
    fn drive(&self, plan: usize) -> watch::Receiver<Option<Arc<Report>>> {
        let mut drivers = self.drivers();
        if let Some(driver) = drivers.get(&plan) {
            let mut receiver = driver.subscribe();
            if driver.borrow().is_some() {
                receiver.mark_changed(); // the present report is the first one of a new subscription
            }
            return receiver;
        }
        let sender = Driver::new(None);
        let receiver = sender.subscribe();
        drivers.insert(plan, sender.clone());
        drop(drivers); // a job that can't begin takes itself out
        home::spawn(Drive {
            runner: Arc::clone(&self.0.runner),
            health: Arc::downgrade(&self.0),
            plan,
            sender,
        });
        receiver
    }
}

/// Reads one group for all of its subscriptions, until the last of them or the last `Health` is
/// dropped.
struct Drive {
    runner: Arc<Runner>,
    health: Weak<Inner>,
    plan: usize,
    sender: Driver,
}

impl Job for Drive {
    fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    async fn work(&self) {
        let wake = self.runner.wake();
        loop {
            let woken = wake.notified(); // before the read, so that nothing is missed
            let Some(health) = self.health.upgrade().map(Health) else {
                return;
            };
            let snapshot = health.snapshot(self.plan, false, None).await;
            let report = Arc::clone(&snapshot.report);
            self.sender.send_if_modified(|last| {
                let is_news = last
                    .as_ref()
                    .is_none_or(|last| last.healthy != report.healthy);
                *last = Some(report);
                is_news
            });
            let pause = self
                .runner
                .freshness_left(snapshot.freshness.as_ref(), PAUSE);
            drop((snapshot, health));
            if self.runner.life.stopped().is_some() {
                return self.give_up(); // nothing changes any more
            }
            let expired = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = expired => {}
                () = self.sender.closed() => {
                    let Some(health) = self.health.upgrade().map(Health) else { return };
                    let mut drivers = health.drivers();
                    if self.sender.is_closed() {
                        drivers.remove(&self.plan); // with the lock held, so that no new subscription is left without a reader
                        return;
                    }
                }
            }
        }
    }

    fn give_up(&self) {
        if let Some(health) = self.health.upgrade().map(Health) {
            health.drivers().remove(&self.plan);
        }
    }
}
