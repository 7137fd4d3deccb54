#![doc = include_str!("../README.md")]

mod assertions;
mod clock;
pub mod conformance;
mod script;

pub use assertions::{assert_healthy, assert_row};
pub use clock::ManualClock;
pub use script::{ScriptedCheck, Step};
