//! Checks that a bucket keeps what is put into it, at Amazon S3 or any service that speaks its
//! protocol.
//!
//! ```
//! use health_checks::S3StorageHealthCheck;
//! use health_core::Health;
//!
//! # fn example(client: aws_sdk_s3::Client) -> Result<(), health_core::BuildError> {
//! let health = Health::builder()
//!     .check(S3StorageHealthCheck::new(client, "media").prefix("health/"))
//!     .build()?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation,
    SharedCredentialsProvider, SharedHttpClient, retry::RetryConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::delete_object::{DeleteObjectError, DeleteObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder;
use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, ResultExt as _,
    Secret, ServiceUnavailable, UnknownError,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::aws::{self, Chain};
use crate::support::io;
use crate::support::storage::{LeftBehind, Storage, round_trip};
use crate::support::tls::Tls;
use crate::support::url::{self, Url};

/// Saves an object, reads it back, compares it, deletes it and verifies that it is gone.
///
/// An interrupted run still deletes its object. While the object of an earlier run can't be
/// deleted, no further one is saved. A killed process leaves a few bytes below the prefix, which a
/// lifecycle rule of the bucket can remove.
#[derive(Debug, Clone)]
pub struct S3StorageHealthCheck {
    access: Access,
    bucket: String,
    prefix: String,
    left: LeftBehind,
    versions: Arc<Mutex<BTreeMap<String, Versions>>>,
}

/// The versions of an object that this check has created, if the bucket keeps versions. A deletion
/// without the version would keep the object for ever.
#[derive(Debug, Clone, Default)]
struct Versions {
    ids: Vec<String>,
    /// `true` if one of them is a delete marker.
    has_marker: bool,
}

/// The default TTL. Requests are billed.
const TTL: Duration = Duration::from_secs(30);

/// The access to a bucket.
#[derive(Debug, Clone)]
enum Access {
    /// The application's own client.
    Client(Client),
    /// The configuration for a client of each run. The connections of the client end with the run,
    /// so a server that closes idle connections is not a failure. The client is built when it is
    /// needed, because certificates are needed only then. Without keys, the credentials of the
    /// process are used.
    Config {
        config: Box<Config>,
        chain: Option<Chain>,
        is_tls: bool,
        tls: Tls,
    },
}

/// The keys of kind `s3`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct S3Settings {
    /// The name of the bucket.
    pub bucket: String,
    /// The prefix of the names of this check's objects.
    #[serde(default)]
    pub prefix: String,
    /// The URL of the service. Without it: Amazon's own endpoint in the region.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub endpoint_url: Option<Secret>,
    /// The region. Without it, the region of the credentials is used, or else `us-east-1`.
    #[serde(default)]
    pub region: Option<String>,
    /// Puts the name of the bucket into the path in place of the host. Without it: true if
    /// `endpoint_url` is set.
    #[serde(default)]
    pub force_path_style: Option<bool>,
    /// The ID of the access key. Without a key, the credentials are looked up as Amazon's SDKs do:
    /// in the environment, the profile `AWS_PROFILE`, a web identity, the container, the instance.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub access_key_id: Option<Secret>,
    /// The secret of the access key.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub secret_access_key: Option<Secret>,
    /// The token of temporary credentials.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub session_token: Option<Secret>,
}

/// The region of requests if neither the settings nor the credentials have one.
const REGION: Region = Region::from_static("us-east-1");

impl CheckSettings for S3Settings {
    const KIND: &'static str = "s3";
    const SUMMARY: &'static str = "save, read back and delete an object in a bucket";
    const SERVERS: &'static [&'static str] = &["endpoint_url"];
    const CREDENTIALS: &'static [&'static str] =
        &["access_key_id", "secret_access_key", "session_token"];
    const TLS: &'static [&'static str] = &["ca_file"];
    const VARIABLES: &'static [Variable] = &[
        Variable {
            key: "endpoint_url",
            name: "S3_ENDPOINT_URL",
            reads: Reads::Text,
        },
        Variable {
            key: "bucket",
            name: "S3_BUCKET",
            reads: Reads::Text,
        },
        Variable {
            key: "region",
            name: "AWS_REGION",
            reads: Reads::Text,
        },
        Variable {
            key: "access_key_id",
            name: "AWS_ACCESS_KEY_ID",
            reads: Reads::Text,
        },
        Variable {
            key: "secret_access_key",
            name: "AWS_SECRET_ACCESS_KEY",
            reads: Reads::Text,
        },
        Variable {
            key: "session_token",
            name: "AWS_SESSION_TOKEN",
            reads: Reads::Text,
        },
    ];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        if !is_bucket(&self.bucket) {
            return Err(Misconfigured::new(
                "bucket",
                "expected the name of a bucket, and no URL",
            ));
        }
        if self.region.as_ref().is_some_and(|region| !is_word(region)) {
            return Err(Misconfigured::new(
                "region",
                "expected the name of a region",
            ));
        }
        let of_url = |wrong: Misconfigured| wrong.with_url_as("endpoint_url");
        let is_tls = self
            .endpoint_url
            .as_ref()
            .map_or(Ok(true), uses_tls)
            .map_err(of_url)?;
        tls.needs(is_tls).map_err(of_url)?;
        let keys = self.keys()?;
        let secrets = [self.access_key_id.clone(), self.secret_access_key.clone()];
        let secrets = secrets.into_iter().chain([self.session_token.clone()]);
        let chain = keys.is_none().then(Chain::default);
        let access = Access::Config {
            config: Box::new(self.config(keys)),
            chain,
            is_tls,
            tls: tls.into(),
        };
        Ok(vec![
            BoxCheck::new(S3StorageHealthCheck {
                access,
                bucket: self.bucket,
                prefix: self.prefix,
                left: LeftBehind::default(),
                versions: Arc::default(),
            })
            .concealing(secrets.flatten()),
        ])
    }
}

const EXPECTED: &str = "expected a URL: http://... or https://...";

/// Returns `true` if the requests to the service at this URL use TLS.
fn uses_tls(text: &Secret) -> Result<bool, Misconfigured> {
    let url = Url::parse(text, EXPECTED)?;
    let is_tls = match url.scheme.as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(url::not(EXPECTED, text, ["http", "https"])),
    };
    url.refuse_login("S3")?;
    let is_host = |name: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        !name.is_empty() && name.chars().all(is_part)
    };
    // The client quotes a URL that it can't parse.
    let is_part = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    if !is_host(&url.host()?.name) || !text.expose().chars().all(is_part) {
        return Err(Misconfigured::new("url", EXPECTED));
    }
    url.end()?;
    Ok(is_tls)
}

/// Returns `true` for the name of a bucket, or the ARN of an access point.
fn is_bucket(name: &str) -> bool {
    is_word(name) || name.starts_with("arn:")
}

fn is_word(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty() && name.chars().all(is_part)
}

impl S3Settings {
    /// Returns the keys of the settings, if there are any.
    fn keys(&self) -> Result<Option<Credentials>, Misconfigured> {
        let token = self
            .session_token
            .as_ref()
            .map(|token| token.expose().to_owned());
        match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(secret)) => Ok(Some(Credentials::new(
                id.expose(),
                secret.expose(),
                token,
                None,
                "health-check",
            ))),
            (None, None) if token.is_none() => Ok(None),
            (None, _) => Err(Misconfigured::new(
                "access_key_id",
                "expected the ID beside the other part of the key: variables fill all of the keys or none",
            )),
            (_, None) => Err(Misconfigured::new(
                "secret_access_key",
                "expected the secret beside `access_key_id`: variables fill all of the keys or none",
            )),
        }
    }

    /// Builds the configuration of the client. Each operation is tried once, because the engine
    /// repeats the check. Checksums are sent only where they are required, because not every
    /// service accepts them. The HTTP client is added later: see [`Access`].
    fn config(&self, keys: Option<Credentials>) -> Config {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .force_path_style(self.force_path_style.unwrap_or(self.endpoint_url.is_some()))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .retry_config(RetryConfig::disabled());
        let url = self.endpoint_url.as_ref();
        config.set_endpoint_url(url.map(|url| url.expose().to_owned()));
        config.set_region(self.region.clone().map(Region::new));
        config.set_credentials_provider(keys.map(SharedCredentialsProvider::new));
        config.build()
    }
}

impl S3StorageHealthCheck {
    /// Creates a check of a bucket, through the application's own client.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self {
            access: Access::Client(client),
            bucket: bucket.into(),
            prefix: String::new(),
            left: LeftBehind::default(),
            versions: Arc::default(),
        }
    }

    /// Sets the prefix of the names of this check's objects. *Default*: empty.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

impl HealthCheck for S3StorageHealthCheck {
    async fn check_status(&self, _: &Findings) -> Result {
        let bucket = Bucket {
            client: self.access.client().await?,
            name: self.bucket.clone(),
            prefix: self.prefix.clone(),
            versions: Arc::clone(&self.versions),
        };
        let result = round_trip(&Arc::new(bucket), &self.left).await;
        if let (
            Err(error),
            Access::Config {
                chain: Some(chain), ..
            },
        ) = (&result, &self.access)
            && matches!(
                error.kind(),
                FailureKind::Authentication | FailureKind::Forbidden | FailureKind::Misconfigured
            )
        {
            chain.forget();
        }
        result
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "S3StorageHealthCheck".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}

impl Access {
    async fn client(&self) -> Result<Client> {
        let (config, chain, is_tls, tls) = match self {
            Self::Client(client) => return Ok(client.clone()),
            Self::Config {
                config,
                chain,
                is_tls,
                tls,
            } => (config, chain, *is_tls, tls),
        };
        let http = if is_tls {
            with_tls(tls)?
        } else {
            Builder::new().build_http()
        };
        let mut builder = config.to_builder().http_client(http.clone());
        let mut region = config.region().cloned();
        if let Some(chain) = chain {
            let issuer = if is_tls {
                http
            } else {
                with_tls(tls).unwrap_or(http)
            }; // token services use TLS
            let found = chain.find(region, issuer).await;
            region = found.region;
            builder = builder.identity_cache(found.cache);
            builder.set_credentials_provider(found.provider);
        }
        Ok(Client::from_conf(
            builder.region(region.unwrap_or(REGION)).build(),
        ))
    }
}

#[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))]
fn with_tls(tls: &Tls) -> Result<SharedHttpClient> {
    use aws_smithy_http_client::tls::{
        Provider, TlsContext, TrustStore, rustls_provider::CryptoMode,
    };
    #[cfg(feature = "rustls-aws-lc-rs")]
    let provider = Provider::Rustls(CryptoMode::AwsLc);
    #[cfg(not(feature = "rustls-aws-lc-rs"))]
    let provider = Provider::Rustls(CryptoMode::Ring);
    let roots = TrustStore::empty().with_pem_certificate(tls.pem()?);
    let context = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .or_unknown()?;
    Ok(Builder::new()
        .tls_provider(provider)
        .tls_context(context)
        .build_https())
}

#[cfg(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs")))]
fn with_tls(tls: &Tls) -> Result<SharedHttpClient> {
    tls.config().map(|_| Builder::new().build_http()) // always an error, because this build has no TLS
}

/// The bucket, as one run uses it.
#[derive(Debug)]
struct Bucket {
    client: Client,
    name: String,
    prefix: String,
    versions: Arc<Mutex<BTreeMap<String, Versions>>>,
}

/// A right that a run needs, and the message if the user does not have it.
#[derive(Debug, Clone, Copy)]
struct Right(&'static str);

const WRITE: Right = Right("the user may not write objects: allow s3:PutObject");
const READ: Right = Right("the user may not read objects: allow s3:GetObject");
const DELETE: Right = Right("the user may not delete objects: allow s3:DeleteObject");
const DELETE_VERSION: Right =
    Right("the user may not delete versions: allow s3:DeleteObjectVersion");

impl Bucket {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn versions(&self) -> MutexGuard<'_, BTreeMap<String, Versions>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delete_version(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<DeleteObjectOutput, SdkError<DeleteObjectError>> {
        let delete = self.client.delete_object();
        let delete = delete.bucket(&self.name).key(self.key(name));
        delete
            .set_version_id(version.map(str::to_owned))
            .send()
            .await
    }

    /// Hides an object whose versions may not be deleted, once, behind a delete marker. A lifecycle
    /// rule then removes it. Returns the failure.
    async fn hide(&self, name: &str, refused: SdkError<DeleteObjectError>) -> HealthCheckException {
        let is_hidden = self
            .versions()
            .get(name)
            .is_some_and(|versions| versions.has_marker);
        if !is_hidden {
            match self.delete_version(name, None).await {
                Ok(deleted) => {
                    let mut all = self.versions();
                    let versions = all.entry(name.to_owned()).or_default();
                    versions.has_marker = true;
                    versions.ids.extend(deleted.version_id);
                }
                Err(error) => return describe(error, DELETE),
            }
        }
        describe(refused, DELETE_VERSION)
    }
}

impl Storage for Bucket {
    async fn save(&self, name: &str, content: &[u8]) -> Result<String> {
        let put = || {
            let body = ByteStream::from(content.to_owned());
            self.client
                .put_object()
                .bucket(&self.name)
                .key(self.key(name))
                .body(body)
        };
        let mut saved = put().send().await;
        if saved.as_ref().is_err_and(wants_checksum) {
            let with_checksum = Config::builder()
                .request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
            saved = put()
                .customize()
                .config_override(with_checksum)
                .send()
                .await;
        }
        let saved = saved.map_err(|error| describe(error, WRITE))?;
        if let Some(version) = saved.version_id.filter(|version| version != "null") {
            let versions = Versions {
                ids: vec![version],
                has_marker: false,
            };
            self.versions().insert(name.to_owned(), versions);
        }
        Ok(name.to_owned())
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let object = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(self.key(name))
            .send()
            .await
            .map_err(|error| describe(error, READ))?;
        let content = object.body.collect().await;
        Ok(content.or_unavailable("connection lost")?.to_vec())
    }

    /// Returns `true` if the object exists. Amazon answers 403 for a missing object to a user who
    /// may not list the bucket.
    async fn exists(&self, name: &str) -> Result<bool> {
        let head = self.client.head_object().bucket(&self.name);
        match head.key(self.key(name)).send().await {
            Ok(_) => Ok(true),
            Err(error) => match status(&error) {
                Some(403 | 404) => Ok(false),
                _ => Err(describe(error, READ)),
            },
        }
    }

    async fn delete(&self, name: &str) -> Result {
        let versions = self.versions().get(name).cloned().unwrap_or_default();
        if versions.ids.is_empty() {
            let deleted = self.delete_version(name, None).await;
            return deleted.map(drop).map_err(|error| describe(error, DELETE));
        }
        for version in versions.ids {
            match self.delete_version(name, Some(&version)).await {
                Ok(_) => {}
                Err(error) if status(&error) == Some(403) => {
                    return Err(self.hide(name, error).await);
                }
                Err(error) => return Err(describe(error, DELETE)),
            }
        }
        self.versions().remove(name);
        Ok(())
    }
}

/// Returns the status of the response that is an error.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    Some(error.raw_response()?.status().as_u16())
}

/// Returns `true` if the bucket accepts only objects with a checksum, as one with Object Lock does.
/// Other services may not support checksums.
fn wants_checksum<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let SdkError::ServiceError(answer) = error else {
        return false;
    };
    let text = answer
        .err()
        .message()
        .unwrap_or_default()
        .to_ascii_lowercase();
    answer.raw().status().as_u16() == 400
        && (text.contains("checksum") || text.contains("content-md5"))
}

fn describe<E>(error: SdkError<E>, right: Right) -> HealthCheckException
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    use FailureKind as Kind;
    // The client quotes the URL of an endpoint that it can't use.
    let first: &(dyn Error + 'static) = &error;
    let mut causes = std::iter::successors(Some(first), |&error| error.source());
    if causes.any(|cause| cause.to_string().contains("Custom endpoint")) {
        let error = ServiceUnavailable::new("the endpoint is not a valid URL");
        return error.with_kind(Kind::Misconfigured).into();
    }
    if let Some((kind, message)) = aws::describe(&error) {
        return ServiceUnavailable::new(message)
            .with_kind(kind)
            .with_source(error)
            .into();
    }
    let (kind, message) = match &error {
        SdkError::TimeoutError(_) => (Kind::TimedOut, "timed out"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (Kind::TimedOut, "timed out"),
        SdkError::DispatchFailure(_) => {
            io::failure_below(&error).unwrap_or((Kind::Lost, "the endpoint can't be reached"))
        }
        SdkError::ResponseError(_) => (Kind::UnexpectedAnswer, "the endpoint does not speak S3"),
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or_default();
            let text = answer.err().message().unwrap_or_default();
            let status = answer.raw().status().as_u16();
            match by_code(code, status, &text.to_lowercase(), right) {
                Some(words) => words,
                None => return UnknownError::caused_by(error).into(),
            }
        }
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

/// Chooses a message by the service's
/// [code](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), or else by the
/// status.
fn by_code(
    code: &str,
    status: u16,
    text: &str,
    Right(missing): Right,
) -> Option<(FailureKind, &'static str)> {
    use FailureKind as Kind;
    const SIGNATURE: (FailureKind, &str) = (
        FailureKind::Authentication,
        "the signature was refused: the secret key is wrong",
    );
    const KEY: (FailureKind, &str) = (FailureKind::Authentication, "the access key is unknown");
    Some(match (code, status) {
        ("NoSuchBucket", _) => (Kind::NotFound, "the bucket does not exist"),
        ("SignatureDoesNotMatch", _) => SIGNATURE,
        ("InvalidAccessKeyId", _) => KEY,
        ("RequestTimeTooSkewed", _) => (Kind::Misconfigured, "the clocks differ too much"),
        ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) => {
            (Kind::Authentication, "the session token has expired")
        }
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) => {
            (Kind::Misconfigured, "the bucket is in another region")
        }
        ("SlowDown" | "TooManyRequests" | "QuotaExceeded", _) => {
            (Kind::Saturated, "the service takes no more requests")
        }
        (_, 401 | 403) if text.contains("signature") => SIGNATURE,
        (_, 403) if text.contains("no such key") => KEY,
        (_, 403)
            if text.contains("object lock")
                || text.contains("worm")
                || text.contains("retention") =>
        {
            (
                Kind::Forbidden,
                "the bucket locks its objects: the check can't delete its own",
            )
        }
        ("AccessDenied" | "Forbidden" | "", 403) => (Kind::Forbidden, missing),
        (_, 401 | 403) => (Kind::Forbidden, "access denied"),
        (_, 404) => (Kind::NotFound, "the bucket or the object does not exist"),
        (_, 500..) => (Kind::UnexpectedAnswer, "the service failed"),
        _ => return None,
    })
}
