use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use tokio::runtime::{Builder, Runtime};

use super::case::{Case, Expected};
use super::compare::compare;
use super::{Adapter, Setting, Site};

/// The sites that are being served: one server for all cases of a setting.
static SERVED: LazyLock<Mutex<HashMap<Setting, (Site, SocketAddr)>>> =
    LazyLock::new(Mutex::default);

/// Compares the response of an adapter, over a socket, with the reference. Then sends another
/// request on the same connection.
pub(super) fn verify(adapter: &impl Adapter, case: &Case) -> Result<(), String> {
    let (site, address) = served(adapter, case.setting);
    let mut connection =
        Connection::open(address).map_err(|error| format!("can't connect: {error}"))?;
    let answer = connection
        .ask(&case.request())
        .map_err(|error| error.to_string())?;
    compare(case, &site, &answer)?;
    if answer
        .headers()
        .get(CONNECTION)
        .is_some_and(|value| value == "close")
    {
        return Ok(()); // a framework may not want to read the body of a request that it has refused
    }
    let again = Case::new("again", "/").expect(Expected::Own(200, "shop"));
    let answer = connection.ask(&again.request());
    let answer =
        answer.map_err(|error| format!("the next request on the same connection: {error}"))?;
    compare(&again, &site, &answer)
        .map_err(|error| format!("the next answer on the same connection: {error}"))
}

/// Returns the site of a setting, and the address of its server, which is started for the first
/// caller.
pub(super) fn served(adapter: &impl Adapter, setting: Setting) -> (Site, SocketAddr) {
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let serve = || {
        let site = Site::new(setting);
        // The first read differs from later ones, because its runs have not ended. Cases are sent
        // in any order.
        runtime().block_on(async {
            site.first.report().await;
            let _startup = site.first.group_report("startup").await;
        });
        (site.clone(), adapter.serve(site))
    };
    served.entry(setting).or_insert_with(serve).clone()
}

/// Sends two requests before either is answered. The second one must not wait for the first one,
/// which waits for its budget.
pub(super) fn verify_two_at_once(adapter: &impl Adapter) -> Result<(), String> {
    let (site, address) = served(adapter, Setting::Pending);
    let slow = Case::new("slow", "/ht/?format=json").of(Setting::Pending);
    let own = Case::new("own", "/").expect(Expected::Own(200, "shop"));
    let open = || Connection::open(address).map_err(|error| format!("can't connect: {error}"));
    let mut first = open()?;
    let mut second = open()?;
    let failed = |error: io::Error| error.to_string();
    first.send(&slow.request()).map_err(failed)?;
    second.send(&own.request()).map_err(failed)?;
    compare(&own, &site, &second.receive(&Method::GET).map_err(failed)?)?;
    compare(&slow, &site, &first.receive(&Method::GET).map_err(failed)?)
}

/// Checks that a listener serves nothing but the health, that there can be several, and that
/// `listen` can be called from async code.
pub(super) fn verify_listen(adapter: &impl Adapter) -> Result<(), String> {
    let site = Site::new(Setting::Unhealthy);
    let listen = |health| {
        let address = runtime().block_on(async { adapter.listen("/ht/", health) });
        address
            .and_then(Connection::open)
            .map_err(|error| format!("can't listen: {error}"))
    };
    let mut first = listen(site.first.clone())?;
    let mut second = listen(site.second.clone())?;
    for case in [
        Case::new("json", "/ht/?format=json"),
        Case::new("head", "/ht").method("HEAD"),
    ] {
        let mut answer = first
            .ask(&case.request())
            .map_err(|error| error.to_string())?;
        answer
            .headers_mut()
            .insert("x-app", HeaderValue::from_static("shop")); // no application adds it here
        compare(&case, &site, &answer).map_err(|error| format!("{}: {error}", case.name))?;
    }
    expect(&mut first, "/orders/7", 404, "")?;
    expect(
        &mut second,
        "/ht/?format=json",
        500,
        "\"ledger\": \"warning: two entries are late\"",
    )
}

/// Checks that the listener answers in time while the application's runtime is blocked.
pub(super) fn verify_starved(adapter: &impl Adapter) -> Result<(), String> {
    let application = runtime(); // nothing polls it
    let health = application.block_on(async { Site::new(Setting::Healthy).first });
    let address = adapter
        .listen("/ht/", health)
        .map_err(|error| format!("can't listen: {error}"))?;
    let mut connection = Connection::open(address).map_err(|error| error.to_string())?;
    let asked = Instant::now();
    expect(&mut connection, "/ht/live/?format=json", 200, "{}")?;
    expect(
        &mut connection,
        "/ht/ready/?format=json",
        500,
        "unavailable: no result yet",
    )?;
    let took = asked.elapsed();
    if took < Duration::from_secs(1) {
        Ok(())
    } else {
        Err(format!("a prober waits for 1 s, it took {took:?}"))
    }
}

fn expect(
    connection: &mut Connection,
    target: &'static str,
    status: u16,
    part: &str,
) -> Result<(), String> {
    let answer = connection
        .ask(&Case::new("", target).request())
        .map_err(|error| format!("{target}: {error}"))?;
    let body = String::from_utf8_lossy(answer.body());
    let is_right = answer.status() == status && body.contains(part);
    if is_right {
        Ok(())
    } else {
        Err(format!("{target}: {} {body}", answer.status()))
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

/// An HTTP/1.1 connection that shows exactly what was sent: it corrects no length and drops no
/// body.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects to this address. Reading and writing time out after ten seconds.
    ///
    /// # Errors
    /// Fails if it can't connect.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let max_wait = Duration::from_secs(10);
        let stream = TcpStream::connect_timeout(&address, max_wait)?;
        stream.set_read_timeout(Some(max_wait))?;
        stream.set_write_timeout(Some(max_wait))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads its response. The body is as long as the `Content-Length` header
    /// says.
    ///
    /// # Errors
    /// Fails if the connection fails, or if the response is invalid: it has no length, or there are
    /// bytes where the next response should begin.
    pub fn ask(&mut self, request: &Request<Bytes>) -> io::Result<Response<Bytes>> {
        self.send(request)?;
        self.receive(request.method())
    }

    fn send(&mut self, request: &Request<Bytes>) -> io::Result<()> {
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
        head.extend_from_slice(b"host: localhost\r\n");
        for (name, value) in request.headers().iter().filter(|(name, _)| **name != HOST) {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        if !request.body().is_empty() {
            head.extend_from_slice(
                format!("content-length: {}\r\n", request.body().len()).as_bytes(),
            );
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(request.body());
        self.0.get_mut().write_all(&head)
    }

    fn receive(&mut self, method: &Method) -> io::Result<Response<Bytes>> {
        let mut response = self.head()?;
        if response.headers().contains_key(TRANSFER_ENCODING) {
            return Err(wrong("the answer comes in pieces, not with a length"));
        }
        let lengths: Vec<_> = response.headers().get_all(CONTENT_LENGTH).iter().collect();
        let [length] = lengths[..] else {
            return Err(wrong("the answer has not exactly one length"));
        };
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        let length: usize = length.ok_or_else(|| wrong("the length is no number"))?;
        if *method != Method::HEAD {
            let mut body = vec![0; length];
            self.0.read_exact(&mut body)?;
            *response.body_mut() = body.into();
        }
        Ok(response)
    }

    fn head(&mut self) -> io::Result<Response<Bytes>> {
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        let status = status.ok_or_else(|| wrong(&format!("no answer begins with {line:?}")))?;
        let mut response = Response::builder().status(status);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return response.body(Bytes::new()).map_err(io::Error::other);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| wrong(&format!("no header: {line:?}")))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
            response = response.header(name, value.trim());
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }
}

fn wrong(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Returns what a client reports about a server that sends these bytes in response to two
    /// requests.
    fn told(answers: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.write_all(answers.as_bytes())?;
            io::copy(&mut stream, &mut io::sink()) // until the client has seen enough
        });
        let mut connection = Connection::open(address).expect("it listens");
        let head = Case::new("head", "/ht/").method("HEAD").request();
        connection
            .ask(&head)
            .and_then(|_| connection.ask(&head))
            .map_or_else(|error| error.to_string(), |_| "ok".into())
    }

    #[test]
    fn what_is_wrong_on_the_wire_is_seen() {
        let right = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(told(right), "ok");
        let body = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(told(body), "no answer begins with \"{}\"");
        assert!(told("HTTP/1.1 200 OK\r\n\r\n").contains("not exactly one length"));
        assert!(
            told("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").contains("in pieces")
        );
    }
}
