use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use health_core::{BoxCheck, Findings, HealthCheck, Result, Scope, Secret};
use serde::Deserialize;

use super::{CheckSettings, EMPTY, Misconfigured, TlsSettings};
use crate::support::{file, url};

/// The login of a check: keys beside the URL of every kind that has one ([`CheckSettings::URL`]). A
/// password in these keys need not be percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Login {
    /// The user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// A file that holds the password. Each run reads it again, so a password that is rotated there
    /// needs no restart.
    pub password_file: Option<PathBuf>,
}

impl Login {
    /// The keys, each with its meaning.
    pub const KEYS: &'static [(&'static str, &'static str)] = &[
        ("username", "The user, in place of that in the URL."),
        (
            "password",
            "The password, as it is and not percent-encoded, in place of that in the URL.",
        ),
        (
            "password_file",
            "A file with the password, which is read in each run.",
        ),
    ];

    /// The names of all keys.
    pub const ALL: &'static [&'static str] = &[Self::KEYS[0].0, Self::KEYS[1].0, Self::KEYS[2].0];

    /// Builds the checks of these settings, with this login in their URL.
    pub(crate) fn checks<S>(
        self,
        settings: S,
        tls: TlsSettings,
    ) -> Result<Vec<BoxCheck>, Misconfigured>
    where
        S: CheckSettings + Clone + Send + Sync + 'static,
    {
        self.refuse_empty()?;
        let Some(path) = self.password_file.clone() else {
            return self.checks_with(settings, tls, self.password.as_ref());
        };
        // The URL is validated now. The password file may appear later.
        let model = self.with(settings.clone(), Some(&"x".into()))?;
        let models = model.checks_over(tls.clone())?;
        let rotating = |(at, model)| {
            let login = self.clone();
            let settings = settings.clone();
            let tls = tls.clone();
            BoxCheck::new(Rotating {
                login,
                settings,
                tls,
                at,
                path: path.clone(),
                model,
                current: Mutex::default(),
            })
        };
        Ok(models.into_iter().enumerate().map(rotating).collect())
    }

    /// Creates the fleet at this URL, with this login.
    #[cfg(feature = "fleet")]
    pub(crate) fn fleet(self, url: Secret) -> Result<crate::RedisFleet, Misconfigured> {
        self.refuse_empty()?;
        if let Some(path) = self.password_file {
            return crate::RedisFleet::from_url(url)?.password_file(self.username, path);
        }
        let has_login = self.username.is_some() || self.password.is_some();
        let url = if has_login {
            url::with_login(&url, self.username.as_deref(), self.password.as_ref())?
        } else {
            url
        };
        crate::RedisFleet::from_url(url)
    }

    /// Refuses keys that are empty, and two passwords.
    fn refuse_empty(&self) -> Result<(), Misconfigured> {
        let is_empty = |text: &str| text.is_empty();
        for (key, empty) in [
            ("username", self.username.as_deref().is_some_and(is_empty)),
            (
                "password_file",
                self.password_file
                    .as_ref()
                    .is_some_and(|path| path.as_os_str().is_empty()),
            ),
        ] {
            if empty {
                return Err(Misconfigured::new(key, EMPTY));
            }
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Err(Misconfigured::new(
                "password_file",
                "password is there as well: leave one out",
            ));
        }
        Ok(())
    }

    /// Builds the checks with this password in the URL. No error shows it, nor the URL.
    fn checks_with<S: CheckSettings>(
        &self,
        settings: S,
        tls: TlsSettings,
        password: Option<&Secret>,
    ) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut settings = self.with(settings, password)?;
        let url = settings.url_mut().map(|url| url.clone());
        let secrets: Vec<_> = url.into_iter().chain(password.cloned()).collect();
        let checks = settings.checks_over(tls)?.into_iter();
        let conceal = |check: BoxCheck| check.concealing(secrets.iter().cloned());
        Ok(checks.map(conceal).collect())
    }

    fn with<S: CheckSettings>(
        &self,
        mut settings: S,
        password: Option<&Secret>,
    ) -> Result<S, Misconfigured> {
        if let Some(url) = settings.url_mut()
            && (self.username.is_some() || password.is_some())
        {
            *url = url::with_login(url, self.username.as_deref(), password)?;
        }
        Ok(settings)
    }
}

/// A check whose password is in a file. It is rebuilt when the file holds another password.
struct Rotating<S> {
    login: Login,
    settings: S,
    tls: TlsSettings,
    /// The position of this check among those of the settings.
    at: usize,
    path: PathBuf,
    /// The check with a placeholder password, for its identifier and its other properties.
    model: BoxCheck,
    current: Mutex<Option<(Secret, BoxCheck)>>,
}

impl<S: CheckSettings + Clone + Send + Sync + 'static> Rotating<S> {
    fn check(&self, password: Secret) -> Result<BoxCheck> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, check)) = &*current
            && *known == password
        {
            return Ok(check.clone());
        }
        let (settings, tls) = (self.settings.clone(), self.tls.clone());
        let checks = self.login.checks_with(settings, tls, Some(&password));
        let checks = checks.map_err(file::unreadable)?;
        let check = checks
            .into_iter()
            .nth(self.at)
            .unwrap_or_else(|| self.model.clone());
        *current = Some((password, check.clone()));
        Ok(check)
    }
}

impl<S: CheckSettings + Clone + Send + Sync + 'static> HealthCheck for Rotating<S> {
    async fn check_status(&self, findings: &Findings) -> Result {
        // The file is read synchronously, as certificates are: it is small, on this machine and
        // usually in memory.
        let password = file::password(&self.path)?;
        self.check(password)?.check_status(findings).await
    }

    fn identifier(&self) -> Cow<'_, str> {
        self.model.identifier()
    }

    fn critical_service(&self) -> bool {
        self.model.critical_service()
    }

    fn scope(&self) -> Scope {
        self.model.scope()
    }

    fn default_timeout(&self) -> Option<Duration> {
        self.model.default_timeout()
    }

    fn default_ttl(&self) -> Option<Duration> {
        self.model.default_ttl()
    }

    fn measures(&self) -> bool {
        self.model.measures()
    }

    fn only_warns(&self) -> bool {
        self.model.only_warns()
    }

    fn runs_apart(&self) -> bool {
        self.model.runs_apart()
    }
}

impl<S> fmt::Debug for Rotating<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotating").finish_non_exhaustive()
    }
}
