//! A worker without HTTP of its own, such as a consumer of Kafka, which reports its health itself.
//!
//! ```text
//! cargo run -p example-worker
//! curl http://127.0.0.1:9000/readyz?format=text
//! find /tmp/example-worker.live -mmin -0.5 | grep -q .    # an exec probe, for a pod without a port
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

mod consumer;
mod probe_file;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use consumer::{Message, consume};
use health_core::{BuildError, CheckExt, Endpoint, Endpoints, Gate, Health, Heartbeat, watch_task};
use tokio::sync::mpsc;

/// The timeout of a poll for messages. The consumer beats at least this often.
const POLL: Duration = Duration::from_secs(1);

/// The handles through which the parts of the worker report.
struct Reports {
    partitions: Vec<Heartbeat>,
    model: Gate,
}

impl Reports {
    fn new(partitions: usize) -> Self {
        let heartbeat =
            |partition| Heartbeat::new(format!("partition-{partition}"), Duration::from_secs(30));
        Self {
            partitions: (0..partitions).map(heartbeat).collect(),
            model: Gate::closed("model", "loading the model"),
        }
    }

    /// The health of the worker. A consumer that hangs or has died is restarted, so it is in
    /// `live`.
    fn health(&self, others: impl CheckExt) -> Result<Health, BuildError> {
        let partitions = self
            .partitions
            .iter()
            .map(|heartbeat| heartbeat.check().groups(["live", "ready"]));
        Health::builder()
            .checks(partitions)
            .check(self.model.check())
            .check(others)
            .build()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reports = Reports::new(3);
    let (committed, mut commits) = mpsc::channel::<u64>(16);
    // If a task ends that must not end, the next read shows it.
    let (check, writer) = watch_task("committer", async move {
        while commits.recv().await.is_some() {}
    });
    let health = reports.health(check.groups(["live", "ready"]))?;

    let endpoints: Endpoints = Endpoint::probes(&health)
        .into_iter()
        .chain([Endpoint::new("/ht/", health.clone())])
        .collect();
    let listening = health_listen::listen_endpoints("127.0.0.1:9000", endpoints)?;
    println!("http://{}/ht/", listening.address());
    tokio::spawn(probe_file::keep(
        health.clone(),
        "live",
        PathBuf::from("/tmp/example-worker.live"),
    ));

    tokio::spawn(writer);
    let drained = health.drain_on_sigterm();
    for heartbeat in &reports.partitions {
        let (messages, queue) = mpsc::channel(16);
        tokio::spawn(produce(messages));
        tokio::spawn(consume(
            heartbeat.guard(),
            queue,
            committed.clone(),
            drained.clone(),
        ));
    }
    let model = reports.model.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await; // loads the model
        model.open();
    });
    drained.await;
    Ok(())
}

/// Stands in for a broker.
async fn produce(messages: mpsc::Sender<Message>) {
    let mut offset = 0;
    while messages.send(Message { offset }).await.is_ok() {
        offset += 1;
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use health_core::{Report, check_fn};
    use tokio::time::sleep;

    use super::*;

    fn rows(report: &Report) -> Vec<String> {
        report
            .checks
            .iter()
            .map(|row| format!("{}: {}", row.identifier, row.pretty_status()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_hangs_and_one_that_dies_are_seen() {
        let reports = Reports::new(2);
        let health = reports
            .health(check_fn("broker", || async { Ok(()) }))
            .expect("a health");
        reports.model.open();
        let (committed, mut commits) = mpsc::channel(1);
        let mut senders = Vec::new();
        let mut tasks = Vec::new();
        for heartbeat in &reports.partitions {
            let (messages, queue) = mpsc::channel(16);
            senders.push(messages);
            tasks.push(tokio::spawn(consume(
                heartbeat.guard(),
                queue,
                committed.clone(),
                std::future::pending::<()>(),
            )));
        }
        sleep(Duration::from_secs(5)).await;
        assert!(
            health.group_report("live").await.expect("a group").healthy,
            "no message is no failure"
        );

        // Nothing receives the commits, so the first partition hangs at its second message.
        for offset in 0..3 {
            senders[0].send(Message { offset }).await.expect("a queue");
        }
        tasks[1].abort();
        sleep(Duration::from_secs(40)).await;
        let live = health.group_report("live").await.expect("a group");
        assert!(!live.healthy);
        assert!(
            rows(&live)[0].starts_with("partition-0: unavailable: last heartbeat "),
            "{:?}",
            rows(&live)
        );
        assert_eq!(
            rows(&live)[1],
            "partition-1: unavailable: the task has ended"
        );

        while commits.try_recv().is_ok() || !senders[0].is_closed() && senders[0].capacity() < 16 {
            sleep(POLL).await;
        }
        assert_eq!(
            rows(&health.group_report("live").await.expect("a group"))[0],
            "partition-0: working"
        );
    }
}
