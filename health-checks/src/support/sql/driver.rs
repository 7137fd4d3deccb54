use std::future::Future;
use std::time::Duration;

#[cfg(feature = "_tls")]
use health_core::Result;
use sqlx::{Connection, Database};

#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::kind::TlsSettings;
#[cfg(feature = "_tls")]
use crate::support::tls::Tls;

/// The connection options of a database.
pub(super) type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// A value of a row, as text; `None` for NULL.
pub(crate) type Text = Option<String>;

/// A database with its driver, and the statements that differ between databases.
///
/// Statements use the simple protocol, as text and without prepared statements. A pooler such as
/// `PgBouncer` may send each transaction to another connection of the server, which does not know a
/// statement that was prepared elsewhere.
pub(crate) trait Driver:
    Database<Connection: Connection<Database = Self, Options: Clone + Sync>>
{
    /// The name of the database in `Debug` output.
    const NAME: &'static str;
    /// Selects 1 and the values that [`takes_writes`](Self::takes_writes) judges, in one command.
    const SELECT_1: &'static str;
    /// Writes something that is then rolled back, if the value above is not enough.
    const TRY_WRITE: Option<&'static str>;
    /// Selects the version, the success, and the checksum in hexadecimal digits from a table of
    /// migrations.
    const MIGRATIONS: &'static str;
    /// Selects 1 if a migration is under way, 0 if none is, and nothing if that is unknown.
    const IS_MIGRATING: Option<&'static str>;

    /// Lets the driver use these TLS settings. If the check has settings of its own, the server is
    /// verified, whatever the URL says, unless the settings switch the verification off.
    #[cfg(feature = "_tls")]
    fn over(options: Options<Self>, _: &Tls) -> Result<Options<Self>> {
        Ok(options)
    }

    /// Limits the time for which the database waits for a lock.
    fn set_lock_timeout(
        connection: &mut Self::Connection,
        time: Duration,
    ) -> impl Future<Output = sqlx::Result<()>> + Send {
        let _ = (connection, time);
        std::future::ready(Ok(()))
    }

    /// Returns all rows of a statement.
    fn rows(
        connection: &mut Self::Connection,
        sql: String,
    ) -> impl Future<Output = sqlx::Result<Vec<Vec<Text>>>> + Send;

    /// Returns the first value of the first row.
    fn value(
        connection: &mut Self::Connection,
        sql: String,
    ) -> impl Future<Output = sqlx::Result<Text>> + Send {
        async move {
            Ok(Self::rows(connection, sql)
                .await?
                .into_iter()
                .flatten()
                .next()
                .flatten())
        }
    }

    /// Returns `true` if the answer to [`SELECT_1`](Self::SELECT_1) says that the database accepts
    /// writes. MariaDB 12 answers in words.
    fn takes_writes(answer: Option<&str>) -> bool {
        answer.is_none_or(|answer| {
            matches!(
                answer.to_ascii_lowercase().as_str(),
                "0" | "f" | "false" | "off"
            )
        })
    }
}

macro_rules! rows {
    () => {
        async fn rows(
            connection: &mut Self::Connection,
            sql: String,
        ) -> sqlx::Result<Vec<Vec<Text>>> {
            use sqlx::Row as _;
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .fetch_all(connection)
                .await?;
            rows.iter()
                .map(|row| {
                    (0..row.len())
                        .map(|column| row.try_get_unchecked(column))
                        .collect()
                })
                .collect()
        }
    };
}

#[cfg(feature = "postgres")]
impl Driver for sqlx::Postgres {
    const NAME: &'static str = "Postgres";
    const SELECT_1: &'static str =
        "SELECT 1, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";
    const TRY_WRITE: Option<&'static str> = None;
    const MIGRATIONS: &'static str =
        "SELECT version, success, encode(checksum, 'hex') FROM {table} ORDER BY version";
    const IS_MIGRATING: Option<&'static str> = None; // a migration is one transaction, whose row is not visible to others

    fn over(mut options: Options<Self>, tls: &Tls) -> Result<Options<Self>> {
        use sqlx::postgres::PgSslMode::{Require, VerifyCa, VerifyFull};
        if *tls.settings() != TlsSettings::default()
            && !matches!(options.get_ssl_mode(), VerifyCa | VerifyFull)
        {
            options = options.ssl_mode(VerifyFull);
        }
        if !tls.settings().verify {
            options = options.ssl_mode(Require);
        }
        if let Some((cert, key)) = tls.identity_pem()? {
            options = options
                .ssl_client_cert_from_pem(cert)
                .ssl_client_key_from_pem(key);
        }
        let verifies = matches!(options.get_ssl_mode(), VerifyCa | VerifyFull);
        if verifies {
            Ok(options.ssl_root_cert_from_pem(tls.pem()?))
        } else {
            Ok(options)
        }
    }

    rows!();
}

#[cfg(feature = "mysql")]
impl Driver for sqlx::MySql {
    const NAME: &'static str = "MySql";
    const SELECT_1: &'static str = "SELECT 1, @@global.read_only, @@global.innodb_read_only";
    const TRY_WRITE: Option<&'static str> = None;
    const MIGRATIONS: &'static str =
        "SELECT version, success, HEX(checksum) FROM {table} ORDER BY version";
    /// Looks for the lock that sqlx's migrator holds while it works. MariaDB has no lock without a
    /// time limit and grants none. There, the state is only known if a statement is seen at work,
    /// or if the user may see the statements of all users.
    const IS_MIGRATING: Option<&'static str> = Some(
        "SELECT CASE \
         WHEN IS_USED_LOCK(LOWER(HEX(1026731422 * CRC32(DATABASE())))) IS NOT NULL THEN 1 \
         WHEN EXISTS (SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() \
         AND command = 'Query' AND (time > 1 OR info REGEXP '^ *(ALTER|CREATE|DROP|RENAME|OPTIMIZE) ')) THEN 1 \
         WHEN VERSION() NOT LIKE '%MariaDB%' THEN 0 \
         WHEN EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type = 'PROCESS' \
         AND REPLACE(grantee, CHAR(39), '') = CURRENT_USER()) THEN 0 END",
    );

    fn over(mut options: Options<Self>, tls: &Tls) -> Result<Options<Self>> {
        use sqlx::mysql::MySqlSslMode::{Required, VerifyCa, VerifyIdentity};
        if *tls.settings() != TlsSettings::default()
            && !matches!(options.get_ssl_mode(), VerifyCa | VerifyIdentity)
        {
            options = options.ssl_mode(VerifyIdentity);
        }
        if !tls.settings().verify {
            options = options.ssl_mode(Required);
        }
        if let Some((cert, key)) = tls.identity_pem()? {
            options = options
                .ssl_client_cert_from_pem(cert)
                .ssl_client_key_from_pem(key);
        }
        let verifies = matches!(options.get_ssl_mode(), VerifyCa | VerifyIdentity);
        if verifies {
            Ok(options.ssl_ca_from_pem(tls.pem()?))
        } else {
            Ok(options)
        }
    }

    rows!();
}

#[cfg(feature = "sqlite")]
impl Driver for sqlx::Sqlite {
    const NAME: &'static str = "Sqlite";
    const SELECT_1: &'static str = "SELECT 1, query_only FROM pragma_query_only";
    const TRY_WRITE: Option<&'static str> =
        Some("CREATE TABLE health_check_try_write (id INTEGER)");
    const MIGRATIONS: &'static str =
        "SELECT version, success, hex(checksum) FROM {table} ORDER BY version";
    const IS_MIGRATING: Option<&'static str> = None;

    async fn set_lock_timeout(
        connection: &mut Self::Connection,
        time: Duration,
    ) -> sqlx::Result<()> {
        let milliseconds = time.as_millis().min(i32::MAX.unsigned_abs().into());
        Self::rows(connection, format!("PRAGMA busy_timeout = {milliseconds}"))
            .await
            .map(drop)
    }

    rows!();
}

#[cfg(all(test, feature = "mysql"))]
mod tests {
    use super::*;

    /// MariaDB 12 has more values than yes and no: see `read_only` in its manual.
    #[test]
    fn whatever_is_not_off_takes_no_writes() {
        for answer in ["0", "OFF", "off"] {
            assert!(sqlx::MySql::takes_writes(Some(answer)), "{answer}");
        }
        for answer in ["1", "ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"] {
            assert!(!sqlx::MySql::takes_writes(Some(answer)), "{answer}");
        }
    }
}
