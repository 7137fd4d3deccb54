//! A Celery worker on each of RabbitMQ and Redis.

use std::fs;
use std::process::Command;

use super::brokers::Redis;
use super::host::{self, Env, Tool};
use super::rabbitmq::RabbitMq;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use super::venv::CELERY;
use crate::Outcome;

/// The worker on RabbitMQ, which answers through `rpc://`.
pub(super) const ON_RABBITMQ: Celery = Celery {
    name: "celery",
    needs: &["rabbitmq"],
};

/// The worker on Redis, which stores its results there.
pub(super) const ON_REDIS: Celery = Celery {
    name: "celery-redis",
    needs: &["redis"],
};

/// A Celery worker.
#[derive(Debug)]
pub(super) struct Celery {
    name: &'static str,
    needs: &'static [&'static str],
}

impl Celery {
    /// Returns the URLs of its broker and of its results.
    fn urls(&self) -> (String, String) {
        if self.name == ON_REDIS.name {
            let url = Redis::url(&Home::load("redis"), 2);
            (url.clone(), url)
        } else {
            (RabbitMq::url(&Home::load("rabbitmq")), "rpc://".to_owned())
        }
    }
}

impl Service for Celery {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> &'static [&'static str] {
        self.needs
    }

    fn tools(&self) -> &'static [Tool] {
        host::PYTHON
    }

    fn install(&self) -> Outcome {
        CELERY.install()
    }

    fn ports(&self) -> &'static [&'static str] {
        &[]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        write_secret(&home.place().join("tasks.py"), include_str!("tasks.py"))
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(CELERY.python(), home);
        command.args([
            "-m",
            "celery",
            "-A",
            "tasks",
            "worker",
            "--pool=prefork",
            "--concurrency=2",
            "-Q",
            "celery",
        ]);
        command.args([
            "-n",
            &format!("{}@localhost", self.name),
            "--loglevel=INFO",
            "--without-gossip",
        ]);
        command.arg("--without-mingle").envs(self.tool_env(home));
        Ok(command)
    }

    /// Looks for the worker's line in its log, which is a new one after each start.
    fn answers(&self, home: &Home) -> Outcome {
        let log = fs::read_to_string(home.file("log")).unwrap_or_default();
        let ready = log.contains(&format!("{}@localhost ready.", self.name));
        if ready {
            Ok(())
        } else {
            Err("the worker does not say that it is ready".to_owned())
        }
    }

    fn env(&self, _: &Home) -> Env {
        // Tests reach the worker on RabbitMQ through the URL of the broker.
        if self.name == ON_REDIS.name {
            vec![("CELERY_REDIS_URL", self.urls().0)]
        } else {
            Vec::new()
        }
    }

    fn tool_env(&self, home: &Home) -> Env {
        let (broker, results) = self.urls();
        let path = host::path_with(Some(&CELERY.bin()));
        vec![
            ("PATH", path.to_string_lossy().into_owned()),
            ("PYTHONPATH", home.place().display().to_string()),
            // Celery's command line prefers this variable to the application's own setting.
            ("BROKER_URL", broker.clone()),
            ("CELERY_BROKER_URL", broker),
            ("CELERY_RESULT_BACKEND", results),
        ]
    }
}
