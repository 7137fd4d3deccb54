//! The tests that every example service has to pass.

#[path = "../../shop/served.rs"]
mod served;

/// The service that is tested.
const PROGRAM: &str = env!("CARGO_BIN_EXE_example-rocket");
