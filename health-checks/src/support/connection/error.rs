//! The error of a probe, and what it says about the connection.

use health_core::HealthCheckException;

/// The error of a probe. Each protocol decides which of the two it is: there is no conversion from
/// an error that does not know.
#[derive(Debug)]
pub(crate) enum ProbeError {
    /// The server sent this error, so the connection works. It is kept.
    Answered(HealthCheckException),
    /// The connection is lost, silent or out of step, or the server has ended the session. It is
    /// dropped.
    Broken(HealthCheckException),
}

/// The result of a probe, or of a part of it.
pub(crate) type Probed<T = ()> = Result<T, ProbeError>;

impl ProbeError {
    /// Returns [`Answered`](Self::Answered) if the server sent the error and goes on with the
    /// session.
    pub(crate) fn new(is_answer: bool, error: impl Into<HealthCheckException>) -> Self {
        let kind = if is_answer {
            Self::Answered
        } else {
            Self::Broken
        };
        kind(error.into())
    }

    pub(crate) fn broken(error: impl Into<HealthCheckException>) -> Self {
        Self::Broken(error.into())
    }
}

/// Drops what the error says about the connection.
impl From<ProbeError> for HealthCheckException {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Answered(error) | ProbeError::Broken(error) => error,
        }
    }
}
