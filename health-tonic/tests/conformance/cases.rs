//! The table of cases: each is a conversation of a client with the service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::{FutureExt as _, LocalBoxFuture};
use health_testkit::Step::{Fail, Hang, Panic, Warn, Work};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::{
    self, NotServing, ServiceUnknown, Serving,
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::scene::{BUDGET, DRAIN, Scene, TTL};
use crate::servers::Client;

type Case = fn(Scene, Client) -> LocalBoxFuture<'static, ()>;

/// Writes the table: each case with its name.
macro_rules! table {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |scene, client| $name(scene, client).boxed_local())),*];
    };
}

table![
    check_without_a_name_is_ready,
    check_knows_every_group,
    check_knows_names_of_the_application,
    check_of_an_unknown_name_is_not_found,
    check_of_a_name_in_other_letters_is_not_found,
    check_of_a_long_name_is_not_found,
    check_of_a_group_that_fails,
    check_of_a_group_that_works_again,
    check_of_a_check_that_panics,
    check_of_a_held_failure_is_serving,
    check_of_a_check_that_is_not_critical_is_serving,
    check_of_a_warning_is_as_the_group_says,
    check_before_a_first_verdict_answers_within_the_budget,
    check_of_a_hanging_check_answers_within_the_budget,
    check_within_a_ttl_runs_nothing,
    check_with_a_deadline_of_the_client,
    check_with_metadata,
    check_while_draining,
    check_after_an_undrain,
    watch_sends_the_present_status_first,
    watch_sends_each_change,
    watch_sends_a_status_once,
    watch_of_an_unknown_name_stays_open,
    watch_of_a_held_failure_says_nothing,
    watch_before_a_first_verdict,
    watch_ends_after_the_drain,
    watch_that_begins_in_a_drain_outlives_it,
    watch_that_begins_after_a_drain_stays_open,
    watch_that_changes_in_a_drain_ends_with_it,
    watch_stays_after_an_undrain,
    watch_of_a_group_that_does_not_drain_ends_with_it,
    watch_of_many_services_at_once,
    watch_that_is_dropped_ends_its_reads,
    watch_of_an_unknown_name_reads_nothing,
    the_start_is_seen_by_check_watch_and_list,
    list_has_every_service,
    list_while_draining,
    list_in_an_outage,
    both_at_once,
];

fn named(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
    }
}

async fn check(client: &Client, service: &str) -> Result<ServingStatus, Code> {
    let answer = client
        .clone()
        .check(named(service))
        .await
        .map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

/// Asserts the status of several services.
async fn expect<const N: usize>(client: &Client, expected: [(&str, ServingStatus); N]) {
    for (service, status) in expected {
        assert_eq!(check(client, service).await, Ok(status), "{service:?}");
    }
}

type Stream = Streaming<HealthCheckResponse>;

async fn watch(client: &Client, service: &str) -> Stream {
    client
        .clone()
        .watch(named(service))
        .await
        .unwrap()
        .into_inner()
}

/// Returns the next status, or `None` at the end of the stream.
async fn next(stream: &mut Stream) -> Option<ServingStatus> {
    let message = timeout(Duration::from_secs(5), stream.message())
        .await
        .expect("a message within five seconds");
    message.unwrap().map(|message| message.status())
}

/// Asserts that the stream stays open and sends nothing.
async fn silent(stream: &mut Stream, time: Duration) {
    let message = timeout(time, stream.message()).await;
    assert!(message.is_err(), "{message:?}");
}

async fn check_without_a_name_is_ready(scene: Scene, client: Client) {
    expect(&client, [("", Serving)]).await;
    scene.orders(Fail("refused")).await;
    expect(&client, [("", NotServing), ("ready", NotServing)]).await;
}

async fn check_knows_every_group(_: Scene, client: Client) {
    expect(
        &client,
        ["live", "ready", "startup", "batch", "strict", "steady"].map(|group| (group, Serving)),
    )
    .await;
}

async fn check_knows_names_of_the_application(scene: Scene, client: Client) {
    expect(&client, [("shop.v1.Orders", Serving)]).await;
    scene.orders(Fail("refused")).await;
    expect(&client, [("shop.v1.Orders", NotServing)]).await;
}

async fn check_of_an_unknown_name_is_not_found(_: Scene, client: Client) {
    let status = client.clone().check(named("orders")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "unknown service");
}

async fn check_of_a_name_in_other_letters_is_not_found(_: Scene, client: Client) {
    for name in ["READY", "Ready", " ready", "ready ", "/ready"] {
        assert_eq!(check(&client, name).await, Err(Code::NotFound), "{name:?}");
    }
}

async fn check_of_a_long_name_is_not_found(_: Scene, client: Client) {
    assert_eq!(
        check(&client, &"r".repeat(100_000)).await,
        Err(Code::NotFound)
    );
}

async fn check_of_a_group_that_fails(scene: Scene, client: Client) {
    scene.orders(Fail("refused")).await;
    expect(
        &client,
        [
            ("batch", NotServing),
            ("live", Serving),
            ("startup", Serving),
        ],
    )
    .await;
}

async fn check_of_a_group_that_works_again(scene: Scene, client: Client) {
    for step in [Work, Fail("refused"), Work] {
        let status = if step == Work { Serving } else { NotServing };
        scene.orders(step).await;
        expect(&client, [("ready", status)]).await;
    }
}

async fn check_of_a_check_that_panics(scene: Scene, client: Client) {
    scene.orders(Panic).await;
    expect(&client, [("ready", NotServing), ("live", Serving)]).await;
}

async fn check_of_a_held_failure_is_serving(scene: Scene, client: Client) {
    expect(&client, [("ready", Serving)]).await; // it has worked, so that it can be held
    scene.stock.script([Fail("refused")]);
    sleep(2 * TTL).await;
    expect(&client, [("ready", Serving)]).await;
    let report = scene.health.group_report("ready").await.unwrap();
    assert!(
        report
            .checks
            .iter()
            .any(|row| row.identifier == "stock" && row.held),
        "{report:?}"
    );
}

async fn check_of_a_check_that_is_not_critical_is_serving(scene: Scene, client: Client) {
    scene.mail.script([Fail("refused")]);
    expect(&client, [("ready", Serving)]).await;
    assert_eq!(scene.mail.runs(), 1);
}

async fn check_of_a_warning_is_as_the_group_says(scene: Scene, client: Client) {
    scene.orders(Warn("slow")).await;
    expect(&client, [("ready", Serving), ("strict", NotServing)]).await;
}

async fn check_before_a_first_verdict_answers_within_the_budget(scene: Scene, client: Client) {
    scene.orders.script([Hang]);
    let began = Instant::now();
    expect(&client, [("", NotServing)]).await;
    assert!(
        (BUDGET..BUDGET + Duration::from_secs(1)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    expect(&client, [("live", Serving)]).await;
}

async fn check_of_a_hanging_check_answers_within_the_budget(scene: Scene, client: Client) {
    expect(&client, [("ready", Serving)]).await;
    scene.orders(Hang).await;
    let began = Instant::now();
    expect(&client, [("ready", Serving)]).await; // the last verdict is not too old
    assert!(
        began.elapsed() < BUDGET + Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

async fn check_within_a_ttl_runs_nothing(scene: Scene, client: Client) {
    expect(&client, [("ready", Serving); 1]).await;
    let began = Instant::now();
    for _ in 0..100 {
        expect(&client, [("", Serving), ("batch", Serving)]).await;
    }
    let most = began.elapsed().as_millis() / TTL.as_millis() + 2;
    assert!(
        (1..=usize::try_from(most).unwrap()).contains(&scene.orders.runs()),
        "{} runs",
        scene.orders.runs()
    );
}

async fn check_with_a_deadline_of_the_client(scene: Scene, client: Client) {
    scene.orders.script([Hang]);
    let mut request = Request::new(named("ready"));
    request.set_timeout(BUDGET / 3);
    let answer = client.clone().check(request).await;
    // If a server does not know the deadline, the answer comes within the budget.
    let code = answer
        .map(|answer| answer.into_inner().status())
        .map_err(|status| status.code());
    assert!(
        matches!(
            code,
            Err(Code::DeadlineExceeded | Code::Cancelled) | Ok(NotServing)
        ),
        "{code:?}"
    );
    expect(&client, [("live", Serving)]).await;
}

async fn check_with_metadata(_: Scene, client: Client) {
    let mut request = Request::new(named("ready"));
    request
        .metadata_mut()
        .insert("authorization", "Bearer t0ken".parse().unwrap());
    assert_eq!(
        client
            .clone()
            .check(request)
            .await
            .unwrap()
            .into_inner()
            .status(),
        Serving
    );
}

async fn check_while_draining(scene: Scene, client: Client) {
    scene.health.drain();
    let draining =
        ["", "ready", "batch", "strict", "shop.v1.Orders"].map(|group| (group, NotServing));
    expect(&client, draining).await;
    expect(
        &client,
        ["live", "startup", "steady"].map(|group| (group, Serving)),
    )
    .await;
}

async fn check_after_an_undrain(scene: Scene, client: Client) {
    scene.health.drain();
    expect(&client, [("", NotServing)]).await;
    assert!(scene.health.undrain());
    expect(&client, [("", Serving)]).await;
}

async fn watch_sends_the_present_status_first(scene: Scene, client: Client) {
    for service in ["", "live", "ready", "startup", "batch", "shop.v1.Orders"] {
        assert_eq!(
            next(&mut watch(&client, service).await).await,
            Some(Serving),
            "{service:?}"
        );
    }
    scene.orders(Fail("refused")).await;
    for (service, status) in [
        ("", NotServing),
        ("live", Serving),
        ("shop.v1.Orders", NotServing),
    ] {
        assert_eq!(
            next(&mut watch(&client, service).await).await,
            Some(status),
            "{service:?}"
        );
    }
}

async fn watch_sends_each_change(scene: Scene, client: Client) {
    let mut ready = watch(&client, "").await;
    assert_eq!(next(&mut ready).await, Some(Serving));
    for _ in 0..3 {
        scene.orders.script([Fail("refused")]);
        assert_eq!(next(&mut ready).await, Some(NotServing));
        scene.orders.script([Work]);
        assert_eq!(next(&mut ready).await, Some(Serving));
    }
}

async fn watch_sends_a_status_once(scene: Scene, client: Client) {
    let mut ready = watch(&client, "ready").await;
    assert_eq!(next(&mut ready).await, Some(Serving));
    scene.mail.script([Fail("refused"), Work, Fail("refused")]); // changes the report, but not its verdict
    silent(&mut ready, 10 * TTL).await;
    scene
        .orders
        .script([Fail("refused"), Fail("lost"), Fail("refused")]);
    assert_eq!(next(&mut ready).await, Some(NotServing));
    silent(&mut ready, 10 * TTL).await;
}

async fn watch_of_an_unknown_name_stays_open(scene: Scene, client: Client) {
    let mut unknown = watch(&client, "orders").await;
    assert_eq!(next(&mut unknown).await, Some(ServiceUnknown));
    scene.orders.script([Fail("refused")]);
    silent(&mut unknown, 6 * TTL).await;
    scene.health.drain();
    assert_eq!(next(&mut unknown).await, None);
}

async fn watch_of_a_held_failure_says_nothing(scene: Scene, client: Client) {
    let mut ready = watch(&client, "ready").await;
    assert_eq!(next(&mut ready).await, Some(Serving));
    scene.stock.script([Fail("refused")]);
    silent(&mut ready, 10 * TTL).await;
}

async fn watch_before_a_first_verdict(scene: Scene, client: Client) {
    scene.orders.script([Hang]);
    assert_eq!(next(&mut watch(&client, "").await).await, Some(NotServing));
}

async fn watch_ends_after_the_drain(scene: Scene, client: Client) {
    let mut streams = Vec::new();
    for service in ["", "live", "batch", "shop.v1.Orders"] {
        let mut stream = watch(&client, service).await;
        assert_eq!(next(&mut stream).await, Some(Serving));
        streams.push((service, stream));
    }
    let began = Instant::now();
    scene.health.drain();
    futures::future::join_all(streams.iter_mut().map(|(service, stream)| async move {
        if *service != "live" {
            assert_eq!(next(stream).await, Some(NotServing), "{service:?}");
        }
        assert_eq!(next(stream).await, None, "{service:?}");
    }))
    .await;
    assert!(
        (DRAIN..DRAIN + Duration::from_secs(1)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}

/// Asserts that the streams have ended with the drain that began at this time, and no later.
fn ended_with_the_drain(began: Instant) {
    let took = began.elapsed();
    assert!(
        (DRAIN..DRAIN + DRAIN / 3).contains(&took),
        "a drain takes {DRAIN:?}, the stream ended after {took:?}"
    );
}

async fn watch_that_begins_in_a_drain_outlives_it(scene: Scene, client: Client) {
    expect(&client, [("", Serving)]).await;
    scene.health.drain();
    sleep(DRAIN / 2).await;
    let mut ready = watch(&client, "").await;
    let mut unknown = watch(&client, "orders").await;
    assert_eq!(next(&mut ready).await, Some(NotServing));
    assert_eq!(next(&mut unknown).await, Some(ServiceUnknown));
    silent(&mut ready, 2 * DRAIN).await;
    silent(&mut unknown, DRAIN).await;
    assert!(scene.health.undrain());
    assert_eq!(next(&mut ready).await, Some(Serving));
}

async fn watch_that_begins_after_a_drain_stays_open(scene: Scene, client: Client) {
    scene.health.drain();
    sleep(DRAIN + DRAIN / 10).await;
    for (service, status) in [
        ("", NotServing),
        ("live", Serving),
        ("orders", ServiceUnknown),
    ] {
        let mut stream = watch(&client, service).await;
        assert_eq!(next(&mut stream).await, Some(status), "{service:?}");
        silent(&mut stream, DRAIN / 2).await;
    }
}

async fn watch_that_changes_in_a_drain_ends_with_it(scene: Scene, client: Client) {
    let mut steady = watch(&client, "steady").await;
    assert_eq!(next(&mut steady).await, Some(Serving));
    let began = Instant::now();
    scene.health.drain();
    sleep(DRAIN / 2).await;
    scene.orders.script([Fail("refused")]);
    assert_eq!(next(&mut steady).await, Some(NotServing));
    assert_eq!(next(&mut steady).await, None);
    ended_with_the_drain(began);
}

async fn watch_stays_after_an_undrain(scene: Scene, client: Client) {
    let mut ready = watch(&client, "").await;
    assert_eq!(next(&mut ready).await, Some(Serving));
    scene.health.drain();
    assert_eq!(next(&mut ready).await, Some(NotServing));
    assert!(scene.health.undrain());
    assert_eq!(next(&mut ready).await, Some(Serving));
    silent(&mut ready, 2 * DRAIN).await;
}

async fn watch_of_a_group_that_does_not_drain_ends_with_it(scene: Scene, client: Client) {
    let mut steady = watch(&client, "steady").await;
    assert_eq!(next(&mut steady).await, Some(Serving));
    scene.health.drain();
    assert_eq!(
        next(&mut steady).await,
        None,
        "a stream must not hold the server"
    );
}

async fn watch_of_many_services_at_once(scene: Scene, client: Client) {
    let mut streams = BTreeMap::new();
    for number in 0..100 {
        let service = ["", "ready", "batch", "shop.v1.Orders"][number % 4];
        let mut stream = watch(&client, service).await;
        assert_eq!(next(&mut stream).await, Some(Serving));
        streams.insert(number, stream);
    }
    let before = scene.orders.runs();
    sleep(10 * TTL).await;
    let runs = scene.orders.runs() - before;
    assert!(
        runs <= 12,
        "{runs} runs for {} streams: they share one reader",
        streams.len()
    );
    scene.orders.script([Fail("refused")]);
    for (number, stream) in &mut streams {
        assert_eq!(next(stream).await, Some(NotServing), "{number}");
    }
}

async fn watch_that_is_dropped_ends_its_reads(scene: Scene, client: Client) {
    let mut ready = watch(&client, "").await;
    assert_eq!(next(&mut ready).await, Some(Serving));
    drop(ready);
    sleep(6 * TTL).await;
    let before = scene.orders.runs();
    sleep(6 * TTL).await;
    assert_eq!(scene.orders.runs(), before, "nobody reads any more");
}

async fn watch_of_an_unknown_name_reads_nothing(scene: Scene, client: Client) {
    let mut unknown = watch(&client, "orders").await;
    assert_eq!(next(&mut unknown).await, Some(ServiceUnknown));
    silent(&mut unknown, 6 * TTL).await;
    assert_eq!(scene.orders.runs(), 0);
    assert_eq!(scene.alive.runs(), 0);
}

async fn the_start_is_seen_by_check_watch_and_list(scene: Scene, client: Client) {
    scene.alive.script([Fail("not loaded")]);
    expect(&client, [("startup", NotServing), ("ready", Serving)]).await;
    assert_eq!(client.list().await.unwrap()["startup"], NotServing);
    let mut startup = watch(&client, "startup").await;
    assert_eq!(next(&mut startup).await, Some(NotServing));
    scene.alive.script([Work]);
    assert_eq!(next(&mut startup).await, Some(Serving));
    scene.alive.script([Fail("lost")]);
    silent(&mut startup, 6 * TTL).await; // it has started for good
    expect(&client, [("startup", Serving), ("live", NotServing)]).await;
    assert_eq!(client.list().await.unwrap()["startup"], Serving);
}

/// Returns the services with their statuses, of which all but these are serving.
fn all_but(not_serving: &[&str]) -> BTreeMap<String, ServingStatus> {
    let services = [
        "",
        "live",
        "ready",
        "startup",
        "batch",
        "strict",
        "steady",
        "shop.v1.Orders",
    ];
    let status = |service: &str| {
        if not_serving.contains(&service) {
            NotServing
        } else {
            Serving
        }
    };
    services
        .map(|service| (service.to_owned(), status(service)))
        .into()
}

async fn list_has_every_service(_: Scene, client: Client) {
    assert_eq!(client.list().await.unwrap(), all_but(&[]));
}

async fn list_while_draining(scene: Scene, client: Client) {
    scene.health.drain();
    assert_eq!(
        client.list().await.unwrap(),
        all_but(&["", "ready", "batch", "strict", "shop.v1.Orders"])
    );
    assert!(scene.health.undrain());
    assert_eq!(client.list().await.unwrap(), all_but(&[]));
}

async fn list_in_an_outage(scene: Scene, client: Client) {
    assert_eq!(client.list().await.unwrap(), all_but(&[]));
    scene.orders(Fail("refused")).await;
    assert_eq!(
        client.list().await.unwrap(),
        all_but(&["", "ready", "batch", "strict", "steady", "shop.v1.Orders"])
    );
    scene.orders(Work).await;
    assert_eq!(client.list().await.unwrap(), all_but(&[]));
}

async fn both_at_once(scene: Scene, client: Client) {
    let mut ready = watch(&client, "").await;
    assert_eq!(next(&mut ready).await, Some(Serving));
    scene.orders.script([Fail("refused")]);
    let checks = futures::future::join_all((0..50).map(|_| async {
        sleep(4 * TTL).await;
        check(&client, "").await
    }));
    let (statuses, change) = tokio::join!(checks, next(&mut ready));
    assert_eq!(change, Some(NotServing));
    assert!(
        statuses.iter().all(|status| *status == Ok(NotServing)),
        "{statuses:?}"
    );
}
