//! A group of checks: the one decision about it, and the account of time behind a hold.

mod account;
mod judge;
mod rows;

pub(crate) use account::{Account, Change};
pub(crate) use judge::{Age, Judgement, Outcome, Reported, Service, View, judge};
pub(crate) use rows::{Scene, earlier, shutting_down};
