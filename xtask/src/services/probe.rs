//! Sends requests to a server's port that only a running server answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;

/// Sends bytes, and reads until the response contains the expected ones.
pub(super) fn talk(port: &str, send: &[u8], expected: &[u8]) -> Outcome {
    let mut stream = connect(port).and_then(|mut stream| stream.write_all(send).map(|()| stream));
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let stream = stream.as_mut().map_err(|error| error.to_string())?;
        let read = stream
            .read(&mut buffer)
            .map_err(|error| error.to_string())?;
        answer.extend_from_slice(&buffer[..read]);
        if answer
            .windows(expected.len())
            .any(|window| window == expected)
        {
            return Ok(());
        }
        if read == 0 {
            return Err(format!(
                "an unexpected answer: {}",
                String::from_utf8_lossy(&answer)
            ));
        }
    }
}

/// Returns `true` if something listens on the port.
pub(super) fn listens(port: &str) -> bool {
    connect(port).is_ok()
}

fn connect(port: &str) -> std::io::Result<TcpStream> {
    let port = port.parse().map_err(std::io::Error::other)?;
    let limit = Duration::from_secs(2);
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}
