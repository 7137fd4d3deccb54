//! One table of cases for every way to serve the health: in process, by tonic's server, by axum's
//! beside HTTP routes, and by health-listen's.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod cases;
mod scene;
mod servers;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (server, mount) in servers::ALL {
        for (name, case) in cases::ALL {
            let run = move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build();
                let runtime = Arc::new(runtime?);
                runtime.block_on(async {
                    let scene = scene::Scene::new();
                    let client = mount(scene.service.clone()).await;
                    case(scene, client).await;
                });
                Ok(())
            };
            trials.push(Trial::test(format!("{server}::{name}"), run));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
