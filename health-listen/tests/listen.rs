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
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "one that says nothing is not waited for: {:?}",
        began.elapsed()
    );
    assert!(
        asked.join().unwrap().starts_with("HTTP/1.1 200 OK"),
        "what was under way is answered"
    );
    assert_eq!(
        TcpStream::connect(address).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_bound_the_oldest_silent_connection_goes_and_a_head_has_a_time() {
    let mut limits = Limits::default();
    assert_eq!(limits.connections, 512);
    assert_eq!(limits.head, Duration::from_secs(30));
    (limits.connections, limits.head) = (3, Duration::from_millis(500));
    let socket = Socket::bind("127.0.0.1:0").unwrap();
    let address = socket.address().unwrap();
    let endpoint = Endpoint::new("/ht/", Health::builder().build().unwrap());
    tokio::spawn(serve(
        vec![socket],
        endpoint,
        limits,
        std::future::pending(),
    ));
    let client = std::thread::spawn(move || {
        let connect = || {
            let stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            stream
        };
        let is_open = |mut stream: &TcpStream| {
            stream.read(&mut [0; 1]).is_err_and(|error| {
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
            })
        };
        let [first, second, third] = [connect(), connect(), connect()];
        assert!(get(address).unwrap().starts_with("HTTP/1.1 200 OK"));
        assert!(!is_open(&first) && is_open(&second) && is_open(&third));
        // Half of a head, sent byte by byte, does not keep its connection open forever.
        let mut dripping = connect();
        let began = Instant::now();
        while dripping.write_all(b"G").is_ok() && is_open(&dripping) {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "a head without end"
            );
        }
        assert!(
            began.elapsed() >= Duration::from_millis(300),
            "{:?}",
            began.elapsed()
        );
    });
    while !client.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.join().unwrap();
}

/// Tests HTTP/2, for clients that begin with it.
#[cfg(feature = "http2")]
mod http2 {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use futures::StreamExt as _;
    use health_listen::serve_service;
    use http::{Request, Response, StatusCode};
    use http_body_util::{BodyExt as _, Empty, StreamBody};
    use hyper::body::{Frame, Incoming};
    use hyper::client::conn::http2::{SendRequest, handshake};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::sync::oneshot;

    use super::*;

    async fn connect(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn ask(
        sender: &mut SendRequest<Empty<Bytes>>,
        path: &str,
    ) -> hyper::Result<Response<Incoming>> {
        sender
            .send_request(
                Request::get(format!("http://a{path}"))
                    .body(Empty::new())
                    .unwrap(),
            )
            .await
    }

    /// A service whose response never ends.
    #[derive(Clone)]
    struct Endless;

    type Frames = futures::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

    impl tower_service::Service<Request<Incoming>> for Endless {
        type Response = Response<StreamBody<Frames>>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Incoming>) -> Self::Future {
            let first =
                futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"first"))) });
            let body = StreamBody::new(first.chain(futures::stream::pending()).boxed());
            Box::pin(async { Ok(Response::new(body)) })
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_endpoint_answers_many_requests_on_one_connection() {
        let socket = Socket::bind("127.0.0.1:0").unwrap();
        let address = socket.address().unwrap();
        let endpoint = Endpoint::new("/ht/", Health::builder().build().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(
            vec![socket],
            endpoint,
            Limits::default(),
            async move { drop(stopped.await) },
        ));
        let mut sender = connect(address).await;
        for (path, status) in [
            ("/ht/", StatusCode::OK),
            ("/ht/nope/", StatusCode::NOT_FOUND),
        ] {
            let response = ask(&mut sender, path).await.unwrap();
            assert_eq!(response.version(), http::Version::HTTP_2, "{path}");
            assert_eq!(response.status(), status, "{path}");
            assert!(
                !response
                    .into_body()
                    .collect()
                    .await
                    .unwrap()
                    .to_bytes()
                    .is_empty()
            );
        }
        stop.send(()).unwrap();
        let began = Instant::now();
        server.await.unwrap().unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "an idle connection is not waited for: {:?}",
            began.elapsed()
        );
        assert!(ask(&mut sender, "/ht/").await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_response_that_is_being_sent_keeps_its_connection_while_another_one_is_idle() {
        let mut limits = Limits::default();
        (limits.connections, limits.grace) = (2, Duration::from_millis(300));
        let socket = Socket::bind("127.0.0.1:0").unwrap();
        let address = socket.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve_service(vec![socket], Endless, limits, async move {
            drop(stopped.await);
        }));
        let mut first = connect(address).await;
        let mut body = ask(&mut first, "/").await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        let mut idle = connect(address).await;
        idle.ready().await.unwrap();
        let mut third = connect(address).await; // in place of the idle one
        let mut other = ask(&mut third, "/").await.unwrap().into_body();
        assert!(other.frame().await.unwrap().is_ok());
        let more = tokio::time::timeout(Duration::from_millis(300), body.frame()).await;
        assert!(more.is_err(), "the first response is still open: {more:?}");
        assert!(
            ask(&mut idle, "/").await.is_err(),
            "the idle connection is closed"
        );
        // Now none is idle, and a probe still gets its answer.
        let mut probe = connect(address).await;
        assert!(ask(&mut probe, "/").await.is_ok());
        let ended = tokio::time::timeout(Duration::from_secs(5), body.frame())
            .await
            .expect("the oldest one ends");
        assert!(ended.is_none_or(|frame| frame.is_err()));
        let more = tokio::time::timeout(Duration::from_millis(300), other.frame()).await;
        assert!(more.is_err(), "the younger one stays: {more:?}");
        stop.send(()).unwrap();
        let began = Instant::now();
        server.await.unwrap().unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "it does not hold the server: {:?}",
            began.elapsed()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn half_of_a_preface_ends_like_half_of_a_head() {
        let mut limits = Limits::default();
        limits.head = Duration::from_millis(500);
        let socket = Socket::bind("127.0.0.1:0").unwrap();
        let address = socket.address().unwrap();
        tokio::spawn(serve_service(
            vec![socket],
            Endless,
            limits,
            std::future::pending(),
        ));
        for preface in [&b"PRI * HT"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            stream.write_all(preface).unwrap();
            let began = Instant::now();
            let ended = std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
            while !ended.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let ended = ended.join().unwrap();
            assert!(
                ended.is_ok()
                    || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
            );
            assert!(
                began.elapsed() >= Duration::from_millis(400),
                "{:?}",
                began.elapsed()
            );
        }
    }
}
