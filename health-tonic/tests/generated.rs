//! Tests that the generated code is that of `proto/health.proto`. With `UPDATE_GENERATED=1`, the test writes it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::Path;

#[test]
fn the_code_is_generated_from_the_messages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let messages = protox::compile(["health.proto"], [root.join("proto")]).unwrap();
    let descriptor = folder.path().join("descriptor.bin");
    tonic_prost_build::configure()
        .out_dir(folder.path())
        .file_descriptor_set_path(&descriptor)
        .build_transport(false)
        .build_client(false)
        .compile_fds(messages.clone())
        .unwrap();
    let code = fs::read(folder.path().join("grpc.health.v1.rs")).unwrap();
    let descriptor = prost::Message::encode_to_vec(&messages);
    for (name, new) in [("generated.rs", code), ("descriptor.bin", descriptor)] {
        let path = root.join("src").join(name);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, &new).unwrap();
        }
        assert!(
            fs::read(&path).unwrap_or_default() == new,
            "{name} differs: run this test with UPDATE_GENERATED=1"
        );
    }
}
