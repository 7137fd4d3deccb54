//! `health serve` under load, and under callers that leave, against a server that counts.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test without any executor may")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const LOAD: Duration = Duration::from_secs(6);
const CALLERS: usize = 16;

/// A server that takes connections and counts them.
fn counting_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    thread::spawn(move || listener.incoming().for_each(|_| _ = counter.fetch_add(1, Ordering::SeqCst)));
    (address, count)
}

struct Served {
    process: Child,
    address: String,
    _config: tempfile::NamedTempFile,
}

impl Served {
    fn start(config: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_health"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(file.path());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix("/ht/")).unwrap().to_owned();
        Self { process, address, _config: file }
    }

    fn send(&self, close: bool) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let connection = if close { "close" } else { "keep-alive" };
        write!(stream, "GET /ht/?format=json HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n").unwrap();
        stream
    }

    fn ask(&self) -> String {
        let mut answer = String::new();
        self.send(true).read_to_string(&mut answer).unwrap();
        answer
    }

    fn count(&self, what: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{what}", self.process.id())).unwrap().count()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn load_is_one_probe_a_second_and_leaves_nothing_behind() {
    let (address, connections) = counting_server();
    let served = Served::start(&format!("[[checks]]\nkind = \"tcp\"\naddress = \"{address}\"\n"));
    assert!(served.ask().ends_with("{\"TCP\": \"working\"}"));
    sleep(Duration::from_millis(200));
    let before = (served.count("fd"), served.count("task"));

    let (began, answers) = (Instant::now(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (served, answers) = (&served, &answers);
            scope.spawn(move || {
                while began.elapsed() < LOAD {
                    if caller % 2 == 0 {
                        drop(served.send(false)); // it leaves before the answer
                    } else {
                        let answer = served.ask();
                        assert!(
                            answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"TCP\": \"working\"}"),
                            "{answer}"
                        );
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (seconds, probes) = (began.elapsed().as_secs(), connections.load(Ordering::SeqCst));
    assert!(answers.into_inner() > 500, "there was no load");
    assert!(probes <= usize::try_from(seconds).unwrap() + 2, "{probes} probes in {seconds} s");
    assert!(probes >= 3, "{probes} probes in {seconds} s: it did not refresh");

    let patience = Instant::now() + Duration::from_secs(15);
    let after = || (served.count("fd"), served.count("task"));
    while after() > before && Instant::now() < patience {
        sleep(Duration::from_millis(100));
    }
    assert!(
        after().0 <= before.0 && after().1 <= before.1,
        "descriptors and threads: {before:?} before, {:?} after",
        after()
    );
}
