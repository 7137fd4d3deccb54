use std::path::PathBuf;
use std::time::Duration;

use health_core::Health;

/// Touches a file every five seconds while a group is healthy, for exec probes. A probe fails if
/// the file is older than half a minute, which it also is if the whole process hangs.
pub(crate) async fn keep(health: Health, group: &'static str, file: PathBuf) {
    loop {
        if health
            .group_report(group)
            .await
            .is_ok_and(|report| report.healthy)
        {
            let _ = tokio::fs::write(&file, "").await; // the probe reads the age of the file
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use health_core::{CheckExt as _, Heartbeat};

    use super::*;

    #[tokio::test]
    async fn the_file_is_there_while_the_group_is_healthy() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("live");
        let heartbeat = Heartbeat::new("consumer", Duration::from_mins(1));
        let guard = heartbeat.guard();
        guard.beat();
        let health = Health::builder()
            .check(heartbeat.check().groups(["live"]))
            .build()
            .expect("a health");
        let keeping = tokio::spawn(keep(health.clone(), "live", file.clone()));
        let written = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), written)
            .await
            .expect("the file is written");
        let modified = file
            .metadata()
            .and_then(|data| data.modified())
            .expect("a time");
        assert!(
            SystemTime::now()
                .duration_since(modified)
                .is_ok_and(|age| age < Duration::from_secs(30))
        );
        keeping.abort();
        drop(guard);
        std::fs::remove_file(&file).expect("a file");
        let keeping = tokio::spawn(keep(health, "live", file.clone()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!file.exists(), "the consumer has ended");
        keeping.abort();
    }
}
