//! Garage, an S3-compatible server.

use std::process::Command;

use super::host::{self, Env};
use super::install;
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use crate::Outcome;

/// The server refuses names of fewer than three characters.
const BUCKET: &str = "health";
const REGION: &str = "garage";

/// Garage: one node, one key, one bucket.
#[derive(Debug)]
pub(super) struct S3;

impl Service for S3 {
    fn name(&self) -> &'static str {
        "s3"
    }

    fn install(&self) -> Outcome {
        install::garage()
    }

    fn ports(&self) -> &'static [&'static str] {
        &["port", "rpc_port", "admin_port"]
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[
            ("access_key", 12),
            ("secret_key", 32),
            ("rpc_secret", 32),
            ("admin_token", 32),
        ]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        let rpc = home.get("rpc_port");
        let admin = home.get("admin_port");
        let text = format!(
            "metadata_dir = \"{}\"\ndata_dir = \"{}\"\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{}\"\n\
             [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"{}\"\n\
             [admin]\napi_bind_addr = \"127.0.0.1:{admin}\"\nadmin_token = \"{}\"\n",
            home.place().join("meta").display(),
            home.place().join("objects").display(),
            home.get("rpc_secret"),
            home.address(),
            home.get("admin_token"),
        );
        write_secret(&home.place().join("garage.toml"), &text)
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(install::garage_program(), home);
        command.args([
            "-c",
            "garage.toml",
            "server",
            "--single-node",
            "--default-bucket",
        ]);
        command.env("GARAGE_DEFAULT_ACCESS_KEY", access_key(home));
        command
            .env("GARAGE_DEFAULT_SECRET_KEY", home.get("secret_key"))
            .env("GARAGE_DEFAULT_BUCKET", BUCKET);
        Ok(command)
    }

    /// Checks that the bucket exists, and that the server refuses a request without a signature.
    fn answers(&self, home: &Home) -> Outcome {
        let admin = home.get("admin_port");
        let token = home.get("admin_token");
        let bucket = format!(
            "GET /v2/GetBucketInfo?globalAlias={BUCKET} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        probe::talk(admin, bucket.as_bytes(), b"HTTP/1.1 200")?;
        let unsigned = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        probe::talk(home.port(), unsigned, b"HTTP/1.1 403")
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

    fn tool_env(&self, home: &Home) -> Env {
        let path = host::path_with(install::garage_program().parent());
        vec![
            ("PATH", path.to_string_lossy().into_owned()),
            (
                "GARAGE_CONFIG_FILE",
                home.place().join("garage.toml").display().to_string(),
            ),
        ]
    }
}

fn access_key(home: &Home) -> String {
    format!("GK{}", home.get("access_key"))
}
