#![doc = include_str!("../README.md")]

mod assertions;
mod clock;
pub mod conformance;
mod real_time;
mod script;

pub use assertions::{assert_healthy, assert_row};
pub use clock::ManualClock;
pub use real_time::in_real_time;
pub use script::{ScriptedCheck, Step};
