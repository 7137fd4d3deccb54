//! The health that every case begins with.

use std::time::Duration;

use health_core::{CheckExt as _, GroupSettings, Health, Hold, Scope, Settings};
use health_testkit::{ScriptedCheck, Step};
use health_tonic::HealthService;

/// The time for which a service drains before the streams end.
pub(crate) const DRAIN: Duration = Duration::from_millis(800);

/// The longest that a read of `ready` waits.
pub(crate) const BUDGET: Duration = Duration::from_millis(300);

/// The time after which a verdict is no longer fresh.
pub(crate) const TTL: Duration = Duration::from_millis(50);

/// A health whose checks a case controls: `orders` is critical everywhere, `stock` is held in
/// `ready`, `mail` is not critical, and `alive` is in `live`.
pub(crate) struct Scene {
    pub(crate) health: Health,
    pub(crate) service: HealthService,
    pub(crate) orders: ScriptedCheck,
    pub(crate) stock: ScriptedCheck,
    pub(crate) mail: ScriptedCheck,
    pub(crate) alive: ScriptedCheck,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let [orders, stock, mail, alive] =
            ["orders", "stock", "mail", "alive"].map(ScriptedCheck::new);
        let groups = ["ready", "batch", "strict", "steady"];
        let health = Health::builder()
            .settings(Settings::default().probe_budget(BUDGET).drain_delay(DRAIN))
            .group("batch", GroupSettings::default())
            .group("strict", GroupSettings::default().warnings_as_errors(true))
            .group("steady", GroupSettings::default().drains(false))
            .check(orders.clone().ttl(TTL).hold(Hold::NONE).groups(groups))
            .check(stock.clone().ttl(TTL).groups(["ready"]))
            .check(mail.clone().ttl(TTL).groups(["ready"]).non_critical())
            .check(
                alive
                    .clone()
                    .ttl(TTL)
                    .scoped(Scope::Process)
                    .groups(["live"]),
            )
            .build()
            .unwrap();
        let service = HealthService::builder(health.clone())
            .name("shop.v1.Orders", "batch")
            .build()
            .unwrap();
        Self {
            health,
            service,
            orders,
            stock,
            mail,
            alive,
        }
    }

    /// Lets `orders` behave like this from the next read on.
    pub(crate) async fn orders(&self, step: Step) {
        self.orders.script([step]);
        tokio::time::sleep(2 * TTL).await;
    }
}
