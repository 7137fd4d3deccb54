//! HAProxy: a rolling restart without a failed request.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{
    Process, Served, ask, config, free_port, get, program, recipe, replaced, run, until,
};

const MAX_WAIT: Duration = Duration::from_secs(20);

struct HaProxy {
    address: String,
    socket: PathBuf,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl HaProxy {
    fn start(first: &str, second: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let socket = folder.path().join("admin.sock");
        let changes = [
            ("/run/haproxy/admin.sock", socket.to_str().unwrap()),
            ("bind :8080", &format!("bind {address}")),
            ("10.0.0.11:8000", first),
            ("10.0.0.12:8000", second),
            // Retries would hide a server that stops too early.
            ("retries 3\n    option redispatch 1", "retries 0"),
        ];
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, replaced(&recipe("haproxy.cfg"), &changes)).unwrap();
        run(program("haproxy", "haproxy").args(["-c", "-f"]).arg(&file));
        let mut command = program("haproxy", "haproxy");
        let process = Process::start(
            command.args(["-db", "-f"]).arg(&file),
            &folder.path().join("log"),
        );
        Self {
            address,
            socket,
            _process: process,
            _folder: folder,
        }
    }

    /// Returns the state of a server and the status code of its last check, from the stats socket.
    fn state(&self, server: &str) -> Option<(String, String)> {
        let stat = stats(&self.socket).ok()?;
        let mut lines = stat
            .trim_start_matches("# ")
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>());
        let names = lines.next()?;
        let row = lines.find(|row| row.get(1) == Some(&server))?;
        let value = |name| Some((*row.get(names.iter().position(|one| *one == name)?)?).to_owned());
        Some((value("status")?, value("check_code")?))
    }

    /// Waits until a server is in this state with this status code.
    fn wait(&self, server: &str, state: &str, code: &str) {
        until(&format!("{server} is {state} for {code}"), MAX_WAIT, || {
            self.state(server)
                .filter(|(is, of)| is == state && of == code)
        });
    }
}

fn stats(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"show stat\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_rolling_restart_behind_haproxy_fails_no_request() {
    let first = Served::start(&config());
    let second = Served::start(&config());
    let haproxy = HaProxy::start(&first.address, &second.address);
    haproxy.wait("shop1", "UP", "200");
    haproxy.wait("shop2", "UP", "200");

    let over = AtomicBool::new(false);
    let answers = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    let count = |is_fine: bool| {
        if is_fine { &answers } else { &failures }.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(2));
    };
    let is_over = || over.load(Ordering::Relaxed);
    let _until_the_clients_have_left = thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !is_over() {
                count(matches!(
                    ask(&haproxy.address, "/ht/live/", ""),
                    Ok((200, _))
                ));
            }
        });
        scope.spawn(|| {
            let mut connection = KeepAlive::open(&haproxy.address).unwrap();
            while !is_over() {
                count(
                    connection
                        .ask("/ht/live/")
                        .is_ok_and(|status| status == 200),
                );
            }
        });
        let first = restart(&haproxy, "shop1", first);
        (first, restart(&haproxy, "shop2", second))
    });
    let answers = answers.into_inner();
    let failures = failures.into_inner();
    assert!(answers > 1000, "there was no load: {answers}");
    assert_eq!(failures, 0, "of {answers}");
}

/// A client that sends all requests over the same connection.
struct KeepAlive(BufReader<TcpStream>);

impl KeepAlive {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self, path: &str) -> std::io::Result<u16> {
        self.0
            .get_mut()
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.ok_or(ErrorKind::InvalidData)?];
        self.0.read_exact(&mut body)?;
        head.split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or(ErrorKind::InvalidData.into())
    }
}

/// Ends the load when dropped, also if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends SIGTERM, and starts a new process at the same address once the old one has ended.
fn restart(haproxy: &HaProxy, name: &str, served: Served) -> Served {
    served.process.terminate();
    haproxy.wait(name, "DOWN", "500");
    assert_eq!(
        get(&served.address, "/ht/live/").0,
        200,
        "it has to serve while it drains"
    );
    let served = served.restart();
    haproxy.wait(name, "UP", "200");
    served
}
