//! A server that speaks the protocol of S3: rclone, which serves a folder.

use std::fs;
use std::process::Command;

use super::host::{self, Env, Tool};
use super::probe;
use super::service::{Service, server};
use super::state::Home;
use super::venv::RCLONE;
use crate::Outcome;

/// The server refuses names of fewer than three characters.
const BUCKET: &str = "health";
const REGION: &str = "us-east-1";

/// rclone: one key, one bucket, which is a folder.
///
/// It verifies signatures, and tells an unknown key, a wrong secret and a missing bucket apart. It
/// has neither versions nor policies.
#[derive(Debug)]
pub(super) struct S3;

impl Service for S3 {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn tools(&self) -> &'static [Tool] {
        host::PYTHON
    }

    fn install(&self) -> Outcome {
        RCLONE.install()
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("access_key", 12), ("secret_key", 32)]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        let bucket = home.place().join("objects").join(BUCKET);
        fs::create_dir_all(&bucket).map_err(|error| format!("{}: {error}", bucket.display()))
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let program = RCLONE.program("rclone").ok_or("rclone is not installed")?;
        let mut command = server(program, home);
        command.args(["serve", "s3", "objects", "--addr", &home.address()]);
        command.args(["--config", "rclone.conf", "--vfs-cache-mode", "off"]);
        let keys = format!("\"{},{}\"", access_key(home), home.get("secret_key"));
        command.env("RCLONE_AUTH_KEY", keys);
        Ok(command)
    }

    /// Checks that the server refuses a request with an unknown key.
    fn answers(&self, home: &Home) -> Outcome {
        let unknown = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
            X-Amz-Date: 20261201T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
            Credential=nobody/20261201/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, \
            Signature=0000\r\n\r\n";
        probe::talk(home.port(), unknown, b"InvalidAccessKeyId")
    }

    fn env(&self, home: &Home) -> Env {
        vec![
            ("S3_ENDPOINT_URL", format!("http://{}", home.address())),
            ("S3_BUCKET", BUCKET.to_owned()),
            ("AWS_ACCESS_KEY_ID", access_key(home)),
            ("AWS_SECRET_ACCESS_KEY", home.get("secret_key").to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    }
}

fn access_key(home: &Home) -> String {
    format!("AKID{}", home.get("access_key"))
}
