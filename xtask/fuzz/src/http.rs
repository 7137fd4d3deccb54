//! Requests: method, path, query, `Accept` and `Authorization`.

use std::cell::RefCell;

use health_core::{CheckExt as _, Endpoint, Health, ServiceWarning, check_fn};
use tokio::runtime::{Builder, Runtime};

const TOKEN: &str = "t0k3n-0f-f0zz";

thread_local! {
    static SERVICE: RefCell<(Runtime, [Endpoint; 2])> = RefCell::new(service());
}

fn service() -> (Runtime, [Endpoint; 2]) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let inside = runtime.enter();
    let warns = check_fn("Plattengröße <b>", || async {
        Err(ServiceWarning::new("91 % & more").into())
    });
    let works = check_fn("cache", || async { Ok(()) });
    let health = Health::builder()
        .check(works)
        .check(warns.non_critical().groups(["ready"]))
        .build()
        .unwrap();
    let open = Endpoint::builder(health.clone()).build().unwrap();
    let closed = Endpoint::builder(health).token(TOKEN).build().unwrap();
    drop(inside);
    (runtime, [open, closed])
}

/// Sends a request: its lines are the method, the target, and then headers.
pub(crate) fn http(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut request = http::Request::builder().method(lines.next().unwrap_or_default());
    request = request.uri(lines.next().unwrap_or(b"/ht/"));
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        request = request.header(name, value);
    }
    let Ok(request) = request.body(()) else {
        return;
    };
    SERVICE.with_borrow(|(runtime, endpoints)| {
        for endpoint in endpoints {
            let response = runtime.block_on(endpoint.respond(&request));
            let status = response.status().as_u16();
            let body = response.body();
            assert!(
                [200, 400, 404, 405, 406, 500].contains(&status),
                "status {status}"
            );
            assert!(
                !String::from_utf8_lossy(body).contains(TOKEN),
                "the token is shown"
            );
            let media_type = response
                .headers()
                .get("content-type")
                .and_then(|value| value.to_str().ok());
            if media_type.is_some_and(|kind| kind.contains("json")) && !body.is_empty() {
                assert!(
                    serde_json::from_slice::<serde_json::Value>(body).is_ok(),
                    "no JSON"
                );
            }
            if request.method() == "HEAD" {
                assert!(body.is_empty(), "a response to HEAD has a body");
            }
        }
    });
}
