//! The conformance suite for adapters. The response of
//! [`Endpoint::respond`](health_core::Endpoint::respond) is the reference: an adapter has to answer
//! each request with the same status, headers and bytes, in process and over a socket.
//!
//! An adapter's `tests/conformance.rs` only mounts the [`Site`] with its framework:
//!
//! ```
//! use std::net::SocketAddr;
//! use bytes::Bytes;
//! use health_core::{Endpoint, Health};
//! use health_testkit::conformance::{Adapter, Site, verify, cases};
//! use http::{Request, Response};
//!
//! struct Broken; // it forgets the query
//!
//! impl Adapter for Broken {
//!     fn ask(&self, site: &Site, mut request: Request<Bytes>) -> Response<Bytes> {
//!         *request.uri_mut() = request.uri().path().parse().unwrap();
//!         let answer = Endpoint::new("/ht/", site.first.clone()).respond(&request);
//!         let mut answer = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(answer);
//!         answer.headers_mut().insert("x-app", "shop".parse().unwrap());
//!         answer
//!     }
//! #   fn serve(&self, _: Site) -> SocketAddr { ([127, 0, 0, 1], 0).into() } // it is asked in process only
//! #   fn listen(&self, _: &str, _: Health) -> std::io::Result<SocketAddr> { Err(std::io::ErrorKind::Unsupported.into()) }
//! }
//!
//! let find = |name| cases().into_iter().find(|case| case.name == name).unwrap();
//! assert_eq!(verify(&Broken, &find("get_accept_json")), Ok(()));
//! assert!(verify(&Broken, &find("format_json")).unwrap_err().contains("content-type"));
//! ```

mod case;
mod cases;
mod compare;
mod http2;
mod site;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
pub use case::{Case, Expected};
pub use cases::cases;
pub use compare::verify;
use health_core::Health;
use http::{Request, Response};
use libtest_mimic::{Arguments, Trial};
pub use site::{Setting, Site};
pub use wire::Connection;

/// A framework with its adapter, as the suite sees it.
pub trait Adapter: Send + Sync + 'static {
    /// Answers a request to the application of a [`Site`] in process, as the framework's own test
    /// client does.
    fn ask(&self, site: &Site, request: Request<Bytes>) -> Response<Bytes>;

    /// Serves the application of a [`Site`] on a free port of 127.0.0.1, for as long as the process
    /// lives.
    fn serve(&self, site: Site) -> SocketAddr;

    /// Returns `true` if the server of [`serve`](Self::serve) also speaks HTTP/2 without TLS, to
    /// clients that begin with it. Every case is then also sent by HTTP/2. *Default*: `true`.
    fn speaks_http2(&self) -> bool {
        true
    }

    /// Calls the adapter's `listen`.
    ///
    /// # Errors
    /// Fails if the adapter's `listen` fails.
    fn listen(&self, path: &str, health: Health) -> io::Result<SocketAddr>;
}

/// Runs the suite, as the `main` of a test with `harness = false`. Each case is a separate test, in
/// process and over a socket. The arguments are those of `cargo test`.
pub fn main(adapter: impl Adapter) -> ExitCode {
    let adapter = Arc::new(adapter);
    let mut trials = Vec::new();
    for case in cases() {
        let case = Arc::new(case);
        if !case.only_over_a_socket {
            let adapter = Arc::clone(&adapter);
            let case = Arc::clone(&case);
            trials.push(Trial::test(
                format!("in_process::{}", case.name),
                move || Ok(verify(&*adapter, &case)?),
            ));
        }
        if adapter.speaks_http2() {
            let name = format!("http2::{}", case.name);
            let case = Arc::clone(&case);
            let adapter = Arc::clone(&adapter);
            trials.push(Trial::test(name, move || {
                Ok(http2::verify(&*adapter, &case)?)
            }));
        }
        let adapter = Arc::clone(&adapter);
        let name = format!("over_a_socket::{}", case.name);
        trials.push(Trial::test(name, move || {
            Ok(wire::verify(&*adapter, &case)?)
        }));
    }
    let together = Arc::clone(&adapter);
    trials.push(Trial::test("over_a_socket::two_at_once", move || {
        Ok(wire::verify_two_at_once(&*together)?)
    }));
    let other = Arc::clone(&adapter);
    trials.push(Trial::test("listen::answers_there_alone", move || {
        Ok(wire::verify_listen(&*adapter)?)
    }));
    trials.push(Trial::test("listen::is_not_starved", move || {
        Ok(wire::verify_starved(&*other)?)
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
