//! Queries a running endpoint over HTTP, of this project or of another one with the same formats,
//! or a gRPC service.

mod answer;
mod client;
mod expected;
mod failure;
mod grpc;
mod http;
mod target;
mod words;

pub(crate) use answer::Answer;
pub(crate) use client::{Client, RequestArgs};
use expected::Expected;
pub(crate) use failure::{Failure, late};
pub(crate) use target::URL;
pub(crate) use words::status;
