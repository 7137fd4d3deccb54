//! Finds the credentials of a process as the SDKs of Amazon do, in the same
//! [order](https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html):
//! variables of the environment, a profile, a web identity, the container, the instance.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
    SharedIdentityCache,
};
use health_core::FailureKind;

/// The credentials of this process. They are kept until the server refuses them, so the service
/// that issues them is only asked when they are about to expire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain(Arc<Mutex<Option<Found>>>);

/// A provider of credentials, with those that it has issued.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) provider: Option<SharedCredentialsProvider>,
    pub(crate) cache: SharedIdentityCache,
    pub(crate) region: Option<Region>,
}

impl Chain {
    /// Returns the provider. The first call, and the first after [`Self::forget`], reads the
    /// environment and the files of the profile again. Without a `region`, it is looked up in the
    /// same places.
    pub(crate) async fn find(&self, region: Option<Region>, http: SharedHttpClient) -> Found {
        if let Some(found) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
        {
            return found;
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        if let Some(region) = region {
            loader = loader.region(region);
        }
        let config = loader.load().await;
        let found = Found {
            provider: config.credentials_provider(),
            cache: config
                .identity_cache()
                .unwrap_or_else(|| IdentityCache::lazy().build()),
            region: config.region().cloned(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        found
    }

    /// Makes the next run find the credentials again: a file or a variable may have changed.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Returns the message for an error that was caused by the credentials of the process.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> Option<(FailureKind, &'static str)> {
    let causes = || std::iter::successors(Some(error), |&error| error.source());
    let error = causes().find_map(|cause| cause.downcast_ref::<CredentialsError>())?;
    // The instance is asked last. A machine where this fails is usually not an instance of Amazon.
    let is_of_instance = causes().any(|cause| cause.to_string().contains("IMDS"));
    Some(match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            (FailureKind::Misconfigured, "no credentials were found")
        }
        _ if is_of_instance => (FailureKind::Misconfigured, "no credentials were found"),
        CredentialsError::InvalidConfiguration(_) => (
            FailureKind::Misconfigured,
            "the configuration of the credentials is invalid",
        ),
        CredentialsError::ProviderTimedOut(_) => {
            (FailureKind::TimedOut, "no credentials were issued in time")
        }
        _ => (
            FailureKind::Authentication,
            "no credentials could be issued",
        ),
    })
}
