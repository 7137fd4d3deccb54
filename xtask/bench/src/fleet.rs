//! Measures a fleet: many replicas in this process, each with checks of its own, and a real Redis.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use health_bench::Outcome;
use health_checks::RedisFleet;
use health_core::{CheckExt as _, Health, ServiceUnavailable, check_fn};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::sleep;

const CHECKS: usize = 20;
const TTL: Duration = Duration::from_secs(1);
const OWN: Duration = Duration::from_mins(1);

/// The dependencies of all replicas. They count, and fail together.
#[derive(Default)]
struct Dependencies {
    is_down: AtomicBool,
    probes: [AtomicU32; CHECKS],
}

impl Dependencies {
    fn probes(&self) -> f64 {
        f64::from(
            self.probes
                .iter()
                .map(|probes| probes.load(Ordering::Relaxed))
                .sum::<u32>(),
        )
    }
}

/// A Redis server that ends with the measurement.
struct Redis(Child, u16);

impl Redis {
    fn start() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--maxclients",
            "20000",
        ]);
        Ok(Self(command.stdout(Stdio::null()).spawn()?, port))
    }

    fn signal(&self, name: &str) -> Outcome {
        Command::new("kill")
            .args(["-s", name, &self.0.id().to_string()])
            .status()?;
        Ok(())
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.1)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The counters of Redis: the commands, the bytes that it received and sent, and its CPU time.
#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    commands: f64,
    bytes_in: f64,
    bytes_out: f64,
    cpu: f64,
}

impl Counted {
    async fn now(redis: &mut MultiplexedConnection) -> redis::RedisResult<Self> {
        let mut text: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(redis)
            .await?;
        for section in ["stats", "cpu"] {
            text += &redis::cmd("INFO")
                .arg(section)
                .query_async::<String>(redis)
                .await?;
        }
        let number = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default();
            line.split([',', '\r'])
                .next()
                .and_then(|value| value.parse::<f64>().ok())
                .unwrap_or_default()
        };
        Ok(Self {
            at: Instant::now(),
            commands: number("cmdstat_evalsha:calls="),
            bytes_in: number("total_net_input_bytes:"),
            bytes_out: number("total_net_output_bytes:"),
            cpu: number("used_cpu_user:") + number("used_cpu_sys:"),
        })
    }
}

pub(crate) fn run(runtime: &Runtime, replicas: u32, seconds: u64) -> Outcome {
    runtime.block_on(measure(replicas, Duration::from_secs(seconds)))
}

async fn measure(number: u32, time: Duration) -> Outcome {
    let redis = Redis::start()?;
    let dependencies = Arc::<Dependencies>::default();
    let client = redis::Client::open(redis.url())?;
    let mut reader = loop {
        match client.get_multiplexed_async_connection().await {
            Ok(reader) => break reader,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    let replicas = (0..number)
        .map(|_| replica(&redis, &dependencies))
        .collect::<Result<Vec<_>, _>>()?;
    for replica in &replicas {
        replica.report().await;
    }
    let began = Instant::now();
    for replica in &replicas {
        while !knows(replica, number).await {
            if began.elapsed() > Duration::from_mins(1) {
                return Err("the replicas do not find each other".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    sleep(3 * TTL).await;

    let probes = dependencies.probes();
    let counted = Counted::now(&mut reader).await?;
    sleep(time).await;
    let steady = dependencies.probes() - probes;
    let after = Counted::now(&mut reader).await?;
    let passed = after.at.duration_since(counted.at).as_secs_f64();
    let each = |before: f64, after: f64| (after - before) / passed / f64::from(number);

    let before = answers(&replicas).await;
    redis.signal("STOP")?;
    sleep(Duration::from_secs(2)).await;
    let frozen = answers(&replicas).await;
    redis.signal("CONT")?;
    sleep(Duration::from_secs(15)).await;

    // Half of a hold is a minute.
    let probes = dependencies.probes();
    let half = Duration::from_mins(1);
    dependencies.is_down.store(true, Ordering::Relaxed);
    let outage = Instant::now();
    let mut shown = 0.0;
    for replica in &replicas {
        while replica.report().await.healthy {
            sleep(Duration::from_millis(10)).await;
        }
        shown = outage.elapsed().as_secs_f64();
    }
    sleep(half.saturating_sub(outage.elapsed())).await;
    let extra = dependencies.probes() - probes;
    let mut ready = 0;
    for replica in &replicas {
        ready += u32::from(
            replica
                .group_report("ready")
                .await
                .is_ok_and(|report| report.healthy),
        );
    }
    let checks = f64::from(u32::try_from(CHECKS)?);
    println!(
        "{}",
        json!({
            "replicas": number,
            "probes": steady / passed / checks,
            "commands": each(counted.commands, after.commands),
            "bytes_in": each(counted.bytes_in, after.bytes_in),
            "bytes_out": each(counted.bytes_out, after.bytes_out),
            "cpu": (after.cpu - counted.cpu) / passed,
            "answer": before,
            "frozen": frozen,
            "shown": shown,
            // The probes that the outage adds to those without an outage, per replica.
            "outage": (extra - steady / passed * half.as_secs_f64()) / checks / f64::from(number),
            "ready": ready,
        })
    );
    Ok(())
}

/// Returns `true` once a replica knows this many of them.
async fn knows(replica: &Health, number: u32) -> bool {
    let report = replica.report().await;
    let seen = report.checks.iter().flat_map(|row| &row.observations);
    let replicas = seen.filter(|seen| seen.name == "replicas");
    replicas.map(|seen| seen.value).sum::<f64>() >= f64::from(number)
}

/// Returns the time of the slowest of a hundred answers.
async fn answers(replicas: &[Health]) -> f64 {
    let mut slowest = Duration::ZERO;
    for replica in replicas.iter().cycle().take(100) {
        let began = Instant::now();
        replica.report().await;
        slowest = slowest.max(began.elapsed());
    }
    slowest.as_secs_f64()
}

fn replica(
    redis: &Redis,
    dependencies: &Arc<Dependencies>,
) -> Result<Health, Box<dyn std::error::Error + Send + Sync>> {
    let fleet = RedisFleet::from_url(redis.url())?.name("bench").own(OWN);
    let mut builder = Health::builder().check(fleet.check());
    for number in 0..CHECKS {
        let dependencies = Arc::clone(dependencies);
        let check = check_fn(format!("check {number}"), move || {
            let dependencies = Arc::clone(&dependencies);
            async move {
                dependencies.probes[number].fetch_add(1, Ordering::Relaxed);
                if dependencies.is_down.load(Ordering::Relaxed) {
                    return Err(ServiceUnavailable::new("connection refused").into());
                }
                Ok(())
            }
        });
        builder = builder.check(fleet.share("bench", check).ttl(TTL));
    }
    Ok(builder.build()?)
}
