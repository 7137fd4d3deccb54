use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_memcached::{AsciiProtocol as _, Client, Error, Status};
use health_core::{HealthCheckException, Result, Secret, ServiceUnavailable, UnknownError};
use tokio::sync::Mutex;

use super::CacheStore;
use crate::kind::Misconfigured;
use crate::support::io;

/// A cache in memcached, through one connection.
#[derive(Clone)]
pub struct MemcachedStore {
    address: String,
    idle: Arc<Mutex<Option<Client>>>,
}

#[derive(Debug, Clone, Copy)]
enum Command<'a> {
    Set(&'a str, &'a str, Duration),
    Get(&'a str),
    Delete(&'a str),
}

impl MemcachedStore {
    /// A server, such as `localhost:11211`.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), idle: Arc::default() }
    }

    pub(super) fn from_url(url: &Secret) -> Result<Self, Misconfigured> {
        let address = url.expose().strip_prefix("memcached://").map(|rest| rest.trim_end_matches('/'));
        let address = address.filter(|address| !address.is_empty() && !address.contains(['/', '@']));
        let address = address.ok_or_else(|| Misconfigured::new("url", "expected memcached://host:11211"))?;
        Ok(Self::new(if address.contains(':') { address.to_owned() } else { format!("{address}:11211") }))
    }

    /// Runs a command on the idle connection; where the server has closed that meanwhile, on a new one.
    async fn run(&self, command: Command<'_>) -> Result<Option<String>> {
        let mut idle = self.idle.lock().await;
        // Taken out, so that a run that is interrupted drops it together with the answer it did not read.
        if let Some(mut client) = idle.take()
            && let Ok(answer) = command.send(&mut client).await
        {
            *idle = Some(client);
            return Ok(answer);
        }
        let mut client = Client::new(format!("tcp://{}", self.address)).await.map_err(describe)?;
        let answer = command.send(&mut client).await.map_err(describe)?;
        *idle = Some(client);
        Ok(answer)
    }
}

impl Command<'_> {
    async fn send(self, client: &mut Client) -> Result<Option<String>, Error> {
        match self {
            Self::Set(key, value, expires_in) => {
                let seconds = i64::try_from(expires_in.as_secs().max(1)).unwrap_or(i64::MAX);
                client.set(key, value, Some(seconds), None).await?;
                Ok(None)
            }
            Self::Get(key) => {
                let data = client.get(key).await?.and_then(|value| value.data);
                Ok(data.map(|data| String::from_utf8_lossy(&data).into_owned()))
            }
            Self::Delete(key) => match client.delete(key).await {
                Err(Error::Protocol(Status::NotFound)) => Ok(None),
                outcome => outcome.map(|()| None),
            },
        }
    }
}

impl CacheStore for MemcachedStore {
    async fn set(&self, key: &str, value: &str, expires_in: Duration) -> Result {
        self.run(Command::Set(key, value, expires_in)).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        self.run(Command::Get(key)).await
    }

    async fn delete(&self, key: &str) -> Result {
        self.run(Command::Delete(key)).await.map(drop)
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore").finish_non_exhaustive()
    }
}

fn describe(error: Error) -> HealthCheckException {
    let message = match &error {
        Error::Connect(error) | Error::Io(error) => io::words(error).unwrap_or("connection lost"),
        Error::ConnectionClosed => "connection lost",
        Error::Protocol(_) => "memcached refused the command",
        Error::ParseError(_) => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_source(error).into()
}
