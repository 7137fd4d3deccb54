//! A Redis server that a test starts.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Redis server with its data in memory. It ends with the test.
pub(crate) struct Redis {
    process: Process,
    pub(crate) port: u16,
    options: Vec<String>,
    folder: tempfile::TempDir,
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn spawn(port: u16, options: &[String], folder: &std::path::Path) -> Process {
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    command
        .args(options)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error}; `cargo xtask test` installs it"));
    Process::new(child)
}

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with these options of its command line.
    pub(crate) async fn with(options: &[&str]) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let server = Self {
            process: spawn(port, &options, folder.path()),
            port,
            options,
            folder,
        };
        server.listens().await;
        server
    }

    async fn listens(&self) {
        let began = Instant::now();
        while !self.is_up().await {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "redis-server does not listen"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn is_up(&self) -> bool {
        let Ok(mut connection) = self.try_connect().await else {
            return false;
        };
        redis::cmd("PING").exec_async(&mut connection).await.is_ok()
    }

    async fn try_connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let password = self
            .options
            .iter()
            .skip_while(|option| *option != "--requirepass")
            .nth(1);
        let login = password
            .map(|password| format!(":{password}@"))
            .unwrap_or_default();
        let url = format!("redis://{login}127.0.0.1:{}/0", self.port);
        redis::Client::open(url)
            .unwrap()
            .get_multiplexed_async_connection()
            .await
    }

    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        self.try_connect().await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.process.0.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts the server without its data.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, &self.options, self.folder.path());
        self.listens().await;
    }
}
