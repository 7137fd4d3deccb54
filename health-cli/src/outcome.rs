//! The result of a command.

/// The service is healthy, or the command succeeded.
pub(crate) const HEALTHY: u8 = 0;
/// The service is unhealthy.
pub(crate) const UNHEALTHY: u8 = 1;
/// Wrong usage or configuration, or no valid response.
pub(crate) const WRONG: u8 = 2;

/// An exit code, or an error.
pub(crate) type Outcome = Result<u8, Box<dyn std::error::Error>>;
