use diesel::result::{ConnectionError, DatabaseErrorKind, Error};
use diesel_async::SimpleAsyncConnection;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, PoolError};
use health_core::{
    FailureKind, Findings, HealthCheckException, Result, ServiceUnavailable, UnknownError,
};

use super::deadpool;
use crate::support::connection::bb8;
use crate::support::connection::pool::{Ping, PoolUsage};
use crate::support::database_words::{DATABASE_ERROR, diesel as by_text};
use crate::support::io::Words;

const LOST: Words = (FailureKind::Lost, "connection lost");

impl<C> Ping for ::deadpool::managed::Pool<AsyncDieselConnectionManager<C>>
where
    AsyncDieselConnectionManager<C>: ::deadpool::managed::Manager<Type = C, Error = PoolError>,
    C: SimpleAsyncConnection + Send + 'static,
{
    async fn ping(&self, _: &Findings) -> Result {
        select_1(&mut *deadpool::get(self, describe).await?).await
    }

    fn usage(&self) -> Option<PoolUsage> {
        Some(deadpool::usage(self))
    }

    async fn ping_direct(&self) -> Option<Result> {
        use ::deadpool::managed::Manager as _;
        Some(match self.manager().create().await {
            Ok(mut connection) => select_1(&mut connection).await,
            Err(error) => Err(describe(error)),
        })
    }
}

impl<C> Ping for ::bb8::Pool<AsyncDieselConnectionManager<C>>
where
    AsyncDieselConnectionManager<C>: ::bb8::ManageConnection<Connection = C, Error = PoolError>,
    C: SimpleAsyncConnection + Send + 'static,
{
    async fn ping(&self, _: &Findings) -> Result {
        select_1(&mut *bb8::get(self, describe).await?).await
    }

    fn usage(&self) -> Option<PoolUsage> {
        Some(bb8::usage(self))
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(match self.dedicated_connection().await {
            Ok(mut connection) => select_1(&mut connection).await,
            Err(error) => Err(describe(error)),
        })
    }
}

/// Runs `SELECT 1` over the simple protocol, which works behind a pooler as well.
async fn select_1(connection: &mut (impl SimpleAsyncConnection + Send)) -> Result {
    connection
        .batch_execute("SELECT 1")
        .await
        .map_err(|error| describe(PoolError::QueryError(error)))
}

/// Converts an error of the pool to a message that is safe to show to anyone.
fn describe(error: PoolError) -> HealthCheckException {
    let words = match &error {
        PoolError::ConnectionError(ConnectionError::CouldntSetupConfiguration(error))
        | PoolError::QueryError(error) => query_error(error),
        PoolError::ConnectionError(ConnectionError::BadConnection(text)) => {
            by_text(text).or(Some((FailureKind::Lost, "the server can't be reached")))
        }
        PoolError::ConnectionError(_) => {
            Some((FailureKind::Misconfigured, "its options are not valid"))
        }
    };
    let Some((kind, message)) = words else {
        return UnknownError::caused_by(error).into();
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

fn query_error(error: &Error) -> Option<Words> {
    match error {
        Error::DatabaseError(kind, information) => {
            Some(by_text(information.message()).unwrap_or(match kind {
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                    LOST
                }
                DatabaseErrorKind::ReadOnlyTransaction => {
                    (FailureKind::ReadOnly, "the database is read-only")
                }
                _ => DATABASE_ERROR,
            }))
        }
        Error::BrokenTransactionManager => Some((
            FailureKind::UnexpectedAnswer,
            "a transaction of another client was left open on this connection",
        )),
        _ => None,
    }
}
