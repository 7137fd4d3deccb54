//! What a command ends with.

/// The service is healthy, or the command did what it was asked to do.
pub(crate) const HEALTHY: u8 = 0;
/// The service is unhealthy.
pub(crate) const UNHEALTHY: u8 = 1;
/// Wrong usage or configuration, or nobody there.
pub(crate) const WRONG: u8 = 2;

/// An exit code, or what is wrong.
pub(crate) type Outcome = Result<u8, Box<dyn std::error::Error>>;
