//! Tests of the health on a port of its own.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use health_core::{Endpoint, Health, check_fn};
use health_listen::{Limits, Socket, listen, serve};

fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /ht/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_until_it_is_shut_down() {
    let slow = check_fn("slow", || async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok(())
    });
    let health = Health::builder().check(slow).build().unwrap();
    let listening = listen("127.0.0.1:0", "/ht/", health).unwrap();
    let address = listening.address();
    let asked = std::thread::spawn(move || get(address).unwrap());
    let silent = TcpStream::connect(address).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    listening.shutdown();
    let began = Instant::now();
    listening.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "one that says nothing is not waited for: {:?}", began.elapsed());
    assert!(asked.join().unwrap().starts_with("HTTP/1.1 200 OK"), "what was under way is answered");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_bound_the_oldest_silent_connection_goes_and_a_head_has_a_time() {
    let mut limits = Limits::default();
    assert_eq!((limits.connections, limits.head), (512, Duration::from_secs(30)));
    (limits.connections, limits.head) = (3, Duration::from_millis(500));
    let socket = Socket::bind("127.0.0.1:0").unwrap();
    let address = socket.address().unwrap();
    let endpoint = Endpoint::new("/ht/", Health::builder().build().unwrap());
    tokio::spawn(serve(vec![socket], endpoint, limits, std::future::pending()));
    let client = std::thread::spawn(move || {
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            stream
        };
        let is_open = |mut stream: &TcpStream| {
            stream
                .read(&mut [0; 1])
                .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
        };
        let [first, second, third] = [connect(), connect(), connect()];
        assert!(get(address).unwrap().starts_with("HTTP/1.1 200 OK"));
        assert!(!is_open(&first) && is_open(&second) && is_open(&third));
        // Half of a head, sent byte by byte, does not keep its connection open forever.
        let mut dripping = connect();
        let began = Instant::now();
        while dripping.write_all(b"G").is_ok() && is_open(&dripping) {
            assert!(began.elapsed() < Duration::from_secs(5), "a head without end");
        }
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    });
    while !client.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.join().unwrap();
}
