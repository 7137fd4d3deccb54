//! The messages for failures of Redis, whichever client reports them. They are those of the
//! original, if it has one.

use health_core::FailureKind as Kind;

use crate::support::io::Words;

pub(crate) const AUTHENTICATION: Words = (
    Kind::Authentication,
    "Unable to connect to Redis: Authentication error.",
);
pub(crate) const LOST: Words = (Kind::Lost, "Unable to connect to Redis: Connection Error");
pub(crate) const UNREACHED: Words = (
    Kind::Refused,
    "Unable to connect to Redis: Connection was refused.",
);
pub(crate) const TIMEOUT: Words = (Kind::TimedOut, "Unable to connect to Redis: Timeout.");
pub(crate) const DNS: Words = (
    Kind::Dns,
    "Unable to connect to Redis: the host name can't be resolved.",
);
pub(crate) const TLS: Words = (Kind::Tls, "Unable to connect to Redis: TLS failed.");
pub(crate) const NOT_REDIS: Words = (
    Kind::UnexpectedAnswer,
    "the server does not speak Redis' protocol",
);
pub(crate) const REFUSED: Words = (Kind::Other, "Redis refused the command");

/// Returns the text of an error without the arguments of the command, one of which may be a
/// password. Redis quotes them if it does not know the command. `None` if it quotes none.
pub(crate) fn without_arguments(text: &str) -> Option<&str> {
    let (text, _) = text.split_once(", with args beginning with")?;
    Some(text)
}

/// Chooses a message by the first word of the server's response.
pub(crate) fn by_code(code: &str) -> Option<Words> {
    Some(match code {
        "NOAUTH" | "WRONGPASS" => AUTHENTICATION,
        "BUSY" => (Kind::Saturated, "Redis is busy with a script"),
        "OOM" => (Kind::Saturated, "Redis has no memory left"),
        "MISCONF" => (Kind::ReadOnly, "Redis can't save to its disk"),
        "NOREPLICAS" => (Kind::ReadOnly, "Redis has too few replicas to take writes"),
        "DENIED" => (
            Kind::Forbidden,
            "Redis is in protected mode: it wants a password from other hosts",
        ),
        _ => return None,
    })
}

/// Chooses a message by the text, for a response whose code is only `ERR`.
pub(crate) fn by_text(text: &str) -> Option<Words> {
    const WORDS: &[(&str, Words)] = &[
        ("NOAUTH", AUTHENTICATION),
        ("WRONGPASS", AUTHENTICATION),
        // The client drops the code of a response to SELECT.
        ("Authentication required", AUTHENTICATION),
        (
            "loading the dataset",
            (Kind::Saturated, "Redis is loading its data"),
        ),
        (
            "Link with MASTER is down",
            (Kind::Lost, "Redis: its master is down"),
        ),
        (
            "busy running a script",
            (Kind::Saturated, "Redis is busy with a script"),
        ),
        (
            "max number of clients",
            (Kind::Saturated, "Redis takes no more connections"),
        ),
        (
            "DB index is out of range",
            (Kind::NotFound, "Redis has no such database"),
        ),
        (
            "not allowed in cluster mode",
            (
                Kind::Misconfigured,
                "Redis is a cluster, which has database 0 only",
            ),
        ),
        (
            "without any password configured",
            (
                Kind::Misconfigured,
                "Redis wants no password, and the URL has one",
            ),
        ),
        (
            "no password is set",
            (
                Kind::Misconfigured,
                "Redis wants no password, and the URL has one",
            ),
        ),
        ("invalid password", AUTHENTICATION),
        (
            "unknown command",
            (Kind::UnexpectedAnswer, "Redis does not know the command"),
        ),
    ];
    WORDS
        .iter()
        .find(|(part, _)| text.contains(part))
        .map(|(_, words)| *words)
}
