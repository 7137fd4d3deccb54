//! The servers, operations on them, and the resources that this process holds.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Waits for the exclusive right to freeze and kill servers.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

/// Returns a variable that `cargo xtask services env` prints.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask test`, which starts the servers")
    })
}

/// Returns the password in a URL.
pub(crate) fn password(url: &str) -> &str {
    let user = url.split_once("://").unwrap().1.split_once('@').unwrap().0;
    user.split_once(':').unwrap().1
}

/// Returns the port in a URL.
pub(crate) fn port(url: &str) -> u16 {
    let host = url.split_once("://").unwrap().1;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    host.split('/')
        .next()
        .unwrap()
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap()
}

/// Returns the same URL with a port on which no server listens.
pub(crate) fn nobody(url: &str) -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    url.replacen(&format!(":{}", port(url)), &format!(":{free}"), 1)
}

/// A server by its name in `cargo xtask services`.
#[derive(Clone, Copy)]
pub(crate) struct Server(pub(crate) &'static str);

impl Server {
    fn xtask(args: &[&str]) -> String {
        let output = Command::new(variable("HEALTH_XTASK"))
            .arg("services")
            .args(args)
            .stderr(Stdio::inherit())
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "services {args:?}: {}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn up(self) {
        Self::xtask(&["up", self.0]);
    }

    /// Returns the process and all its descendants, the oldest first.
    fn processes(self) -> Vec<u32> {
        let mut all = vec![Self::xtask(&["pid", self.0]).trim().parse().unwrap()];
        let mut next = 0;
        while let Some(process) = all.get(next) {
            let children =
                std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
            all.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(|child| child.parse::<u32>().unwrap()),
            );
            next += 1;
        }
        all
    }

    fn signal(self, name: &str) {
        for process in self.processes() {
            // This is the shell's own `kill`, because not every machine has the program. A process
            // that has ended needs no signal.
            let kill = format!("kill -s {name} {process}");
            Command::new("sh")
                .args(["-c", &kill])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
    }

    /// Stops the server until the guard is dropped. Meanwhile, it keeps its connections and answers
    /// nothing.
    pub(crate) fn freeze(self) -> Frozen {
        let processes = self.processes();
        self.signal("STOP");
        self.wait_while("does not stop", || {
            !processes.iter().all(|process| has_stopped(*process))
        });
        Frozen(processes)
    }

    /// Kills the server and waits until it is gone.
    pub(crate) fn kill(self) {
        let process = self.processes()[0];
        self.signal("KILL");
        let stat = format!("/proc/{process}/stat");
        self.wait_while("does not end", || {
            std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
        });
    }

    fn wait_while(self, what: &str, is_waiting: impl Fn() -> bool) {
        let began = Instant::now();
        while is_waiting() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{} {what}",
                self.0
            );
            std::thread::yield_now();
        }
    }
}

/// Returns `true` once all threads of a process have stopped. One that is at work when the signal
/// arrives may still answer.
fn has_stopped(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let mut states = threads
        .map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
    states.all(|stat| stat.is_empty() || stat.contains(") T ") || stat.contains(") Z "))
}

/// The processes that were stopped; some may have been killed meanwhile.
pub(crate) struct Frozen(Vec<u32>);

impl Drop for Frozen {
    fn drop(&mut self) {
        let processes: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        let resume = format!("kill -s CONT {}", processes.join(" "));
        let _ = Command::new("sh")
            .args(["-c", &resume])
            .stderr(Stdio::null())
            .status();
    }
}

/// The longest wait for resources to be released. Tokio's idle threads for blocking calls end after
/// 10 s.
const SETTLED: Duration = Duration::from_secs(20);

/// The resources of this process: file descriptors, threads, tasks, and connections to servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    descriptors: usize,
    threads: usize,
    tasks: usize,
    connections: Vec<(&'static str, usize)>,
}

impl Held {
    pub(crate) fn now(ports: &[(&'static str, u16)]) -> Self {
        Self {
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            threads: std::fs::read_dir("/proc/self/task").unwrap().count(),
            tasks: tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks(),
            connections: ports
                .iter()
                .map(|(server, port)| (*server, connections(*port)))
                .collect(),
        }
    }

    fn is_no_more_than(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.tasks <= before.tasks
            && self
                .connections
                .iter()
                .zip(&before.connections)
                .all(|(now, before)| now.1 <= before.1)
    }

    /// Waits until the process holds no more than before. Returns what it holds if that takes too
    /// long.
    pub(crate) async fn settles(before: &Self, ports: &[(&'static str, u16)]) -> Result<(), Self> {
        let began = Instant::now();
        loop {
            let now = Self::now(ports);
            if now.is_no_more_than(before) {
                return Ok(());
            }
            if began.elapsed() > SETTLED {
                return Err(now);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Returns the number of established connections from this process to a port of this machine.
fn connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let wanted = format!(":{port:04X}");
    let links = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok());
    let own: Vec<String> = links.map(|link| link.display().to_string()).collect();
    let is_ours = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let to_port = fields
            .get(2)
            .is_some_and(|remote| remote.ends_with(&wanted))
            && fields.get(3) == Some(&"01");
        to_port
            && fields
                .get(9)
                .is_some_and(|inode| own.contains(&format!("socket:[{inode}]")))
    };
    table.lines().filter(is_ours).count()
}
