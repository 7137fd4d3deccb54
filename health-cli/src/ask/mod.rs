//! Asks a running endpoint over HTTP, be it ours or somebody else's that speaks its formats.

mod answer;
mod client;
mod failure;
mod target;

pub(crate) use answer::Answer;
pub(crate) use client::{Asked, Client};
pub(crate) use failure::{Failure, late};
pub(crate) use target::URL;
