//! Measures replicas that share their verdicts: many in one process, by `health-bench`, and eight
//! processes of `health serve`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::facts::output;
use super::row::{Row, Unit};
use super::server::Server;
use super::{folder, pause};

/// The numbers of replicas in one process, and the duration of the measurement in seconds.
const FLEETS: [(u32, &str); 2] = [(50, "30"), (500, "30")];
const OWN: f64 = 60.0;

const PROCESSES: usize = 8;
const CHECKS: usize = 20;
/// The timeout of the checks of the processes. A lease lasts two seconds longer.
const TIMEOUT: f64 = 1.0;

pub(super) fn rows(programs: &Path) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (replicas, seconds) in FLEETS {
        println!("> a fleet of {replicas} replicas");
        let text = output(
            programs.join("health-bench"),
            &["fleet", &replicas.to_string(), seconds],
        )?;
        let numbers: Value =
            serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
        rows.extend(of_fleet(replicas, &numbers)?);
    }
    rows.extend(processes(programs)?);
    Ok(rows)
}

fn of_fleet(replicas: u32, numbers: &Value) -> Result<Vec<Row>, String> {
    let number = |key: &str| {
        numbers[key]
            .as_f64()
            .ok_or_else(|| format!("health-bench did not measure {key}"))
    };
    let all = f64::from(replicas);
    let probes = number("probes")?;
    let row =
        |what: &str, unit, value| Row::new(format!("{replicas} replicas: {what}"), unit, value);
    Ok(vec![
        row("probes of a check per second", Unit::Rate, probes)
            .against(all, "without a fleet, computed")
            .at_most(1.1 + all / OWN),
        row(
            "probes that an outage adds, per replica in half a hold",
            Unit::Rate,
            number("outage")?,
        )
        .at_most(1.0),
        row(
            "ready after half a hold of that outage",
            Unit::Count,
            number("ready")?,
        )
        .against(all, "replicas")
        .ratio_at_least(1.0),
        row(
            "the last replica shows the outage after",
            Unit::Time,
            number("shown")?,
        ),
        row(
            "commands to Redis, per replica and second",
            Unit::Rate,
            number("commands")?,
        )
        .at_most(1.01),
        row(
            "bytes to Redis, per replica and second",
            Unit::Bytes,
            number("bytes_in")?,
        ),
        row(
            "bytes from Redis, per replica and second",
            Unit::Bytes,
            number("bytes_out")?,
        ),
        row("CPU of Redis per second", Unit::Time, number("cpu")?),
        row(
            "the slowest of 100 answers, Redis frozen",
            Unit::Time,
            number("frozen")?,
        )
        .against(number("answer")?, "Redis at work")
        .below(5e-3),
    ])
}

/// A server over HTTP that counts the requests of each replica, and can leave one unanswered.
#[derive(Default)]
struct Counted {
    requests: u32,
    /// Leaves the next request unanswered. Then, the replica that has sent it.
    stalls: bool,
    stalled: Option<(String, Instant)>,
    /// The time of the first later request of another replica.
    replaced: Option<Instant>,
}

/// The processes, which end with this value.
struct Processes(BTreeMap<String, Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for process in self.0.values_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn processes(programs: &Path) -> Result<Vec<Row>, String> {
    println!("> a fleet of {PROCESSES} processes");
    let failed = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let target = listener.local_addr().map_err(failed)?;
    let counted = Arc::new(Mutex::new(Counted::default()));
    let own = Arc::clone(&counted);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&own);
            std::thread::spawn(move || serve(stream, &counted));
        }
    });
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .map_err(failed)?
        .port();
    let mut all = Processes(BTreeMap::new());
    let mut redis = Command::new("redis-server");
    redis
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .stdout(Stdio::null());
    all.0.insert(
        "redis".into(),
        redis
            .spawn()
            .map_err(|error| format!("redis-server: {error}"))?,
    );
    pause(Duration::from_secs(1));
    std::fs::create_dir_all(folder()).map_err(failed)?;
    let mut servers = Vec::new();
    for number in 0..PROCESSES {
        let path = folder().join(format!("fleet-{number}.toml"));
        std::fs::write(&path, config(port, target.port(), number)).map_err(failed)?;
        let mut command = Command::new(programs.join("health"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&path)
            .stderr(Stdio::null());
        servers.push(Server::start(&mut command)?);
    }
    let read = |server: &Server| {
        let address = server
            .address()
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream
            .write_all(b"GET /ht/ HTTP/1.0\r\nConnection: close\r\n\r\n")
            .map_err(failed)?;
        std::io::copy(&mut stream, &mut std::io::sink()).map_err(failed)
    };
    for server in &servers {
        read(server)?;
    }
    pause(Duration::from_secs(5));
    let look = || counted.lock().unwrap_or_else(PoisonError::into_inner);
    let before = look().requests;
    let began = Instant::now();
    pause(Duration::from_secs(30));
    let passed = began.elapsed().as_secs_f64();
    let probes = f64::from(look().requests - before)
        / passed
        / f64::from(u32::try_from(CHECKS).unwrap_or(u32::MAX));

    look().stalls = true;
    let (holder, since) = loop {
        pause(Duration::from_millis(1));
        if let Some(stalled) = look().stalled.clone() {
            break stalled;
        }
    };
    let number: usize = holder
        .parse()
        .map_err(|_| format!("a request of {holder}"))?;
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -s KILL {}", servers[number].pid())])
        .status();
    killed.map_err(failed)?;
    let replaced = loop {
        pause(Duration::from_millis(5));
        match look().replaced {
            Some(at) => break at.duration_since(since).as_secs_f64(),
            None if since.elapsed() > Duration::from_mins(1) => {
                return Err("no replica replaces the holder".into());
            }
            None => {}
        }
    };
    let replicas = f64::from(u32::try_from(PROCESSES).unwrap_or(u32::MAX));
    Ok(vec![
        Row::new(
            format!("{PROCESSES} processes: probes of a check per second"),
            Unit::Rate,
            probes,
        )
        .against(replicas, "without a fleet, computed")
        .at_most(1.1 + replicas / OWN),
        // The lease, and a TTL until the next exchange of another replica.
        Row::new(
            "a holder killed in its probe is replaced after",
            Unit::Time,
            replaced,
        )
        .below(TIMEOUT + 2.0 + 1.2),
    ])
}

fn config(redis: u16, target: u16, number: usize) -> String {
    use std::fmt::Write as _;

    let mut text = format!("[fleet]\nurl = \"redis://127.0.0.1:{redis}/0\"\nname = \"bench\"\n");
    for check in 0..CHECKS {
        let _ = write!(
            text,
            "[[checks]]\nkind = \"http\"\nname = \"check {check}\"\nurl = \"http://127.0.0.1:{target}/{check}\"\nshared = true\n\
             timeout = {TIMEOUT}\nheaders = {{ X-Replica = \"{number}\" }}\n"
        );
    }
    text
}

/// Answers requests until the connection ends.
fn serve(stream: TcpStream, counted: &Mutex<Counted>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut replica = String::new();
    let mut path = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let lower = line.trim().to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("x-replica: ") {
            number.clone_into(&mut replica);
        } else if let Some(rest) = lower.strip_prefix("get ") {
            rest.split(' ')
                .next()
                .unwrap_or_default()
                .clone_into(&mut path);
        } else if lower.is_empty() {
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            counted.requests += 1;
            if path == "/0" && std::mem::take(&mut counted.stalls) {
                counted.stalled = Some((replica.clone(), Instant::now()));
                drop(counted);
                pause(Duration::from_mins(1));
                return;
            }
            let is_after = path == "/0"
                && counted
                    .stalled
                    .as_ref()
                    .is_some_and(|(holder, _)| *holder != replica);
            if is_after && counted.replaced.is_none() {
                counted.replaced = Some(Instant::now());
            }
            drop(counted);
            if reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .is_err()
            {
                return;
            }
        }
        line.clear();
    }
}
