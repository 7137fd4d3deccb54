//! Tests `s3` against a fake of one exchange: a bucket that keeps versions, and one whose user may
//! not list it. The S3 server of the other tests supports neither.

#![cfg(all(feature = "config", feature = "s3"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use health_checks::config::{Config, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The content of the bucket, and the requests that it received.
#[derive(Default)]
struct Bucket {
    is_versioned: bool,
    may_list: bool,
    wants_checksum: bool,
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
                versions.push((next, None));
                (204, String::new(), Vec::new())
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

/// Runs the check once, and returns its message and the bucket.
async fn run(bucket: Bucket) -> (String, Arc<Mutex<Bucket>>) {
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
         secret_access_key = \"b\""
    );
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    (health.report().await.checks[0].pretty_status(), bucket)
}

#[tokio::test]
async fn a_bucket_with_versions_keeps_none_of_ours() {
    let (said, bucket) = run(Bucket {
        is_versioned: true,
        may_list: true,
        ..Bucket::default()
    })
    .await;
    let bucket = bucket.lock().unwrap();
    assert_eq!(said, "working");
    assert_eq!(bucket.requests, ["PUT -", "GET -", "DELETE v1", "HEAD -"]);
    assert!(
        bucket.objects.values().all(Vec::is_empty),
        "{:?}",
        bucket.objects
    );
}

#[tokio::test]
async fn a_user_who_may_not_list_is_told_403_of_what_is_gone() {
    let (said, bucket) = run(Bucket::default()).await;
    assert_eq!(said, "working");
    assert_eq!(
        bucket.lock().unwrap().requests,
        ["PUT -", "GET -", "DELETE -", "HEAD -"]
    );
}

#[tokio::test]
async fn a_bucket_that_wants_a_checksum_gets_one() {
    let (said, bucket) = run(Bucket {
        wants_checksum: true,
        may_list: true,
        ..Bucket::default()
    })
    .await;
    assert_eq!(said, "working");
    assert_eq!(
        bucket.lock().unwrap().requests,
        ["PUT -", "GET -", "DELETE -", "HEAD -"]
    );
}
