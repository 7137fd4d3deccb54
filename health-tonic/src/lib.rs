#![doc = include_str!("../README.md")]

mod service;
mod statuses;
mod watch;

#[rustfmt::skip]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    dead_code,
    unreachable_pub,
    unused_qualifications,
    missing_docs,
    reason = "the compiler of protocol buffers wrote it, from the messages of grpc.health.v1"
)]
mod generated;

/// The descriptors of the protocol, for tonic's reflection service.
///
/// ```
/// # fn example() -> Result<(), tonic_reflection::server::Error> {
/// let reflection = tonic_reflection::server::Builder::configure()
///     .register_encoded_file_descriptor_set(health_tonic::FILE_DESCRIPTOR_SET)
///     .build_v1()?;
/// # Ok(())
/// # }
/// ```
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptor.bin");

pub use service::{HealthService, HealthServiceBuilder, NameError, service};
