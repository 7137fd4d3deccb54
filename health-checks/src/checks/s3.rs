//! Whether a bucket keeps what is put into it: Amazon S3, and whatever speaks its protocol.
//!
//! ```
//! use health_checks::S3StorageHealthCheck;
//! use health_core::Health;
//!
//! # fn example(client: aws_sdk_s3::Client) -> Result<(), health_core::BuildError> {
//! let health = Health::builder().check(S3StorageHealthCheck::new(client, "media").prefix("health/")).build()?;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation, retry::RetryConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use health_core::{
    BoxCheck, Findings, HealthCheck, HealthCheckException, Result, ResultExt as _, Secret, ServiceUnavailable,
    UnknownError,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::io;
use crate::support::storage::{Storage, round_trip};

/// Saves an object, reads it back, compares, deletes it and sees that it is gone.
///
/// A run that is interrupted deletes its object all the same; what a killed process leaves behind is a few bytes below
/// the prefix, for a lifecycle rule of the bucket.
#[derive(Debug, Clone)]
pub struct S3StorageHealthCheck {
    bucket: Arc<Bucket>,
}

/// The keys of kind `s3`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What the names of this check's objects begin with.
    #[serde(default)]
    pub prefix: String,
    /// Where the service is; without it, Amazon's own of the region.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// Whether the bucket is part of the path and not of the host. Without it: true where `endpoint_url` is set.
    #[serde(default)]
    pub force_path_style: Option<bool>,
    /// Who asks.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub access_key_id: Secret,
    /// The secret of who asks.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub secret_access_key: Secret,
    /// The token of temporary credentials.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub session_token: Option<Secret>,
}

fn default_region() -> String {
    "us-east-1".into()
}

impl CheckSettings for S3Settings {
    const KIND: &'static str = "s3";
    const SUMMARY: &'static str = "save, read back and delete an object in a bucket";
    const VARIABLES: &'static [Variable] = &[
        Variable { key: "endpoint_url", name: "S3_ENDPOINT_URL", reads: Reads::Text },
        Variable { key: "bucket", name: "S3_BUCKET", reads: Reads::Text },
        Variable { key: "region", name: "AWS_REGION", reads: Reads::Text },
        Variable { key: "access_key_id", name: "AWS_ACCESS_KEY_ID", reads: Reads::Text },
        Variable { key: "secret_access_key", name: "AWS_SECRET_ACCESS_KEY", reads: Reads::Text },
        Variable { key: "session_token", name: "AWS_SESSION_TOKEN", reads: Reads::Text },
    ];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.bucket.is_empty() {
            return Err(Misconfigured::new("bucket", "expected the name of a bucket"));
        }
        if self.endpoint_url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(Misconfigured::new("endpoint_url", "expected a URL: http://... or https://..."));
        }
        let check = S3StorageHealthCheck::new(Client::from_conf(self.config()), self.bucket).prefix(self.prefix);
        Ok(vec![BoxCheck::new(check)])
    }
}

impl S3Settings {
    /// One try per operation, for the engine repeats; checksums only where they are required, as not every service
    /// takes them; TLS by ring.
    fn config(&self) -> Config {
        let token = self.session_token.as_ref().map(|token| token.expose().to_owned());
        let (id, secret) = (self.access_key_id.expose(), self.secret_access_key.expose());
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new(id, secret, token, None, "health-check"))
            .region(Region::new(self.region.clone()))
            .force_path_style(self.force_path_style.unwrap_or(self.endpoint_url.is_some()))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .retry_config(RetryConfig::disabled())
            .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https());
        config.set_endpoint_url(self.endpoint_url.clone());
        config.build()
    }
}

impl S3StorageHealthCheck {
    /// A bucket, through the application's own client.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { bucket: Arc::new(Bucket { client, name: bucket.into(), prefix: String::new() }) }
    }

    /// What the names of its objects begin with. *Default*: nothing.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        let Bucket { client, name, .. } = &*self.bucket;
        self.bucket = Arc::new(Bucket { client: client.clone(), name: name.clone(), prefix: prefix.into() });
        self
    }
}

impl HealthCheck for S3StorageHealthCheck {
    async fn check_status(&self, _: &Findings) -> Result {
        round_trip(&self.bucket).await
    }
}

#[derive(Debug)]
struct Bucket {
    client: Client,
    name: String,
    prefix: String,
}

impl Storage for Bucket {
    async fn save(&self, name: &str, content: &[u8]) -> Result<String> {
        let key = format!("{}{name}", self.prefix);
        let body = ByteStream::from(content.to_owned());
        let saved = self.client.put_object().bucket(&self.name).key(&key).body(body).send().await;
        if let Err(error) = saved {
            let _ = self.delete(&key).await; // the service may have it all the same
            return Err(describe(error));
        }
        Ok(key)
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let object = self.client.get_object().bucket(&self.name).key(name).send().await.map_err(describe)?;
        Ok(object.body.collect().await.or_unavailable("connection lost")?.to_vec())
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        match self.client.head_object().bucket(&self.name).key(name).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => Ok(false),
            Err(error) => Err(describe(error)),
        }
    }

    async fn delete(&self, name: &str) -> Result {
        self.client.delete_object().bucket(&self.name).key(name).send().await.map(drop).map_err(describe)
    }
}

fn describe<E>(error: SdkError<E>) -> HealthCheckException
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let message = match &error {
        SdkError::TimeoutError(_) => "timed out",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out",
        SdkError::DispatchFailure(_) => io::message(&error).unwrap_or("the endpoint can't be reached"),
        SdkError::ResponseError(_) => "the endpoint does not speak S3",
        SdkError::ServiceError(answer) => {
            let (code, text) = (answer.err().code().unwrap_or_default(), answer.err().message().unwrap_or_default());
            match (code, answer.raw().status().as_u16()) {
                ("NoSuchBucket", _) => "the bucket does not exist",
                ("SignatureDoesNotMatch", _) => "the signature was refused: the secret key is wrong",
                (_, 401 | 403) if text.to_lowercase().contains("signature") => {
                    "the signature was refused: the secret key is wrong"
                }
                ("InvalidAccessKeyId", _) => "the access key is unknown",
                (_, 403) if text.to_lowercase().contains("no such key") => "the access key is unknown",
                ("RequestTimeTooSkewed", _) => "the clocks differ too much",
                ("ExpiredToken", _) => "the session token has expired",
                (_, 401 | 403) => "access denied",
                ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) => "the bucket is in another region",
                (_, 404) => "the bucket or the object does not exist",
                (_, 500..) => "the service failed",
                _ => return UnknownError::caused_by(error).into(),
            }
        }
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_source(error).into()
}
