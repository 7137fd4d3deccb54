//! The scenarios that every check has to pass.

use std::time::{Duration, Instant};

use health_checks::config::{Config, Options};
use health_core::{FailureKind, Health, Report, Selection};

use crate::harness::Server;

/// The timeout of every check here.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// A check, and its messages when its server fails.
pub(crate) struct Scenario {
    pub(crate) server: Server,
    /// The table of the check in a configuration file.
    pub(crate) check: String,
    /// The same check at a port on which no server listens.
    pub(crate) nobody: String,
    pub(crate) refused: &'static str,
    /// The same check with a wrong password, and its message, if there is a password.
    pub(crate) wrong_password: Option<(String, &'static str)>,
    /// A secret that must not appear anywhere.
    pub(crate) secret: Option<String>,
}

/// Builds a `Health` of one check, beside one that always works.
pub(crate) fn health(check: &str) -> Health {
    health_within(check, TIMEOUT)
}

pub(crate) fn health_within(check: &str, timeout: Duration) -> Health {
    let timeout = timeout.as_secs();
    let text = format!(
        "[settings]\nttl = 0\n[[checks]]\n{check}\nname = \"subject\"\ntimeout = {timeout}\nttl = 0\n\
         [[checks]]\nkind = \"cache\"\nname = \"bystander\""
    );
    Config::from_text("scenario.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap()
}

/// Runs the check, and returns its message and the time that this took. The other check is never
/// affected.
pub(crate) async fn look(health: &Health, secret: Option<&str>) -> (String, Duration) {
    let began = Instant::now();
    let report = health.read(&Selection::default()).await.unwrap();
    let took = began.elapsed();
    assert_eq!(report.checks[0].pretty_status(), "working", "the bystander");
    if let Some(secret) = secret {
        shows_not(health, &report, secret);
    }
    (report.checks[1].pretty_status(), took)
}

pub(crate) async fn says(health: &Health) -> String {
    look(health, None).await.0
}

fn shows_not(health: &Health, report: &Report, secret: &str) {
    for renderer in health.renderers().iter() {
        let mut shown = String::new();
        renderer.render(report, &mut shown).unwrap();
        assert!(
            !shown.contains(secret),
            "{} shows the password",
            renderer.format()
        );
    }
    assert!(
        !format!("{report:?} {health:?}").contains(secret),
        "Debug shows the password"
    );
}

impl Scenario {
    pub(crate) async fn play(&self) {
        tokio::task::block_in_place(|| self.server.up()); // in case an earlier test has stopped it
        let subject = health(&self.check);
        self.expect_healthy(&subject, "at first").await;
        let nobody = health(&self.nobody);
        self.expect(&nobody, self.refused, "nobody listens").await;
        // No server refuses a datagram.
        let kind = if self.server.0 == "dns" {
            FailureKind::TimedOut
        } else {
            FailureKind::Refused
        };
        self.expect_kind(&nobody, kind).await;
        if let Some((check, message)) = &self.wrong_password {
            let wrong = health(check);
            self.expect(&wrong, message, "wrong password").await;
            self.expect_kind(&wrong, FailureKind::Authentication).await;
        }
        self.freezes(&subject).await;
        self.is_killed(&subject).await;
    }

    pub(crate) async fn expect(&self, health: &Health, message: &str, when: &str) {
        let (said, took) = look(health, self.secret.as_deref()).await;
        assert_eq!(said, message, "{} {when}", self.server.0);
        assert!(
            took < TIMEOUT,
            "{} {when}: at once, not after {took:?}",
            self.server.0
        );
    }

    async fn expect_kind(&self, health: &Health, kind: FailureKind) {
        let report = health.read(&Selection::default()).await.unwrap();
        assert_eq!(report.checks[1].errors[0].kind, kind, "{}", self.server.0);
    }

    async fn expect_healthy(&self, health: &Health, when: &str) {
        let (said, _) = look(health, self.secret.as_deref()).await;
        assert_eq!(said, "working", "{} {when}", self.server.0);
    }

    /// The check fails within its timeout while the server is frozen, and works on the next run
    /// after that.
    async fn freezes(&self, subject: &Health) {
        let frozen = self.server.freeze();
        let (said, took) = look(subject, self.secret.as_deref()).await;
        drop(frozen);
        assert!(
            said.starts_with("unavailable: "),
            "{} frozen: {said}",
            self.server.0
        );
        assert!(
            took < TIMEOUT + Duration::from_millis(500),
            "{} frozen: {took:?}",
            self.server.0
        );
        println!("{}: frozen: {said} after {took:?}", self.server.0);
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.expect_healthy(subject, "thawed").await;
    }

    /// The check fails if the server is killed in the middle of a run, and works on the next run
    /// once the server is back.
    async fn is_killed(&self, subject: &Health) {
        let frozen = self.server.freeze();
        let run = tokio::spawn({
            let subject = subject.clone();
            async move { look(&subject, None).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.server.kill();
        drop(frozen);
        let (said, took) = run.await.unwrap();
        assert!(
            said.starts_with("unavailable: "),
            "{} killed: {said}",
            self.server.0
        );
        assert!(
            took < TIMEOUT + Duration::from_millis(500),
            "{} killed: {took:?}",
            self.server.0
        );
        println!("{}: killed: {said} after {took:?}", self.server.0);
        tokio::task::block_in_place(|| self.server.up());
        self.expect_healthy(subject, "back again").await;
    }
}
