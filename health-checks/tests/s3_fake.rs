//! Tests `s3` against a fake of one exchange: a bucket that keeps versions, and users without some
//! of the rights. The S3 server of the other tests supports neither.

#![cfg(all(feature = "config", feature = "s3"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_checks::config::{Config, Options};
use health_core::{Health, Selection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The content of the bucket, and the requests that it received.
#[derive(Default)]
struct Bucket {
    is_versioned: bool,
    may_list: bool,
    wants_checksum: bool,
    /// The method to which the response never comes.
    hangs: Option<&'static str>,
    /// The methods that the user may not use. `DELETE v` is the deletion of a version.
    refused: Vec<&'static str>,
    /// The versions of each object, the newest last.
    objects: BTreeMap<String, Vec<Version>>,
    requests: Vec<String>,
}

/// The ID and the content of a version. `None` is a delete marker.
type Version = (String, Option<Vec<u8>>);

impl Bucket {
    /// Returns the status, a header and the body of the response.
    fn answer(
        &mut self,
        head: &str,
        method: &str,
        target: &str,
        body: Vec<u8>,
    ) -> (u16, String, Vec<u8>) {
        if method == "PUT"
            && self.wants_checksum
            && !head.to_lowercase().contains("x-amz-checksum-crc32")
        {
            let error = "<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is \
                         required for Put Object requests with Object Lock parameters</Message></Error>";
            return (400, String::new(), error.into());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let version = query
            .split('&')
            .find_map(|part| part.strip_prefix("versionId="));
        self.requests
            .push(format!("{method} {}", version.unwrap_or("-")));
        let next = format!("v{}", self.requests.len());
        let action = if version.is_some() {
            "DELETE v"
        } else {
            method
        };
        if self.refused.contains(&action) {
            let error = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            return (403, String::new(), error.into());
        }
        let is_versioned = self.is_versioned;
        let versions = self.objects.entry(path.to_owned()).or_default();
        match (method, version) {
            ("PUT", _) if is_versioned => {
                versions.push((next.clone(), Some(body)));
                (200, format!("x-amz-version-id: {next}\r\n"), Vec::new())
            }
            ("PUT", _) => {
                *versions = vec![("null".into(), Some(body))];
                (200, String::new(), Vec::new())
            }
            ("DELETE", Some(version)) => {
                versions.retain(|(known, _)| known != version);
                (204, String::new(), Vec::new())
            }
            ("DELETE", None) if is_versioned => {
                versions.push((next.clone(), None));
                (204, format!("x-amz-version-id: {next}\r\n"), Vec::new())
            }
            ("DELETE", None) => {
                versions.clear();
                (204, String::new(), Vec::new())
            }
            _ => match versions.last() {
                Some((_, Some(content))) => (200, String::new(), content.clone()),
                _ if self.may_list => (404, String::new(), Vec::new()),
                _ => (403, String::new(), Vec::new()),
            },
        }
    }
}

async fn serve(mut stream: TcpStream, bucket: Arc<Mutex<Bucket>>) {
    let mut received = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break String::from_utf8(received.drain(..end + 4).collect()).unwrap();
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => received.extend_from_slice(&buffer[..read]),
                _ => return,
            }
        };
        let length = head
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or_default();
        while received.len() < length {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            received.extend_from_slice(&buffer[..read]);
        }
        let body = received.drain(..length).collect();
        let mut words = head.split_whitespace();
        let method = words.next().unwrap().to_owned();
        let target = words.next().unwrap().to_owned();
        let (status, header, content) =
            bucket.lock().unwrap().answer(&head, &method, &target, body);
        if bucket.lock().unwrap().hangs == Some(&*method) {
            std::future::pending::<()>().await;
        }
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{header}\r\n",
            content.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        if method != "HEAD" {
            stream.write_all(&content).await.unwrap();
        }
    }
}

/// A check, and the bucket that it checks.
struct Subject {
    health: Health,
    bucket: Arc<Mutex<Bucket>>,
}

impl Subject {
    async fn new(bucket: Bucket) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bucket = Arc::new(Mutex::new(bucket));
        let served = Arc::clone(&bucket);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        let text = format!(
            "[[checks]]\nkind = \"s3\"\nbucket = \"b\"\nendpoint_url = \"http://{address}\"\naccess_key_id = \"a\"\n\
             secret_access_key = \"b\"\nprefix = \"health\"\nttl = 0\ntimeout = 3"
        );
        let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .unwrap()
            .build()
            .unwrap();
        Self { health, bucket }
    }

    /// Runs the check once, and returns its message and the requests.
    async fn run(&self) -> (String, Vec<String>) {
        let said = self
            .health
            .read(&Selection::default())
            .await
            .unwrap()
            .checks[0]
            .pretty_status();
        let requests = std::mem::take(&mut self.bucket.lock().unwrap().requests);
        (said, requests)
    }

    /// Returns the number of versions that are left, of which some may be delete markers.
    fn left(&self) -> usize {
        let bucket = self.bucket.lock().unwrap();
        bucket.objects.values().map(Vec::len).sum()
    }

    fn allow_all(&self) {
        self.bucket.lock().unwrap().refused.clear();
    }
}

#[tokio::test]
async fn a_bucket_with_versions_keeps_none_of_ours() {
    let subject = Subject::new(Bucket {
        is_versioned: true,
        may_list: true,
        ..Bucket::default()
    })
    .await;
    let (said, requests) = subject.run().await;
    assert_eq!(said, "working");
    assert_eq!(requests, ["PUT -", "GET -", "DELETE v1", "HEAD -"]);
    assert_eq!(subject.left(), 0);
}

#[tokio::test]
async fn a_user_who_may_not_list_is_told_403_of_what_is_gone() {
    let (said, requests) = Subject::new(Bucket::default()).await.run().await;
    assert_eq!(said, "working");
    assert_eq!(requests, ["PUT -", "GET -", "DELETE -", "HEAD -"]);
}

#[tokio::test]
async fn a_bucket_that_wants_a_checksum_gets_one() {
    let subject = Subject::new(Bucket {
        wants_checksum: true,
        may_list: true,
        ..Bucket::default()
    });
    let (said, requests) = subject.await.run().await;
    assert_eq!(said, "working");
    assert_eq!(requests, ["PUT -", "GET -", "DELETE -", "HEAD -"]);
}

/// Whatever right is missing: its name is in the message, and the bucket does not grow.
#[tokio::test]
async fn a_right_that_is_missing_is_named_and_the_bucket_does_not_grow() {
    const DELETE: &str = "unavailable: the user may not delete objects: allow s3:DeleteObject";
    const READ: &str = "unavailable: the user may not read objects: allow s3:GetObject";
    const WRITE: &str = "unavailable: the user may not write objects: allow s3:PutObject";
    const VERSION: &str =
        "unavailable: the user may not delete versions: allow s3:DeleteObjectVersion";
    for (is_versioned, refused, message, first, later, most) in [
        (
            false,
            &["DELETE"][..],
            DELETE,
            &["PUT -", "GET -", "DELETE -"][..],
            &["DELETE -"][..],
            1,
        ),
        (
            false,
            &["GET", "HEAD", "DELETE"],
            DELETE,
            &["PUT -", "GET -", "DELETE -"],
            &["DELETE -"],
            1,
        ),
        (
            false,
            &["GET", "HEAD"],
            READ,
            &["PUT -", "GET -", "DELETE -", "HEAD -"],
            &["PUT -", "GET -", "DELETE -", "HEAD -"],
            0,
        ),
        (false, &["PUT"], WRITE, &["PUT -"], &["PUT -"], 0),
        (
            true,
            &["DELETE v"],
            VERSION,
            &["PUT -", "GET -", "DELETE v1", "DELETE -"],
            &["DELETE v1"],
            2,
        ),
        (
            true,
            &["DELETE", "DELETE v"],
            DELETE,
            &["PUT -", "GET -", "DELETE v1", "DELETE -"],
            &["DELETE v1", "DELETE -"],
            1,
        ),
    ] {
        let subject = Subject::new(Bucket {
            is_versioned,
            may_list: true,
            refused: refused.to_vec(),
            ..Bucket::default()
        })
        .await;
        for run in 0..4 {
            let expected = if run == 0 { first } else { later };
            assert_eq!(
                subject.run().await,
                (
                    message.to_owned(),
                    expected.iter().map(ToString::to_string).collect()
                ),
                "{refused:?}, run {run}"
            );
            assert_eq!(subject.left(), most, "{refused:?}, run {run}");
            if run == 0 {
                tokio::time::sleep(Duration::from_millis(700)).await; // no task repeats what was refused
            }
        }
        subject.allow_all();
        assert_eq!(subject.run().await.0, "working", "{refused:?}");
        assert_eq!(subject.left(), 0, "{refused:?}: what was left is gone");
    }
}

/// The names of the objects that an interrupted run deletes have the prefix as well.
#[tokio::test]
async fn an_interrupted_save_is_undone_below_the_prefix() {
    let subject = Subject::new(Bucket {
        may_list: true,
        hangs: Some("PUT"),
        ..Bucket::default()
    })
    .await;
    let all = Selection::default();
    let read = subject.health.read(&all);
    let interrupted = tokio::time::timeout(Duration::from_secs(10), read).await;
    assert_ne!(
        interrupted.unwrap().unwrap().checks[0].pretty_status(),
        "working"
    );
    let began = std::time::Instant::now();
    while subject.left() > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the object is still there"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The client quotes a URL that it can't use.
#[test]
fn the_endpoint_is_read_like_every_url() {
    for (url, message) in [
        (
            "http://AKIA:hunter2@h",
            "a user or a password, which S3 does not take",
        ),
        (
            "http://h/?x=hunter2",
            "the parameter x is unknown, and would be ignored",
        ),
        (
            "http://h/#hunter2",
            "a # and what stands behind it would be ignored",
        ),
        ("http://h:hunter2/", "the port is not a number"),
        (
            "hunter2.example.com",
            "expected a URL: http://... or https://...",
        ),
        (
            "s3://hunter2",
            "expected a URL: http://... or https://..., not s3://",
        ),
        ("http:///hunter2", "expected a URL"),
        ("http://hunter2|/", "expected a URL"),
        ("http://h/<hunter2>", "expected a URL"),
        ("http://a,b", "several hosts"),
    ] {
        let text = format!("[[checks]]\nkind = \"s3\"\nbucket = \"b\"\nendpoint_url = '{url}'\n");
        let error = Config::from_text("test.toml", &text, &|_| None, &Options::default());
        let error = error.unwrap_err().to_string();
        let start = format!("test.toml:4: checks[1].endpoint_url: {message}");
        assert!(error.starts_with(&start), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for url in [
        "http://h:9000",
        "HTTPS://h/storage/v1/s3",
        "http://[::1]:9000/",
        "http://minio_1/",
    ] {
        let text = format!("[[checks]]\nkind = \"s3\"\nbucket = \"b\"\nendpoint_url = '{url}'\n");
        let read = Config::from_text("test.toml", &text, &|_| None, &Options::default());
        assert!(read.is_ok(), "{url}: {}", read.unwrap_err());
    }
    for (key, value) in [("bucket", "s3://hunter2/a"), ("region", "x.hunter2/?")] {
        let bucket = if key == "bucket" {
            ""
        } else {
            "bucket = \"b\"\n"
        };
        let text = format!("[[checks]]\nkind = \"s3\"\n{bucket}{key} = \"{value}\"\n");
        let error = Config::from_text("test.toml", &text, &|_| None, &Options::default());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("{key}: expected the name of")),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
