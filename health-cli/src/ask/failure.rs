use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The reason why an endpoint gave no verdict, and the address of the endpoint. Contains neither
/// the URL nor a header.
#[derive(Debug)]
pub(crate) struct Failure {
    address: String,
    what: String,
    /// `true` if there was a response, but not an expected one.
    pub(crate) is_answered: bool,
}

impl Failure {
    pub(super) fn answered(address: &str, what: impl Into<String>) -> Self {
        Self {
            address: address.to_owned(),
            what: what.into(),
            is_answered: true,
        }
    }

    pub(super) fn unanswered(address: &str, what: impl Into<String>) -> Self {
        Self {
            address: address.to_owned(),
            what: what.into(),
            is_answered: false,
        }
    }

    pub(super) fn of(address: &str, error: &reqwest::Error, max_wait: Duration) -> Self {
        Self::unanswered(address, describe(error, max_wait))
    }

    /// Returns the reason without the address.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.what)
    }
}

impl Error for Failure {}

/// The message for a response that did not arrive in this time.
pub(crate) fn late(max_wait: Duration) -> String {
    let milliseconds = max_wait.as_secs() * 1000 + u64::from(max_wait.subsec_millis());
    format!(
        "no answer within {}",
        humantime::format_duration(Duration::from_millis(milliseconds))
    )
}

fn describe(error: &reqwest::Error, max_wait: Duration) -> String {
    if error.is_timeout() {
        return late(max_wait);
    }
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        let words = error
            .downcast_ref()
            .map(|error| health_checks::tls_words(error).to_owned())
            .or_else(|| input_output(io?));
        if let Some(words) = words {
            return words;
        }
        // The source of an I/O error is the source of its inner error, which would skip the inner
        // error itself.
        let content = io
            .and_then(io::Error::get_ref)
            .map(|error| error as &(dyn Error + 'static));
        next = content.or_else(|| error.source());
    }
    // The other errors can only be recognised by their debug output.
    let text = format!("{error:?}");
    let known = [
        ("Parse(", "what answers there does not speak HTTP"),
        ("dns error", "the host name can't be resolved"),
        (
            "IncompleteMessage",
            "the connection was closed before the answer",
        ),
    ];
    let words = known
        .into_iter()
        .find(|(sign, _)| text.contains(sign))
        .map(|(_, words)| words);
    words
        .unwrap_or(if error.is_connect() {
            "connection failed"
        } else {
            "connection lost"
        })
        .to_owned()
}

fn input_output(error: &io::Error) -> Option<String> {
    let is_unknown_host = error
        .to_string()
        .contains("failed to lookup address information");
    Some(match error.kind() {
        _ if is_unknown_host && error.raw_os_error().is_none() => {
            "the host name can't be resolved".into()
        }
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::NotFound => "there is no such socket".into(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            "connection lost".into()
        }
        ErrorKind::UnexpectedEof => "the connection was closed before the answer".into(),
        _ if error.raw_os_error().is_some() => error.kind().to_string(),
        _ => return None,
    })
}
