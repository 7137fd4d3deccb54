use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::case::Case;
use super::compare::compare;
use super::wire::served;
use super::{Adapter, Site};

/// Compares the response of an adapter to a request by HTTP/2 with the reference.
pub(super) fn verify(adapter: &impl Adapter, case: &Case) -> Result<(), String> {
    let (site, address): (Site, _) = served(adapter, case.setting);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let answer = runtime.expect("a runtime can be built").block_on(async {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| format!("can't connect: {error}"))?;
        let handshake = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut client, connection) = handshake.map_err(|error| format!("no HTTP/2: {error}"))?;
        tokio::spawn(connection);
        let (mut head, body) = case.request().into_parts();
        let target = head
            .uri
            .to_string()
            .trim_start_matches("http://localhost")
            .to_owned();
        head.uri = format!("http://localhost{target}")
            .parse()
            .map_err(|error| format!("{target}: {error}"))?;
        let answer = client
            .send_request(Request::from_parts(head, Full::new(body)))
            .await;
        let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| io::Error::other(error).to_string())?;
        Ok::<Response<Bytes>, String>(Response::from_parts(head, body.to_bytes()))
    })?;
    compare(case, &site, &answer)
}
