//! `health serve` under load and with callers that disconnect early, against a server that counts
//! connections.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

mod support;

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use support::Server;

const LOAD: Duration = Duration::from_secs(6);
const CALLERS: usize = 16;
const JSON: &str = "/ht/?format=json";

/// Starts a server that accepts connections and counts them.
fn counting_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        listener
            .incoming()
            .for_each(|_| _ = counter.fetch_add(1, Ordering::SeqCst));
    });
    (address, count)
}

/// Returns the number of entries in a folder of a server's `/proc/PID`.
fn count(server: &Server, what: &str) -> usize {
    fs::read_dir(format!("/proc/{}/{what}", server.process.id()))
        .unwrap()
        .count()
}

/// Sends a request, and disconnects before the response.
fn leave(server: &Server) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    write!(stream, "GET {JSON} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
}

#[test]
fn load_is_one_probe_a_second_and_leaves_nothing_behind() {
    let (address, connections) = counting_server();
    let served = Server::of(&format!(
        "[[checks]]\nkind = \"tcp\"\naddress = \"{address}\"\n"
    ));
    let working = (200, "{\"TCP\": \"working\"}".to_owned());
    assert_eq!(served.get(JSON), working);
    sleep(Duration::from_millis(200));
    let before = (count(&served, "fd"), count(&served, "task"));

    let began = Instant::now();
    let answers = AtomicUsize::new(0);
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let served = &served;
            let answers = &answers;
            let working = &working;
            scope.spawn(move || {
                while began.elapsed() < LOAD {
                    if caller % 2 == 0 {
                        leave(served);
                    } else {
                        assert_eq!(served.get(JSON), *working);
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs();
    let probes = connections.load(Ordering::SeqCst);
    assert!(answers.into_inner() > 500, "there was no load");
    assert!(
        probes <= usize::try_from(seconds).unwrap() + 2,
        "{probes} probes in {seconds} s"
    );
    assert!(
        probes >= 3,
        "{probes} probes in {seconds} s: it did not refresh"
    );

    let max_wait = Instant::now() + Duration::from_secs(15);
    let now = || (count(&served, "fd"), count(&served, "task"));
    let is_gone = |after: (usize, usize)| after.0 <= before.0 && after.1 <= before.1;
    let mut after = now();
    while !is_gone(after) && Instant::now() < max_wait {
        sleep(Duration::from_millis(100));
        after = now();
    }
    assert!(
        is_gone(after),
        "descriptors and threads: {before:?} before, {after:?} after"
    );
}
