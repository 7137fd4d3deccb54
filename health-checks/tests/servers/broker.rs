//! Tests `rabbitmq`, `celery` and `celery_ping`, over RabbitMQ and Redis.

use std::time::{Duration, Instant};

use health_core::Health;

use crate::harness::{Server, alone, nobody, password, variable};
use crate::scenario::{Scenario, TIMEOUT, health, look, says};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq() {
    let _alone = alone().await;
    let url = variable("BROKER_URL");
    let check = |url: &str| format!("kind = \"rabbitmq\"\nurl = \"{url}\"");
    let rabbitmq = Scenario {
        server: Server("rabbitmq"),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: Unable to connect to RabbitMQ: Connection was refused.",
        wrong_password: Some((
            check(&url.replace(password(&url), "wrong")),
            "unavailable: Unable to connect to RabbitMQ: Authentication error.",
        )),
        secret: Some(password(&url).to_owned()),
    };
    rabbitmq.play().await;
    let vhost = health(&check(&url.replace("%2f", "nowhere")));
    let message =
        "unavailable: Unable to connect to RabbitMQ: no such virtual host, or no right to it.";
    rabbitmq
        .expect(&vhost, message, "unknown virtual host")
        .await;
    Server("celery").up(); // its worker may have given up meanwhile
}

/// A broker that is frozen in the middle of the handshake holds the client's thread for the
/// connection. A few attempts may be under way at the same time, so that one that stalls for ever
/// does not block the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_rabbitmq_costs_a_few_threads_however_often_it_is_asked() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("rabbitmq").up());
    let check = format!("kind = \"rabbitmq\"\nurl = \"{}\"", variable("BROKER_URL"));
    let subject = crate::scenario::health_within(&check, Duration::from_secs(1));
    assert_eq!(says(&subject).await, "working");
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let frozen = Server("rabbitmq").freeze();
    assert_eq!(
        says(&subject).await,
        "unavailable: Unable to connect to RabbitMQ: Timeout."
    );
    let before = threads();
    for _ in 0..10 {
        assert_eq!(
            says(&subject).await,
            "unavailable: Unable to connect to RabbitMQ: Timeout."
        );
    }
    assert!(
        threads() <= before + 3,
        "{} threads, {before} before",
        threads()
    ); // Tokio's own idle ones may have ended
    drop(frozen);
    let began = Instant::now();
    while says(&subject).await != "working" {
        assert!(began.elapsed() < Duration::from_secs(5), "thawed, it works");
    }
}

/// A broker with its worker.
struct Celery {
    broker: Server,
    worker: Server,
    url: String,
    refused: &'static str,
    authentication: &'static str,
}

fn over_rabbitmq() -> Celery {
    Celery {
        broker: Server("rabbitmq"),
        worker: Server("celery"),
        url: variable("BROKER_URL"),
        refused: "unavailable: Unable to connect to RabbitMQ: Connection was refused.",
        authentication: "unavailable: Unable to connect to RabbitMQ: Authentication error.",
    }
}

fn over_redis() -> Celery {
    Celery {
        broker: Server("redis"),
        worker: Server("celery-redis"),
        url: variable("CELERY_REDIS_URL"),
        refused: "unavailable: Unable to connect to Redis: Connection was refused.",
        authentication: "unavailable: Unable to connect to Redis: Authentication error.",
    }
}

impl Celery {
    fn check(kind: &str, url: &str, more: &str) -> String {
        format!("kind = \"{kind}\"\nbroker_url = \"{url}\"\n{more}")
    }

    /// Starts the worker, in case an earlier test has stopped it.
    fn up(&self) {
        tokio::task::block_in_place(|| self.worker.up());
    }

    /// Waits until the worker is back, after its broker was gone.
    async fn settles(&self, subject: &Health) {
        let began = Instant::now();
        while says(subject).await != "working" {
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "{} does not come back",
                self.worker.0
            );
        }
    }

    /// Tests a check over a broker, while the broker or the worker fails.
    async fn play(&self, kind: &str, more: &str, worker_frozen: &[&str], worker_away: &str) {
        self.up();
        let url = &self.url;
        let secret = password(&self.url);
        let subject = health(&Self::check(kind, url, more));
        self.settles(&subject).await;
        let at_once = |url: &str| health(&Self::check(kind, url, more));
        for (subject, message) in [
            (at_once(&nobody(url)), self.refused),
            (at_once(&url.replace(secret, "wrong")), self.authentication),
        ] {
            let (said, took) = look(&subject, Some(secret)).await;
            assert_eq!(said, message, "{kind} over {}", self.broker.0);
            assert!(took < TIMEOUT, "{took:?}");
        }

        let frozen = self.worker.freeze();
        let (said, took) = look(&subject, Some(secret)).await;
        assert!(
            worker_frozen.contains(&said.as_str()) && took < TIMEOUT,
            "{kind}, worker frozen: {said} after {took:?}"
        );
        drop(frozen);
        self.settles(&subject).await;

        self.worker.kill();
        let (said, took) = look(&subject, Some(secret)).await;
        assert!(took < TIMEOUT + Duration::from_millis(500), "{took:?}");
        assert_eq!(
            said, worker_away,
            "{kind} over {}, worker killed",
            self.broker.0
        );
        tokio::task::block_in_place(|| self.worker.up());
        self.settles(&subject).await;

        let frozen = self.broker.freeze();
        let (said, took) = look(&subject, Some(secret)).await;
        drop(frozen);
        assert!(
            said.starts_with("unavailable: ") && took < TIMEOUT + Duration::from_millis(500),
            "{said} {took:?}"
        );
        println!(
            "{kind} over {}: frozen: {said} after {took:?}",
            self.broker.0
        );
        self.settles(&subject).await;

        let frozen = self.broker.freeze();
        let run = tokio::spawn(async move { look(&subject, None).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.broker.kill();
        drop(frozen);
        let (said, took) = run.await.unwrap();
        assert!(
            said.starts_with("unavailable: ") && took < TIMEOUT + Duration::from_millis(500),
            "{said} {took:?}"
        );
        tokio::task::block_in_place(|| (self.broker.up(), self.worker.up()));
        self.settles(&health(&Self::check(kind, url, more))).await;
    }
}

const LATE: &str = "unavailable: TimeoutError: The task took too long to return a result";
const NOBODY: &str = "unavailable: No worker for Celery task queue celery";
const SHORT: &str = "result_timeout = \"1s\"\nqueue_timeout = \"1s\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn celery_over_rabbitmq() {
    let _alone = alone().await;
    let celery = over_rabbitmq();
    celery.play("celery", SHORT, &[LATE], NOBODY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn celery_over_redis() {
    let _alone = alone().await;
    let celery = over_redis();
    // To Redis, a worker that is frozen before it takes the task is the same as a missing one.
    celery.play("celery", SHORT, &[LATE, NOBODY], NOBODY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn celery_ping_over_rabbitmq() {
    let _alone = alone().await;
    let away = "unavailable: Celery workers unavailable";
    let celery = over_rabbitmq();
    celery
        .play("celery_ping", "queues = [\"celery\"]\n", &[away], away)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn celery_ping_over_redis() {
    let _alone = alone().await;
    let away = "unavailable: Celery workers unavailable";
    let celery = over_redis();
    celery
        .play("celery_ping", "queues = [\"celery\"]\n", &[away], away)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_task_is_told_apart() {
    let _alone = alone().await;
    for celery in [over_rabbitmq(), over_redis()] {
        celery.up();
        celery
            .settles(&health(&Celery::check("celery", &celery.url, "")))
            .await;
        let said =
            async |kind, more: &str| says(&health(&Celery::check(kind, &celery.url, more))).await;
        let unknown =
            "unavailable: the worker does not know the task: define it, or name another one";
        assert_eq!(
            said("celery", "task = \"no.such.task\"").await,
            unknown,
            "{}",
            celery.broker.0
        );
        let wrong = "unexpected result: Celery returned wrong result";
        assert_eq!(
            said("celery", "task = \"tests.wrong\"").await,
            wrong,
            "{}",
            celery.broker.0
        );
        let failed = "unavailable: the task failed: ValueError";
        assert_eq!(
            said("celery", "task = \"tests.fails\"").await,
            failed,
            "{}",
            celery.broker.0
        );
        let late = said(
            "celery",
            "task = \"tests.slow\"\nresult_timeout = \"300ms\"",
        )
        .await;
        assert_eq!(late, LATE, "{}", celery.broker.0);
        tokio::time::sleep(Duration::from_secs(2)).await; // until the slow one is done
        let revoked = said("celery", "queue_timeout = 0").await;
        let expected = "unavailable: TaskRevokedError: The task was revoked, likely because it spent too long in the queue";
        assert_eq!(revoked, expected, "{}", celery.broker.0);
        let nobody = said("celery", &format!("queues = [\"mails\"]\n{SHORT}")).await;
        assert_eq!(
            nobody, "unavailable: No worker for Celery task queue mails",
            "{}",
            celery.broker.0
        );
        let nobody = said("celery_ping", "queues = [\"celery\", \"mails\"]").await;
        assert_eq!(
            nobody, "unavailable: No worker for Celery task queue mails",
            "{}",
            celery.broker.0
        );
    }
}

/// A worker of the solo pool, which does nothing else while it works on a task. It is killed on
/// drop.
struct Solo(std::process::Child);

impl Solo {
    fn start(service: &str) -> Self {
        Self::with(service, &[])
    }

    /// Starts a worker with these variables, which the tasks' module reads.
    fn with(service: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = std::process::Command::new(variable("HEALTH_XTASK"));
        command.args([
            "services",
            "exec",
            service,
            "python",
            "-m",
            "celery",
            "-A",
            "tasks",
            "worker",
            "--pool=solo",
        ]);
        command.args([
            "-Q",
            "solo",
            "-n",
            "solo@localhost",
            "--without-gossip",
            "--without-mingle",
        ]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        Self(command.envs(variables.iter().copied()).spawn().unwrap())
    }
}

impl Drop for Solo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_worker_of_the_solo_pool_is_judged_as_it_is_said() {
    let _alone = alone().await;
    for celery in [over_rabbitmq(), over_redis()] {
        celery.up();
        let solo = Solo::start(celery.worker.0);
        celery
            .settles(&health(&Celery::check(
                "celery_ping",
                &celery.url,
                "queues = [\"solo\"]",
            )))
            .await;
        let frozen = celery.worker.freeze(); // only the busy one is left
        let busy = "queues = [\"solo\"]\ntask = \"tests.busy\"\nqueue_timeout = \"1s\"\nresult_timeout = \"300ms\"";
        assert_eq!(
            says(&health(&Celery::check("celery", &celery.url, busy))).await,
            LATE
        );
        let ping = |more: &str| {
            let check = Celery::check("celery_ping", &celery.url, more);
            crate::scenario::health_within(&check, Duration::from_secs(5))
        };
        let unavailable = "unavailable: Celery workers unavailable";
        let strict = ping("busy_is_alive = false");
        let lenient = ping("busy_is_alive = true");
        let (strict, lenient) = tokio::join!(says(&strict), says(&lenient));
        assert_eq!(strict, unavailable, "over {}", celery.broker.0);
        assert_eq!(lenient, "working", "over {}", celery.broker.0);
        drop(frozen);
        celery.worker.kill();
        drop(solo);
        let began = Instant::now();
        while says(&ping("busy_is_alive = true")).await != unavailable {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "nobody is left over {}",
                celery.broker.0
            );
        }
        tokio::task::block_in_place(|| celery.worker.up());
        celery
            .settles(&health(&Celery::check("celery_ping", &celery.url, "")))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_rabbitmq_may_be_kept_in_redis_and_of_redis_be_sent_back() {
    let _alone = alone().await;
    let redis = variable("CELERY_REDIS_URL");
    // The workers answer in their own backend, so a check that looks elsewhere gets no answer in
    // time.
    let more = format!("result_backend = \"{redis}\"\n{SHORT}");
    assert_eq!(
        says(&health(&Celery::check(
            "celery",
            &variable("BROKER_URL"),
            &more
        )))
        .await,
        LATE
    );
    let more = format!("result_backend = \"rpc://\"\n{SHORT}");
    assert_eq!(
        says(&health(&Celery::check("celery", &redis, &more))).await,
        LATE
    );
}

/// kombu puts its `global_keyprefix` before every key, and Celery separates its own from the name
/// of a result. `control_exchange` is the name of the broadcasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefixes_and_the_control_exchange_are_the_workers_own() {
    let _alone = alone().await;
    let rabbitmq = over_rabbitmq();
    let redis = over_redis();
    rabbitmq.up();
    redis.up();
    let queue = "queues = [\"solo\"]\n";
    for (celery, variables, keys) in [
        (
            &redis,
            [("CELERY_PREFIX", "app"), ("CELERY_CONTROL", "shop")],
            "global_keyprefix = \"app\"\n",
        ),
        (
            &rabbitmq,
            [("CELERY_PREFIX", ""), ("CELERY_CONTROL", "shop")],
            "",
        ),
    ] {
        let solo = Solo::with(celery.worker.0, &variables);
        let ping = format!("{queue}{keys}control_exchange = \"shop\"\n");
        celery
            .settles(&health(&Celery::check("celery_ping", &celery.url, &ping)))
            .await;
        let task = health(&Celery::check(
            "celery",
            &celery.url,
            &format!("{queue}{keys}"),
        ));
        assert_eq!(says(&task).await, "working", "{}", celery.broker.0);
        // The other workers have none of these settings, and still answer the checks without keys.
        celery
            .settles(&health(&Celery::check(
                "celery_ping",
                &celery.url,
                "queues = [\"celery\"]",
            )))
            .await;
        drop(solo);
    }
}

/// In Redis, a task that no worker has taken may never be taken, or it may wait for a busy worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_worker_on_redis_is_told_from_none() {
    let _alone = alone().await;
    let celery = over_redis();
    celery.up();
    let solo = Solo::start(celery.worker.0);
    celery
        .settles(&health(&Celery::check(
            "celery_ping",
            &celery.url,
            "queues = [\"solo\"]",
        )))
        .await;
    let busy = "queues = [\"solo\"]\ntask = \"tests.busy\"\nqueue_timeout = \"1s\"\nresult_timeout = \"300ms\"";
    assert_eq!(
        says(&health(&Celery::check("celery", &celery.url, busy))).await,
        LATE
    );
    let next = format!("queues = [\"solo\"]\n{SHORT}");
    assert_eq!(
        says(&health(&Celery::check("celery", &celery.url, &next))).await,
        LATE,
        "it is busy"
    );
    drop(solo);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gone = "unavailable: No worker for Celery task queue solo";
    assert_eq!(
        says(&health(&Celery::check("celery", &celery.url, &next))).await,
        gone
    );
}
