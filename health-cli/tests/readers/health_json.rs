//! `health` against a JSON Schema of draft-inadarei-api-health-check-06, and against rules that a
//! schema cannot express.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, mpsc};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::shop::{IMAGES, IMAGES_FOLDER, ORDERS_FOLDER, STRANGERS, Shop};
use crate::support::{BROKEN, CACHE, Server, WARNING, answering, folder, http, run, stdout};

/// The key of the check whose name has a colon.
const ORDERS_KEY: &str = "orders_new";

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("health-json.schema.json")).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
});

/// Parses a response, which has to conform to the schema.
pub(crate) fn conforming(body: &str) -> Value {
    let response = serde_json::from_str(body).unwrap();
    let wrong: Vec<_> = SCHEMA
        .iter_errors(&response)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?} in {body}");
    response
}

/// Requests a response, whose status code has to match its status.
fn served(server: &Server, path: &str) -> Value {
    let (code, head, body) = server.answer(path);
    assert!(
        head.to_lowercase()
            .contains("\r\ncontent-type: application/health+json\r\n"),
        "{head}"
    );
    let response = conforming(&body);
    match response["status"].as_str().unwrap() {
        "pass" | "warn" => assert_eq!(code, 200, "{body}"),
        "fail" => assert_eq!(code, 500, "{body}"),
        _ => panic!("an alias, which the draft allows and we do not need: {body}"),
    }
    response
}

fn keys(response: &Value) -> Vec<&str> {
    response["checks"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn the_schema_takes_what_the_draft_allows() {
    for response in [
        json!({"status": "pass"}),
        json!({"status": "UP", "output": ""}),
        json!({"status": "Ok", "whatever": 1}),
        json!({"status": "down"}),
        json!({"status": "error", "output": "no route", "affectedEndpoints": ["/users/{id}"]}),
        json!({"status": "warn", "notes": ["the disk is nearly full"]}),
        json!({"status": "pass", "version": "1", "releaseId": "1.4.2", "serviceId": "s", "description": "d",
               "links": {"about": "https://shop.example/", "https://shop.example/rel/x": "https://shop.example/x"}}),
        json!({"status": "fail", "checks": {
            "uptime": [{"componentType": "system", "observedValue": 1.5, "observedUnit": "s"}],
            "db:connections": [
                {"componentType": "datastore", "componentId": "1", "status": "fail", "affectedEndpoints": ["/{+path}"]},
                {"componentType": "https://shop.example/node", "node": 2, "time": "2026-01-17T03:36:48Z", "links": {}},
            ],
        }}),
    ] {
        conforming(&response.to_string());
    }
}

#[test]
fn the_schema_refuses_mistakes() {
    let checks = |details: Value| json!({"status": "fail", "checks": {"db:connections": details}});
    let details = |name: &str, value: Value| {
        checks(json!([{"componentType": "system", "status": "fail", name: value}]))
    };
    for response in [
        json!({}),
        json!({"status": "healthy"}),
        json!({"status": "passed"}),
        json!({"status": true}),
        json!({"status": "pass", "output": "All systems working"}),
        json!({"status": "warn"}),
        json!({"status": "fail", "notes": "a note"}),
        json!({"status": "fail", "output": ["no route"]}),
        json!({"status": "pass", "version": 1}),
        json!({"status": "pass", "links": {"self": "?format=html"}}),
        json!({"status": "pass", "links": ["https://shop.example/"]}),
        json!({"status": "pass", "checks": []}),
        json!({"status": "pass", "checks": {"a:b:c": [{"componentType": "system"}]}}),
        json!({"status": "pass", "checks": {"a:": [{"componentType": "system"}]}}),
        json!({"status": "pass", "checks": {"": [{"componentType": "system"}]}}),
        checks(json!({"componentType": "system"})),
        checks(json!([])),
        checks(json!([{}])),
        checks(json!([{"componentType": "system", "status": "pass", "output": "fine"}])),
        checks(json!([{"componentType": "system", "status": "pass", "affectedEndpoints": ["/"]}])),
        details("observedValue", json!(1)),
        details("observedUnit", json!("percent")),
        details("componentType", json!("a disk")),
        details("componentId", json!(7)),
        details("status", json!("unavailable")),
        details("affectedEndpoints", json!("/users")),
        details("affectedEndpoints", json!(["/users/{id"])),
        details("time", json!("2026-01-17 03:36")),
        details("time", json!("2026-01-17T03:36:48")),
        details("time", json!("2026-02-30T03:36:48Z")),
        details("time", json!(1_768_620_000)),
    ] {
        assert!(!SCHEMA.is_valid(&response), "{response}");
    }
}

#[test]
fn whether_it_works_or_not_it_is_as_the_draft_has_it() {
    let shop = Shop::open("instance = \"shop-1\"\nversion = \"1.4.2\"");
    let path = "/ht/?format=health";
    let healthy = served(&shop.server, path);
    assert_eq!(&healthy["status"], &json!("pass"));
    assert_eq!(&healthy["output"], &Value::Null);
    assert_eq!(&healthy["serviceId"], &json!("shop-1"));
    assert_eq!(&healthy["releaseId"], &json!("1.4.2"));
    let all = [
        IMAGES,
        "DiskUsage",
        "DiskUsage:available",
        "DiskUsage:inodes_used",
        "DiskUsage:used",
        ORDERS_KEY,
    ];
    assert_eq!(keys(&healthy), all);
    let used = &healthy["checks"]["DiskUsage:used"][0];
    assert!(
        used["observedValue"].is_f64() && used["observedUnit"] == "percent",
        "{used}"
    );
    assert!(
        used["componentType"] == "system" && used["time"].is_string(),
        "{used}"
    );

    shop.damage(IMAGES_FOLDER);
    let warning = served(&shop.server, path);
    assert_eq!(&warning["status"], &json!("warn"));
    assert_eq!(&warning["output"], &json!("Working, with 1 problem"));
    let images = &warning["checks"][IMAGES][0];
    assert_eq!(&images["componentId"], &json!(IMAGES));
    assert_eq!(&images["status"], &json!("fail"));
    assert_eq!(images["output"], "unavailable: storage folder is missing");

    shop.damage(ORDERS_FOLDER);
    let failing = served(&shop.server, path);
    assert_eq!(&failing["status"], &json!("fail"));
    assert_eq!(&failing["output"], &json!("1 of 3 failing"));
    assert_eq!(
        failing["checks"][ORDERS_KEY][0]["componentId"],
        "orders:new"
    );
    assert_eq!(keys(&failing), all);

    let group = served(&shop.server, "/ht/host/?format=health");
    assert_eq!(&group["status"], &json!("pass"));
    assert_eq!(keys(&group), all[1..5].to_vec());
    shop.drain();
    let draining = served(&shop.server, "/ht/?format=health&exclude=orders:new");
    assert_eq!(&draining["status"], &json!("fail"));
    assert!(!keys(&draining).contains(&ORDERS_KEY));
}

#[test]
fn a_warning_counts_or_it_does_not() {
    let lenient = Server::of(&format!(
        "[settings]\nwarnings_as_errors = false\n{WARNING}"
    ));
    let response = served(&lenient, "/ht/?format=health");
    assert_eq!(&response["status"], &json!("warn"));
    assert_eq!(
        &response["checks"]["DiskUsage"][0]["status"],
        &json!("warn")
    );
    assert_eq!(
        response["checks"]["DiskUsage:used"][0]["output"],
        Value::Null,
        "it is said once"
    );
    let strict = served(&Server::of(WARNING), "/ht/?format=health");
    assert_eq!(&strict["status"], &json!("fail"));
    assert_eq!(&strict["checks"]["DiskUsage"][0]["status"], &json!("fail"));
}

#[test]
fn what_is_not_known_yet_and_what_is_no_longer_known_are_as_the_draft_has_it() {
    let (thaw, frozen) = mpsc::channel::<()>();
    let asked = AtomicUsize::new(0);
    let (address, _) = answering(move |_| {
        if asked.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = frozen.recv();
        }
        http("204 No Content", "", "")
    });
    let (_silent, nobody) = crate::support::frozen();
    let check = |name, address| {
        format!("[[checks]]\nkind = \"http\"\nname = \"{name}\"\nurl = \"http://{address}/\"\n")
    };
    let settings = "[settings]\nttl = 0\nbudget = \"1s\"\n";
    let server = Server::of(&format!(
        "{settings}{}{}",
        check("slow", &address),
        check("silent", &nobody)
    ));
    let first = served(&server, "/ht/?format=health");
    let silent = &first["checks"]["silent"][0];
    let slow = &first["checks"]["slow"][0];
    assert_eq!(&silent["status"], &json!("fail"), "it has not run: {first}");
    assert_eq!(&silent["time"], &Value::Null, "it has not run: {first}");
    assert_eq!(&first["status"], &json!("fail"));
    assert_eq!(&slow["status"], &json!("pass"));
    let second = served(&server, "/ht/?format=health");
    assert_eq!(
        second["checks"]["slow"][0]["time"], slow["time"],
        "it is what was known before"
    );
    drop(thaw);
}

#[test]
fn strangers_see_the_verdict_only() {
    let shop = Shop::open(STRANGERS);
    assert_eq!(
        served(&shop.server, "/ht/?format=health"),
        json!({"status": "pass"})
    );
    shop.damage(ORDERS_FOLDER);
    assert_eq!(
        served(&shop.server, "/ht/?format=health"),
        json!({"status": "fail", "output": "Not working"})
    );
    assert_eq!(
        keys(&served(&shop.server, "/ht/t0ken/?format=health")).len(),
        6
    );
    let nearly_full = Server::of(&format!(
        "[settings]\nwarnings_as_errors = false\n{STRANGERS}\n{WARNING}"
    ));
    assert_eq!(
        served(&nearly_full, "/ht/?format=health"),
        json!({"status": "warn", "output": "Working"})
    );
}

#[test]
fn the_command_prints_the_same() {
    for (config, status, code) in [
        (CACHE, "pass", 0),
        (WARNING, "fail", 1),
        (BROKEN, "fail", 1),
        ("checks = []", "pass", 0),
    ] {
        let folder = folder(config);
        let output = run(
            folder.path(),
            &["check", "--config", "health.toml", "--format", "health"],
            &[],
        );
        assert_eq!(
            conforming(&stdout(&output))["status"].as_str(),
            Some(status)
        );
        assert_eq!(output.status.code(), Some(code));
    }
}
