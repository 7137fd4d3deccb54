//! Runs one target of health-fuzz, which the variable `HEALTH_FUZZ_TARGET` names.

#![no_main]

use std::sync::OnceLock;

use health_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("HEALTH_FUZZ_TARGET").expect("HEALTH_FUZZ_TARGET names the target");
    if name == "answer" {
        // A driver may panic in a task of its own, which is contained. The hook of libFuzzer would
        // end the process.
        std::panic::set_hook(Box::new(|_| {}));
    }
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("there is no such target")
        .1
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.get_or_init(target)(data));
