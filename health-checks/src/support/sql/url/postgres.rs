use health_core::Secret;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::super::Target;
use super::super::own::{Role, Servers};
use super::{EXPECTED, connect_timeout, tls_of};
use crate::kind::{HAS_TLS, Misconfigured, TlsSettings};
use crate::support::url::{Host, Url, encode};

/// Parses a URL with the parameters of
/// [libpq](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), and
/// those of `SQLAlchemy`, Prisma and JDBC for the same things.
pub(super) fn read(text: &Secret, tls: &TlsSettings) -> Result<Target, Misconfigured> {
    use PgSslMode::{Allow, Disable, Prefer, Require, VerifyCa, VerifyFull};
    let mut url = Url::parse(text, EXPECTED)?;
    let mut login = vec![
        (
            "dbname",
            url.take(&["dbname"])?
                .or_else(|| url.name().map(str::to_owned)),
        ),
        (
            "user",
            url.take(&["user"])?.or_else(|| url.username.clone()),
        ),
        (
            "password",
            url.take(&["password"])?.or_else(|| url.password.clone()),
        ),
        (
            "application_name",
            url.take(&["application_name", "ApplicationName"])?,
        ),
        ("options", url.take(&["options"])?),
        ("sslcert", url.take(&["sslcert", "ssl-cert"])?),
        ("sslkey", url.take(&["sslkey", "ssl-key"])?),
        (
            "statement-cache-capacity",
            url.take(&["statement-cache-capacity"])?,
        ),
    ];
    let fallback = url.take(&["fallback_application_name"])?;
    let search_path = url.take(&["schema", "currentSchema", "search_path"])?;
    let mut parameters = url.take_named("options[", "]");
    parameters.extend(search_path.map(|path| ("search_path".to_owned(), path)));

    let modes = [
        ("disable", Disable),
        ("allow", Allow),
        ("prefer", Prefer),
        ("require", Require),
        ("verify_ca", VerifyCa),
        ("verify_full", VerifyFull),
    ];
    let mut mode = url.take_word(&["sslmode", "ssl-mode"], &modes)?;
    let ssl = url.take_word(
        &["ssl"],
        &[&modes[..], &[("true", VerifyFull), ("false", Disable)]].concat(),
    )?;
    if let Some(ssl) = ssl
        && mode.replace(ssl).is_some()
    {
        return Err(Misconfigured::new(
            "url",
            "the parameters ssl and sslmode say the same: leave one out",
        ));
    }
    let roots = url.take(&["sslrootcert", "ssl-root-cert", "ssl-ca"])?;
    // As in libpq, a URL that names certificates asks for their verification.
    let is_system = roots.as_deref() == Some("system");
    if is_system {
        mode = Some(VerifyFull);
    } else if roots.is_some() && matches!(mode, None | Some(Require)) {
        mode = Some(VerifyCa);
    } else if roots.is_some() && matches!(mode, Some(Disable | Allow | Prefer)) {
        let why = "sslrootcert would be ignored: write sslmode=verify-ca or sslmode=verify-full";
        return Err(Misconfigured::new("url", why));
    }

    let roles = [
        ("any", None),
        ("read_write", Some(Role::ReadWrite)),
        ("read_only", Some(Role::ReadOnly)),
        ("primary", Some(Role::Primary)),
        ("standby", Some(Role::Standby)),
        ("prefer_standby", Some(Role::PreferStandby)),
    ];
    let connect_timeout = connect_timeout(&mut url)?;
    let role = url
        .take_word(&["target_session_attrs", "targetServerType"], &roles)?
        .flatten();
    // These values are what this client does anyway. It supports no others.
    let binding = url.take_word(
        &["channel_binding"],
        &[("prefer", false), ("disable", false), ("require", true)],
    )?;
    if binding == Some(true) {
        // Channel binding proves that there is no third party in between. This client can only
        // prove that by the certificate.
        mode = Some(VerifyFull);
    }
    url.take_word(&["gssencmode"], &[("prefer", ()), ("disable", ())])?;
    url.take_word(&["sslnegotiation"], &[("postgres", ())])?;
    url.take_word(&["load_balance_hosts"], &[("disable", ())])?;
    url.take_word(
        &["client_encoding", "charset"],
        &[("utf8", ()), ("utf_8", ()), ("auto", ())],
    )?;
    // The password of a client key has no effect without a key.
    let key_password = url.take(&["sslpassword"])?;
    if key_password.is_some()
        && login
            .iter()
            .any(|(name, value)| *name == "sslkey" && value.is_some())
    {
        let why = "the parameter sslpassword: this client reads no encrypted key; decrypt the file of sslkey";
        return Err(Misconfigured::new("url", why));
    }
    let hosts = hosts(&mut url)?;
    url.end()?;

    if !is_system {
        login.push(("sslrootcert", roots.clone()));
    }
    let mut servers = Vec::new();
    for Host { name, port } in hosts {
        let mut all = login.clone();
        all.push(("host", Some(name).filter(|name| !name.is_empty())));
        all.push(("port", port.map(|port| port.to_string())));
        let mut options = options(&all)?.extra_float_digits(None); // PgBouncer refuses it, and the check reads no floats
        if options.get_application_name().is_none() {
            options = options.application_name(fallback.as_deref().unwrap_or("health-check"));
        }
        if let Some(mode) = mode {
            options = options.ssl_mode(mode);
        }
        if !parameters.is_empty() {
            options = options.options(parameters.iter().map(|(name, value)| (name, value))); // an empty list is sent as well
        }
        servers.push(options);
    }
    let is_tls = match servers.first().map(PgConnectOptions::get_ssl_mode) {
        Some(Disable) => false,
        None | Some(Allow | Prefer) => HAS_TLS,
        Some(_) => true,
    };
    let has_identity = login
        .iter()
        .any(|(name, value)| ["sslcert", "sslkey"].contains(name) && value.is_some());
    let tls = tls_of((roots.is_some() && !is_system, has_identity), is_tls, tls)?;
    Ok(Target::Postgres(
        Servers {
            all: servers,
            role,
            connect_timeout,
        },
        tls,
    ))
}

/// Returns the hosts of the URL, or of the parameters `host` and `port`, which may be lists as
/// well.
fn hosts(url: &mut Url) -> Result<Vec<Host>, Misconfigured> {
    let names = url.take(&["host"])?;
    let ports = url.take(&["port"])?;
    let mut hosts = url.hosts.clone();
    let is_named = hosts.iter().any(|host| !host.name.is_empty());
    if let Some(names) = names {
        if is_named {
            return Err(Misconfigured::new(
                "url",
                "a host, and a parameter host: leave one out",
            ));
        }
        let inner = hosts.first().and_then(|host| host.port);
        let host = |name: &str| match name.rsplit_once(':') {
            // SQLAlchemy writes `host:port`. A folder begins with a slash, and an IPv6 address has
            // several colons.
            Some((name, port)) if !name.contains(':') && !name.starts_with('/') => {
                let port = port.parse().map_err(|_| {
                    Misconfigured::new("url", "the parameter host: a port is not a number")
                })?;
                Ok(Host {
                    name: name.to_owned(),
                    port: Some(port),
                })
            }
            _ => Ok(Host {
                name: name.to_owned(),
                port: inner,
            }),
        };
        hosts = names.split(',').map(host).collect::<Result<_, _>>()?;
    }
    if let Some(ports) = ports {
        let ports: Result<Vec<u16>, _> = ports.split(',').map(str::parse).collect();
        let ports = ports
            .map_err(|_| Misconfigured::new("url", "the parameter port: expected a number"))?;
        if ports.len() != 1 && ports.len() != hosts.len() {
            return Err(Misconfigured::new(
                "url",
                "the parameter port: expected one number, or one for each host",
            ));
        }
        for (host, port) in hosts.iter_mut().zip(ports.iter().cycle()) {
            host.port = Some(*port);
        }
    }
    if hosts.len() > 1 && hosts.iter().any(|host| host.name.is_empty()) {
        return Err(Misconfigured::new(
            "url",
            "a list of hosts with an empty one",
        ));
    }
    Ok(hosts)
}

/// Builds the driver's options from a URL. The driver takes them from nothing else, and adds the
/// variables and the password file of PostgreSQL.
fn options(parameters: &[(&str, Option<String>)]) -> Result<PgConnectOptions, Misconfigured> {
    let set = parameters
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<_> = set
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    let options: Result<PgConnectOptions, _> = format!("postgres:///?{}", pairs.join("&")).parse();
    // The driver's error may quote the URL.
    Ok(options
        .map_err(|_| Misconfigured::new("url", "not a valid URL of PostgreSQL"))?
        .disable_statement_logging())
}
