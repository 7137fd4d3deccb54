//! Queries a running endpoint over HTTP: one of this project, or another one with the same formats.

mod answer;
mod client;
mod failure;
mod target;

pub(crate) use answer::Answer;
pub(crate) use client::{Client, RequestArgs};
pub(crate) use failure::{Failure, late};
pub(crate) use target::URL;
