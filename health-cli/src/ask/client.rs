use std::time::Duration;

use health_checks::config;
use health_core::Secret;

use super::expected::Member;
use super::grpc::GrpcClient;
use super::http::HttpClient;
use super::{Answer, Expected, Failure};
use crate::values;

/// Options of the request.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestArgs {
    /// Add a header, or gRPC metadata, to the request; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = values::secret)]
    headers: Vec<Secret>,
    /// Take these status codes alone for healthy, such as 429 of a Vault standby; may be given
    /// several times
    #[arg(long = "status", value_name = "CODE", value_parser = clap::value_parser!(u16).range(100..600))]
    statuses: Vec<u16>,
    /// Take the answer for healthy if its JSON has this value, such as /status=green; may be given
    /// several times
    #[arg(long = "json", value_name = "POINTER=VALUE")]
    json: Vec<Member>,
}

impl RequestArgs {
    pub(crate) fn is_nothing(&self) -> bool {
        self.headers.is_empty() && self.statuses.is_empty() && self.json.is_empty()
    }

    fn expected(&self) -> Expected {
        Expected {
            statuses: self.statuses.clone(),
            json: self.json.clone(),
        }
    }
}

/// A client of one endpoint, or of one gRPC service.
pub(crate) enum Client {
    Http(Box<HttpClient>),
    Grpc(Box<GrpcClient>),
}

impl Client {
    /// Creates a client. The error contains neither the URL nor a header.
    pub(crate) fn new(
        url: &Secret,
        group: Option<&str>,
        asked: &RequestArgs,
    ) -> Result<Self, String> {
        let url = expand(url).map_err(|error| format!("URL: {error}"))?;
        let headers: Vec<_> = asked.headers.iter().map(header).collect::<Result<_, _>>()?;
        if url
            .get(..4)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("grpc"))
        {
            if !asked.statuses.is_empty() || !asked.json.is_empty() {
                return Err(
                    "--status and --json are for HTTP: gRPC has a status of its own".into(),
                );
            }
            return Ok(Self::Grpc(Box::new(GrpcClient::new(
                &url, group, &headers,
            )?)));
        }
        Ok(Self::Http(Box::new(HttpClient::new(
            &url,
            group,
            &headers,
            asked.expected(),
        )?)))
    }

    /// Returns the host and port, or the socket, without secret parts of the URL.
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Http(client) => client.address(),
            Self::Grpc(client) => client.address(),
        }
    }

    /// Requests the report as JSON, or in the format of this name. A gRPC service only has a
    /// status.
    pub(crate) async fn ask(
        &self,
        format: Option<&str>,
        max_wait: Duration,
    ) -> Result<Answer, Failure> {
        match self {
            Self::Http(client) => client.ask(format, max_wait).await,
            Self::Grpc(client) => client.ask(max_wait).await,
        }
    }

    /// Returns `true` if the response can have several formats.
    pub(crate) fn has_formats(&self) -> bool {
        matches!(self, Self::Http(_))
    }
}

fn expand(text: &Secret) -> Result<String, String> {
    config::expand(text.expose(), &|name| std::env::var_os(name))
}

/// Returns the name and the value of a header.
fn header(text: &Secret) -> Result<(String, Secret), String> {
    let text = expand(text).map_err(|error| format!("--header: {error}"))?;
    // The name of a pseudo-header begins with a colon.
    let pseudo = text
        .trim_start()
        .strip_prefix(':')
        .map(|rest| text.len() - rest.len());
    let start = pseudo.unwrap_or_default();
    let end = text[start..]
        .find(':')
        .ok_or("--header: expected NAME: VALUE")?;
    let (name, value) = text.split_at(start + end);
    let value = &value[1..];
    Ok((name.trim().to_owned(), value.trim().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_header_may_be_that_of_a_pseudo_header() {
        for (text, name, value) in [
            ("host: stock.internal:50051", "host", "stock.internal:50051"),
            (":authority: stock.internal", ":authority", "stock.internal"),
            (" X-Mine : 1", "X-Mine", "1"),
            ("a:", "a", ""),
        ] {
            let (is, has) = header(&text.into()).unwrap();
            assert_eq!((is.as_str(), has.expose()), (name, value), "{text}");
        }
        for text in ["", "host", ":authority"] {
            assert!(header(&text.into()).is_err(), "{text}");
        }
    }
}
