//! Queries a running endpoint over HTTP, of this project or of another one with the same formats,
//! or a gRPC service.

mod answer;
mod client;
mod failure;
mod grpc;
mod http;
mod target;

pub(crate) use answer::Answer;
pub(crate) use client::{Client, RequestArgs};
pub(crate) use failure::{Failure, late};
pub(crate) use target::URL;
