use std::error::Error;
use std::time::Duration;

use health_checks::config::{Config, Options};
use health_core::Health;

use crate::ending;
use crate::output;
use crate::values::{self, Source};

/// The health of a file, or of the embedded default. The temporary folder of the default is deleted
/// with this value.
pub(crate) struct Loaded {
    pub(crate) health: Health,
    #[cfg(feature = "embedded")]
    _scratch: Option<health_checks::config::Scratch>,
}

/// Loads the configuration and builds the health with `build`, in which a command can adjust the
/// configuration.
pub(crate) async fn load(
    source: &Source,
    timeout: Option<Duration>,
    build: impl FnOnce(Config) -> Result<Health, Box<dyn Error>>,
) -> Result<Loaded, Box<dyn Error>> {
    let mut options = Options::default();
    options.timeout = timeout;
    if let Some(path) = &source.config {
        let config = values::config(path, &options)?;
        let warnings = config.warnings().to_vec();
        let health = build(config)?;
        for warning in warnings {
            output::warn(format_args!("warning: {warning}"));
        }
        ending::remember(&health);
        return Ok(Loaded {
            health,
            #[cfg(feature = "embedded")]
            _scratch: None,
        });
    }
    #[cfg(feature = "embedded")]
    {
        let variables = |name: &str| std::env::var_os(name);
        let (config, scratch) = Config::embedded(&variables, &options).await?;
        output::note(format_args!(
            "{} (--config FILE or HEALTH_CONFIG)",
            config.notice().unwrap_or_default()
        ));
        let health = build(config)?;
        ending::remember(&health);
        Ok(Loaded {
            health,
            _scratch: Some(scratch),
        })
    }
    #[cfg(not(feature = "embedded"))]
    Err("this binary has no default checks: name a file with --config or HEALTH_CONFIG".into())
}
