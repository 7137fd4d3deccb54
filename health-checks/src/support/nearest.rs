/// Names that users know from other tools, and our own.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &[
            "postgres",
            "postgresql",
            "mysql",
            "mariadb",
            "sqlite",
            "db",
            "sql",
            "sqlx",
        ],
        "database",
    ),
    (&["smtp", "email", "lettre"], "mail"),
    (&["amqp", "lapin", "broker"], "rabbitmq"),
    (&["memcached", "caches"], "cache"),
    (&["https", "web", "rest", "ping"], "http"),
    (&["ram", "mem"], "memory"),
    (&["minio", "bucket"], "s3"),
    (&["url", "uri", "dsn", "broker"], "broker_url"),
    (
        &[
            "broker_url",
            "uri",
            "dsn",
            "address",
            "host",
            "hostname",
            "endpoint",
        ],
        "url",
    ),
    (&["url", "uri", "host", "endpoint"], "endpoint_url"),
    (&["url", "uri", "host", "endpoint"], "address"),
    (&["host", "name", "domain", "url"], "hostname"),
    (&["user", "login"], "username"),
    (&["pass", "passwd", "pw", "secret"], "password"),
    (
        &["ca", "cafile", "ca_cert", "cacert", "ssl_ca", "root_cert"],
        "ca_file",
    ),
    (&["cert", "cert_file", "client_certificate"], "client_cert"),
    (&["key", "key_file", "private_key"], "client_key"),
    (
        &["insecure", "skip_verify", "ssl_verify", "tls_verify"],
        "verify",
    ),
    (&["interval", "period", "schedule"], "every"),
    (&["retries", "retry", "attempts"], "thresholds"),
    (&["type"], "kind"),
    (&["cache_for", "max_age", "cache_ttl"], "ttl"),
    (&["group", "tags"], "groups"),
    (&["disabled", "active", "enable"], "enabled"),
    (
        &["max", "threshold", "limit", "disk_usage_max"],
        "usage_max",
    ),
    (&["threshold", "limit", "memory_min", "min_mb"], "min"),
    (&["queue"], "queues"),
    (&["check"], "checks"),
    (&["group"], "groups"),
    (&["expected_status", "status_code", "code"], "status"),
    (&["folder", "directory", "dir"], "path"),
    (
        &["folder", "directory", "dir", "path", "migrations"],
        "source",
    ),
];

/// Returns `; did you mean "path"?`, or an empty text if no name is near.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let small = name.to_ascii_lowercase().replace('-', "_");
    let is_elsewhere = |ours: &&&str| {
        ELSEWHERE
            .iter()
            .any(|(theirs, own)| own == *ours && theirs.contains(&&*small))
    };
    if let Some(ours) = known.iter().find(is_elsewhere) {
        return format!("; did you mean \"{ours}\"?");
    }
    let near = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&small, known), known));
    match near.min() {
        Some((distance, known)) if distance <= (known.len().max(3) / 3).max(1) => {
            format!("; did you mean \"{known}\"?")
        }
        _ => String::new(),
    }
}
