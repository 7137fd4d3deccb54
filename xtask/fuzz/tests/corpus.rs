//! Replays the inputs in `corpus/`: those that have found a fault, and seeds.

use std::path::Path;

use health_fuzz::TARGETS;

#[test]
fn every_target_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let files: Vec<_> = std::fs::read_dir(corpus.join(name))
            .expect("a corpus")
            .flatten()
            .collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let data = std::fs::read(file.path()).expect("a file");
            println!("{}", file.path().display()); // shown if it panics
            target(&data);
        }
    }
}
