//! The connection to Redis, and the script.

use std::path::PathBuf;
use std::time::Duration;

use ::redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use health_core::{FailureKind, HealthCheckException, Result, Secret, ServiceUnavailable};
use tokio::sync::Mutex;

use super::message::{Answer, Entry, Exchange, Number, Told};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::redis::{Connection, Server, describe, is_answer};
use crate::support::{file, url};

const SCRIPT: &str = include_str!("exchange.lua");

/// The longest time that the script computes with, in milliseconds: 31 years.
const LONGEST: u64 = 1_000_000_000_000;

/// The address of the server, and the connection.
pub(super) struct Link {
    /// The part of the keys that names the fleet.
    tag: String,
    url: Secret,
    /// The user and the file with the password.
    password: Option<(Option<String>, PathBuf)>,
    tls: TlsSettings,
    connection: Mutex<Option<Connection>>,
    hash: String,
}

impl Link {
    /// `tag` names the fleet in the keys.
    pub(super) fn new(
        tag: String,
        url: Secret,
        password: Option<(Option<String>, PathBuf)>,
        tls: TlsSettings,
    ) -> Self {
        Self {
            tag,
            url,
            password,
            tls,
            connection: Mutex::default(),
            hash: ::redis::Script::new(SCRIPT).get_hash().to_owned(),
        }
    }

    /// Returns an error if the URL and the other settings contradict each other. The password file
    /// may be created later.
    pub(super) fn validate(&self) -> Result<(), Misconfigured> {
        self.server(Some(&"x".into())).map(drop)
    }

    fn server(&self, password: Option<&Secret>) -> Result<Server, Misconfigured> {
        let url = match &self.password {
            Some((username, _)) => url::with_login(&self.url, username.as_deref(), password)?,
            None => self.url.clone(),
        };
        Server::from_url(&url)?.over(self.tls.clone())
    }

    /// Returns the server, with the current password in the file.
    fn server_now(&self) -> Result<Server> {
        let path = self.password.as_ref().map(|(_, path)| path);
        let password = path.map(|path| file::password(path)).transpose()?;
        self.server(password.as_ref()).map_err(file::unreadable)
    }

    /// Returns what no error may show: the URL, and the password in the file.
    fn secrets(&self) -> Vec<Secret> {
        let path = self.password.as_ref().map(|(_, path)| path);
        let password = path.and_then(|path| std::fs::read_to_string(path).ok());
        let password = password.map(|text| Secret::from(text.trim()));
        password.into_iter().chain([self.url.clone()]).collect()
    }

    /// Publishes verdicts and reads those of all replicas, in one step. The future may be dropped
    /// at any time. No error shows a secret.
    pub(super) async fn exchange(&self, exchange: &Exchange) -> Result<Answer> {
        let answer = self.sent(exchange).await;
        answer.map_err(|error| error.conceal(&self.secrets()))
    }

    async fn sent(&self, exchange: &Exchange) -> Result<Answer> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.server_now()?.open().await?,
        };
        let value = match self.send(&mut connection, exchange).await {
            Err(error) if error.redirect_node().is_some() => {
                self.server_now()?.follow(&mut connection, error).await?;
                self.send(&mut connection, exchange).await
            }
            sent => sent,
        };
        // The connection is put back only if the server has answered, even if by an error, because
        // the next exchange must not read a late answer.
        if value.as_ref().err().is_none_or(is_answer) {
            *kept = Some(connection);
        }
        let answer = read(value.map_err(describe)?).ok_or_else(unreadable)?;
        if answer.entries.len() == exchange.wanted.len() {
            Ok(answer)
        } else {
            Err(unreadable())
        }
    }

    /// Runs the script by its hash, or as a whole if the server does not know it.
    async fn send(&self, connection: &mut Connection, exchange: &Exchange) -> RedisResult<Value> {
        let known = self
            .command("EVALSHA", &self.hash, exchange)
            .query_async(&mut connection.client)
            .await;
        match known {
            Err(error) if is_unknown_script(&error) => {
                self.command("EVAL", SCRIPT, exchange)
                    .query_async(&mut connection.client)
                    .await
            }
            known => known,
        }
    }

    fn command(&self, name: &str, script: &str, exchange: &Exchange) -> Cmd {
        let millis = |time: Duration| {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            millis.min(LONGEST)
        };
        let mut command = ::redis::cmd(name);
        command
            .arg(script)
            .arg(3)
            .arg(format!("hc1:{{{}}}:v", self.tag))
            .arg(format!("hc1:{{{}}}:m", self.tag))
            .arg(format!("hc1:{{{}}}:a", self.tag));
        command
            .arg(&exchange.me)
            .arg(u8::from(exchange.leaves))
            .arg(exchange.publications.len());
        for publication in &exchange.publications {
            command
                .arg(&publication.id)
                .arg(publication.seq)
                .arg(u8::from(publication.ok));
            command.arg(millis(publication.age)).arg(&publication.body);
        }
        command.arg(exchange.wanted.len());
        for wanted in &exchange.wanted {
            command
                .arg(&wanted.id)
                .arg(millis(wanted.ttl))
                .arg(millis(wanted.lease))
                .arg(u8::from(wanted.claims))
                .arg(wanted.known.seq)
                .arg(wanted.known.stamp);
        }
        command
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn unreadable() -> HealthCheckException {
    ServiceUnavailable::new("Redis answered with something else")
        .with_kind(FailureKind::UnexpectedAnswer)
        .into()
}

/// Reads the answer of the script.
fn read(value: Value) -> Option<Answer> {
    let Value::Array(values) = value else {
        return None;
    };
    let mut values = values.into_iter();
    let replicas = u32::try_from(number(&values.next()?)?).ok()?;
    let entries = values.map(entry).collect::<Option<_>>()?;
    Some(Answer { replicas, entries })
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(values) = value else {
        return None;
    };
    let [grant, peers, seq, stamp, age, ok, body] = <[Value; 7]>::try_from(values).ok()?;
    let grant = positive(&grant)?;
    let Value::BulkString(body) = body else {
        return None;
    };
    let verdict = match u64::try_from(number(&age)?) {
        Ok(age) => Some(Told {
            number: Number {
                seq: positive(&seq)?,
                stamp: positive(&stamp)?,
            },
            age: Duration::from_millis(age),
            ok: number(&ok)? == 1,
            // A body that is not text is not a verdict.
            body: (!body.is_empty()).then(|| String::from_utf8(body).unwrap_or_default()),
        }),
        Err(_) => None,
    };
    Some(Entry {
        grant: (grant > 0).then_some(grant),
        peers: u32::try_from(number(&peers)?).ok()?,
        verdict,
    })
}

fn positive(value: &Value) -> Option<u64> {
    u64::try_from(number(value)?).ok()
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_password_file_is_not_a_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let password = Some((None, file.path().to_owned()));
        let link = Link::new(
            "shop".into(),
            "redis://h".into(),
            password,
            TlsSettings::default(),
        );
        let said = |link: &Link| {
            link.server_now()
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            said(&link),
            Err("unavailable: password_file is empty".into())
        );
        std::fs::write(file.path(), "hunter2\n").unwrap();
        assert_eq!(said(&link), Ok(()));
        std::fs::remove_file(file.path()).unwrap();
        let unreadable = "unavailable: password_file can't be read";
        assert_eq!(said(&link), Err(unreadable.into()));
    }
}
