//! The engine: what is decided about checks and groups.

pub(crate) mod group;
pub(crate) mod home;
