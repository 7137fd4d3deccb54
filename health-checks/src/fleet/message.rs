//! The messages between a replica and its fleet.

use std::time::Duration;

/// The message of a replica: verdicts, and the checks that it asks about.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    /// The name of this process: unique, of visible ASCII characters.
    pub(super) me: String,
    /// `true` if the replica leaves the fleet: it gives up its leases, and is no longer counted.
    pub(super) leaves: bool,
    /// The verdicts that it publishes.
    pub(super) publications: Vec<Publication>,
    /// The checks that it shares.
    pub(super) wanted: Vec<Wanted>,
}

/// A verdict that a replica publishes.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    /// The name of the check within the fleet.
    pub(super) id: String,
    /// The number that came with the lease; 0 for a failure that the replica saw without a lease.
    pub(super) seq: u64,
    /// `true` if the check works, with or without a warning.
    pub(super) ok: bool,
    /// The time since the end of the run.
    pub(super) age: Duration,
    /// The verdict, for the other replicas.
    pub(super) body: String,
}

/// A check that a replica shares.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The name of the check within the fleet.
    pub(super) id: String,
    /// The age at which a verdict has to be replaced.
    pub(super) ttl: Duration,
    /// The duration of a lease: the time that the replica has for the probe.
    pub(super) lease: Duration,
    /// `true` if the replica accepts a lease.
    pub(super) claims: bool,
    /// The verdict that the replica has already.
    pub(super) known: Number,
}

/// The number of a verdict and the time of its run by the clock of Redis. After a failover, a
/// number alone may come again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) seq: u64,
    pub(super) stamp: u64,
}

/// The fleet's answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    /// The number of replicas in the fleet, this one included.
    pub(super) replicas: u32,
    /// The states of the wanted checks, in the same order.
    pub(super) entries: Vec<Entry>,
}

/// The state of a check in the fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// The number of the verdict that this replica has to produce, if it was granted the lease.
    pub(super) grant: Option<u64>,
    /// The number of replicas that share the check, this one included.
    pub(super) peers: u32,
    /// The last verdict.
    pub(super) verdict: Option<Told>,
}

/// A verdict of the fleet.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) number: Number,
    /// The time since the end of its run, at the time of the answer.
    pub(super) age: Duration,
    /// `true` if the check works.
    pub(super) ok: bool,
    /// The verdict, unless the replica has it already.
    pub(super) body: Option<String>,
}
