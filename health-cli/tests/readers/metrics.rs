//! `openmetrics` and `prometheus`, read by the parsers of Prometheus' own client for Python. The
//! parser of OpenMetrics is strict: it rejects a missing end, a unit that the name lacks, and a
//! sample that is repeated or apart from its family.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::shop::{DISK, IMAGES, IMAGES_FOLDER, ORDERS, ORDERS_FOLDER, STRANGERS, Shop};

const FORMATS: [(&str, &str); 2] = [
    (
        "openmetrics",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
    ("prometheus", "text/plain; version=0.0.4; charset=utf-8"),
];

/// The name and the labels of a series.
type Series = (String, BTreeMap<String, String>);

struct Metrics {
    families: Vec<Value>,
    /// The series with their values.
    samples: Vec<(Series, f64)>,
}

impl Metrics {
    fn read(shop: &Shop, format: &str, path: &str) -> Self {
        let mut answer = shop.read(format, &format!("{path}?format={format}"));
        let (_, kind) = FORMATS.iter().find(|(name, _)| *name == format).unwrap();
        assert_eq!(&answer["status"], &json!(200));
        assert_eq!(&answer["type"], &json!(kind));
        let Value::Array(families) = answer["families"].take() else {
            panic!("{answer}")
        };
        let samples = families
            .iter()
            .flat_map(|family| family["samples"].as_array().unwrap())
            .map(sample)
            .collect();
        Self { families, samples }
    }

    /// Returns the name, the type and the unit of each family.
    fn described(&self) -> Vec<[&str; 3]> {
        let text = |family: usize, key| self.families[family][key].as_str().unwrap();
        (0..self.families.len())
            .map(|family| ["name", "type", "unit"].map(|key| text(family, key)))
            .collect()
    }

    /// Returns the values of the samples with this name, by one of their labels.
    fn of(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let named = self.samples.iter().filter(|((other, _), _)| other == name);
        named
            .map(|((_, labels), value)| (labels.get(label).map_or("", String::as_str), *value))
            .collect()
    }

    /// Returns the statuses of a check whose samples are not zero. There should be exactly one.
    fn status(&self, check: &str) -> Vec<&str> {
        let is_one = |(series, value): &&(Series, f64)| {
            series.0 == "health_check_status" && series.1["check"] == check && *value != 0.0
        };
        self.samples
            .iter()
            .filter(is_one)
            .map(|((_, labels), _)| labels["status"].as_str())
            .collect()
    }

    fn series(&self) -> BTreeSet<&Series> {
        let series: BTreeSet<_> = self.samples.iter().map(|(series, _)| series).collect();
        assert_eq!(series.len(), self.samples.len(), "a series is there twice");
        series
    }
}

fn sample(sample: &Value) -> (Series, f64) {
    let labels = serde_json::from_value(sample["labels"].clone()).unwrap();
    (
        (sample["name"].as_str().unwrap().to_owned(), labels),
        sample["value"].as_f64().unwrap(),
    )
}

#[test]
fn the_families_have_their_types_and_units() {
    let shop = Shop::open("");
    let seconds = [
        "health_check_duration_seconds",
        "health_check_last_run_timestamp_seconds",
    ];
    let expected = [
        ["health_check_status", "gauge", ""],
        ["health_check_healthy", "gauge", ""],
        [seconds[0], "gauge", "seconds"],
        [seconds[1], "gauge", "seconds"],
        ["health_check_observation", "gauge", ""],
        ["health_check_failure", "gauge", ""],
        ["health_check", "info", ""],
        ["health_check_held", "gauge", ""],
        ["health_check_group_healthy", "gauge", ""],
        ["health_check_overall_healthy", "gauge", ""],
    ];
    let openmetrics = Metrics::read(&shop, "openmetrics", "/ht/");
    assert_eq!(openmetrics.described(), expected);
    let older = expected.map(|[name, _, _]| {
        [
            if name == "health_check" {
                "health_check_info"
            } else {
                name
            },
            "gauge",
            "",
        ]
    });
    let prometheus = Metrics::read(&shop, "prometheus", "/ht/");
    assert_eq!(prometheus.described(), older);
    for family in openmetrics.families.iter().chain(&prometheus.families) {
        assert!(family["help"].as_str().unwrap().ends_with('.'), "{family}");
    }
    assert_eq!(openmetrics.series(), prometheus.series());
}

#[test]
fn the_values_are_those_of_the_checks() {
    let shop = Shop::open("");
    for (format, _) in FORMATS {
        let read = || Metrics::read(&shop, format, "/ht/");
        let healthy = read();
        assert_eq!(
            healthy.of("health_check_overall_healthy", ""),
            [("", 1.0)].into()
        );
        assert_eq!(
            healthy.of("health_check_healthy", "check"),
            [(IMAGES, 1.0), (DISK, 1.0), (ORDERS, 1.0)].into()
        );
        assert_eq!(
            healthy.of("health_check_info", "team"),
            [("", 1.0), ("shop", 1.0)].into()
        );
        assert_eq!(
            healthy.of("health_check_info", "critical"),
            [("true", 1.0), ("false", 1.0)].into()
        );
        let used = healthy.of("health_check_observation", "unit");
        assert!(
            used["percent"] > 0.0 && used["percent"] <= 100.0 && used["bytes"] > 0.0,
            "{used:?}"
        );

        shop.damage(IMAGES_FOLDER);
        let degraded = read();
        assert_eq!(
            degraded.of("health_check_healthy", "check")[IMAGES].to_string(),
            "0"
        );
        assert_eq!(
            degraded.of("health_check_overall_healthy", ""),
            [("", 1.0)].into(),
            "it does not count"
        );
        assert_eq!(
            [IMAGES, ORDERS].map(|check| degraded.status(check)),
            [["unavailable"], ["working"]]
        );

        shop.damage(ORDERS_FOLDER);
        let failing = read();
        assert_eq!(
            failing.of("health_check_overall_healthy", ""),
            [("", 0.0)].into()
        );
        assert_eq!(
            [DISK, ORDERS].map(|check| failing.status(check)),
            [["working"], ["unavailable"]]
        );
        let dates = |metrics: &Metrics| {
            metrics.of("health_check_last_run_timestamp_seconds", "check")[ORDERS]
        };
        assert!(dates(&healthy) < dates(&degraded) && dates(&degraded) < dates(&failing));
        for name in [IMAGES_FOLDER, ORDERS_FOLDER] {
            shop.repair(name);
        }
    }
}

#[test]
fn the_series_stay_the_same_whatever_happens() {
    let shop = Shop::open("");
    let read = || FORMATS.map(|(format, _)| Metrics::read(&shop, format, "/ht/"));
    let healthy = read();
    let same = |what: &str| {
        for (now, before) in read().iter().zip(&healthy) {
            assert_eq!(now.series(), before.series(), "{what}");
        }
    };
    shop.damage(IMAGES_FOLDER);
    same("one check fails");
    shop.damage(ORDERS_FOLDER);
    same("two checks fail");
    shop.repair(ORDERS_FOLDER);
    shop.drain();
    same("it is told to end");
    assert!(
        read()
            .iter()
            .all(|metrics| metrics.of("health_check_overall_healthy", "")[""] == 0.0)
    );
}

#[test]
fn a_group_has_its_own_and_a_stranger_the_verdict() {
    let shop = Shop::open(STRANGERS);
    shop.damage(ORDERS_FOLDER);
    for (format, _) in FORMATS {
        let stranger = Metrics::read(&shop, format, "/ht/");
        assert_eq!(
            stranger.samples,
            [(("health_check_overall_healthy".to_owned(), [].into()), 0.0)]
        );
        let group = Metrics::read(&shop, format, "/ht/t0ken/host/");
        assert_eq!(
            group.of("health_check_healthy", "check"),
            [(DISK, 1.0)].into()
        );
    }
}
