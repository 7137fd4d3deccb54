//! PostgreSQL and MariaDB.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use super::account::Account;
use super::host::{Env, Tool, find};
use super::process::run;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use super::tls;
use crate::Outcome;

/// PostgreSQL: user and database `health`.
#[derive(Debug)]
pub(super) struct Postgres;

impl Service for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn tools(&self) -> &'static [Tool] {
        &[
            ("initdb", "postgresql"),
            ("postgres", "postgresql"),
            ("psql", "postgresql"),
        ]
    }

    fn account(&self) -> Option<&'static str> {
        Some("postgres")
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    fn initialise(&self, home: &Home) -> Outcome {
        write_for(self, home, "password", home.password())?;
        let mut initdb = command(self, home, "initdb")?;
        initdb.args([
            "-D",
            "db",
            "-U",
            "health",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]);
        run(initdb.args(["--auth=scram-sha-256", "--pwfile=password"]))?;
        write_for(self, home, "create.sql", "CREATE DATABASE health\n")?;
        let sql = File::open(home.place().join("create.sql"))
            .map_err(|error| format!("create.sql: {error}"))?;
        let mut single = command(self, home, "postgres")?;
        run(single
            .args(["--single", "-D", "db", "-c", "fsync=off", "postgres"])
            .stdin(Stdio::from(sql)))
    }

    /// Removes the old PID file. A killed server that was not waited for still has its PID, and
    /// would count as a second server.
    fn prepare(&self, home: &Home) -> Outcome {
        let _none_after_a_stop = fs::remove_file(home.place().join("db/postmaster.pid"));
        Ok(())
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = command(self, home, "postgres")?;
        command.args([
            "-D",
            "db",
            "-p",
            home.port(),
            "-c",
            "listen_addresses=127.0.0.1",
        ]);
        command.args([
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=50",
        ]);
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        let mut psql = Command::new(find("psql")?);
        run(psql
            .args(["-w", "-c", "SELECT 1"])
            .envs(self.tool_env(home))
            .env("PGCONNECT_TIMEOUT", "2"))
    }

    /// `TERM` waits until the last client has disconnected.
    fn stop_signal(&self) -> &'static str {
        "INT"
    }

    fn env(&self, home: &Home) -> Env {
        vec![(
            "POSTGRES_URL",
            format!(
                "postgres://health:{}@{}/health",
                home.password(),
                home.address()
            ),
        )]
    }

    fn tool_env(&self, home: &Home) -> Env {
        vec![
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", home.port().to_owned()),
            ("PGUSER", "health".to_owned()),
            ("PGPASSWORD", home.password().to_owned()),
            ("PGDATABASE", "health".to_owned()),
        ]
    }
}

/// MariaDB, with TLS: user and database `health`. The user `mutual` has the same password, and has
/// to present a certificate.
#[derive(Debug)]
pub(super) struct MariaDb;

impl Service for MariaDb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn tools(&self) -> &'static [Tool] {
        &[
            ("mariadbd", "mariadb-server"),
            ("mariadb-install-db", "mariadb-server"),
            ("mariadb", "mariadb-server"),
        ]
    }

    fn account(&self) -> Option<&'static str> {
        Some("mysql")
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    fn initialise(&self, home: &Home) -> Outcome {
        let mut install = command(self, home, "mariadb-install-db")?;
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        run(install.arg("--skip-name-resolve").arg(data(home)))
    }

    /// Writes the certificates and the statements. The server runs the statements at every start,
    /// before it accepts the first connection.
    fn prepare(&self, home: &Home) -> Outcome {
        tls::write(&home.place().join("tls"), Account::of(self.account())?)?;
        let password = home.password();
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS health;\n\
             CREATE USER IF NOT EXISTS health@'%' IDENTIFIED BY '{password}', health@localhost IDENTIFIED BY '{password}';\n\
             GRANT ALL ON health.* TO health@'%', health@localhost WITH GRANT OPTION;\n\
             CREATE USER IF NOT EXISTS mutual@'%' IDENTIFIED BY '{password}' REQUIRE X509;\n\
             GRANT SELECT ON health.* TO mutual@'%';\n\
             GRANT CREATE USER ON *.* TO health@'%', health@localhost;\n\
             ALTER USER root@localhost IDENTIFIED BY '{password}';\n\
             DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';\n\
             FLUSH PRIVILEGES;\n"
        );
        write_for(self, home, "users.sql", &sql)
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = command(self, home, "mariadbd")?;
        command
            .arg("--no-defaults")
            .arg(data(home))
            .arg(format!("--port={}", home.port()));
        command.arg(format!(
            "--init-file={}",
            home.place().join("users.sql").display()
        ));
        // Relative to the data folder, because the path of a socket may have at most 107 bytes.
        command.args([
            "--bind-address=127.0.0.1",
            "--socket=socket",
            "--pid-file=mariadbd.pid",
        ]);
        for (option, file) in [
            ("ca", "ca.pem"),
            ("cert", "server.pem"),
            ("key", "server.key"),
        ] {
            command.arg(format!(
                "--ssl-{option}={}",
                home.place().join("tls").join(file).display()
            ));
        }
        command.args([
            "--skip-log-bin",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
        ]);
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        let mut client = Command::new(find("mariadb")?);
        client.args([
            "--no-defaults",
            "--protocol=tcp",
            "--user=health",
            "--connect-timeout=2",
        ]);
        run(client
            .args(["--execute=SELECT 1", "health"])
            .envs(self.tool_env(home)))
    }

    fn env(&self, home: &Home) -> Env {
        let tls = home.place().join("tls").display().to_string();
        vec![
            (
                "MYSQL_URL",
                format!(
                    "mysql://health:{}@{}/health",
                    home.password(),
                    home.address()
                ),
            ),
            ("MYSQL_TLS", tls),
        ]
    }

    fn tool_env(&self, home: &Home) -> Env {
        vec![
            ("MYSQL_HOST", "127.0.0.1".to_owned()),
            ("MYSQL_TCP_PORT", home.port().to_owned()),
            ("MYSQL_PWD", home.password().to_owned()),
        ]
    }
}

fn data(home: &Home) -> String {
    format!("--datadir={}", home.place().join("db").display())
}

/// Returns a command that runs as the server's own user.
fn command(service: &dyn Service, home: &Home, program: &str) -> Result<Command, String> {
    let mut command = server(find(program)?, home);
    if let Some(account) = Account::of(service.account())? {
        account.runs(&mut command);
    }
    Ok(command)
}

/// Writes a file in the server's folder that only the server's user can read.
fn write_for(service: &dyn Service, home: &Home, name: &str, text: &str) -> Outcome {
    let path = home.place().join(name);
    write_secret(&path, text)?;
    Account::of(service.account())?.map_or(Ok(()), |account| account.owns(&path))
}
