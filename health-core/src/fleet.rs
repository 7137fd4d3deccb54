//! The exchange between the replicas of a service. Not part of the stable API: `RedisFleet` of
//! health-checks is the only implementation.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::{BuildFault, Result};

/// The longest name of a fleet, in bytes.
pub const LONGEST_NAME: usize = 100;

/// The shortest interval of a replica's own probes.
pub const SHORTEST_OWN: Duration = Duration::from_secs(1);

/// A store in which the replicas of a service share their verdicts. It keeps verdicts and grants
/// leases; the engine decides which verdict a row shows.
pub trait Fleet: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// Returns the name of the fleet, which is the same in all replicas.
    fn name(&self) -> &str;

    /// Returns the name of the machine, which reports show.
    fn host(&self) -> &str;

    /// Returns the interval of the probes that each replica makes for itself.
    fn own(&self) -> Duration;

    /// Publishes verdicts and reads those of all replicas, in one step. The engine drops the future
    /// if it takes too long.
    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> BoxFuture<'a, Result<Answer>>;
}

/// Returns the faults of the settings of a fleet.
pub(crate) fn faults(fleet: &dyn Fleet) -> Vec<BuildFault> {
    let mut faults = Vec::new();
    if fleet.name().trim().is_empty() || fleet.name().len() > LONGEST_NAME {
        faults.push(BuildFault::setting(
            "fleet",
            "its name needs 1 to 100 characters",
        ));
    }
    if fleet.own() < SHORTEST_OWN {
        faults.push(BuildFault::setting("fleet", "own needs at least 1 s"));
    }
    faults
}

/// Prevents implementations outside of this workspace.
pub mod sealed {
    /// The supertrait of [`Fleet`](super::Fleet).
    pub trait Sealed {}
}

/// The message of a replica to the fleet: verdicts, and the checks that it asks about.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The name of this process: unique, of visible ASCII characters.
    pub me: String,
    /// `true` if the replica leaves the fleet: it gives up its leases, and is no longer counted.
    pub leaves: bool,
    /// The verdicts that it publishes.
    pub publications: Vec<Publication>,
    /// The checks that it shares.
    pub wanted: Vec<Wanted>,
}

/// A verdict that a replica publishes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The name of the check within the fleet.
    pub id: String,
    /// The number that came with the lease; 0 for a failure that the replica saw without a lease.
    pub seq: u64,
    /// `true` if the check works, with or without a warning.
    pub ok: bool,
    /// The time since the end of the run.
    pub age: Duration,
    /// The verdict, for the other replicas.
    pub body: String,
}

/// A check that a replica shares.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The name of the check within the fleet.
    pub id: String,
    /// The age at which a verdict has to be replaced.
    pub ttl: Duration,
    /// The duration of the lease: the time that the replica has for the probe.
    pub lease: Duration,
    /// The number of the verdict that the replica has already.
    pub known: u64,
}

/// The fleet's answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The number of replicas, this one included.
    pub replicas: u32,
    /// The states of the wanted checks, in the same order.
    pub entries: Vec<Entry>,
}

/// The state of a check in the fleet.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The number of the verdict that this replica has to produce, if it was granted the lease.
    pub grant: Option<u64>,
    /// The last verdict.
    pub verdict: Option<Shared>,
}

/// A verdict of the fleet.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Its number.
    pub seq: u64,
    /// The time since the end of its run, at the time of the answer.
    pub age: Duration,
    /// `true` if the check works.
    pub ok: bool,
    /// The verdict, unless the replica has it already.
    pub body: Option<String>,
}
