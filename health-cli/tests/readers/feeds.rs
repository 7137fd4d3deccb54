//! `atom` and `rss`: Python's XML parser shows what the two specifications require, and feedparser
//! what readers display.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::shop::{IMAGES, IMAGES_FOLDER, ORDERS, ORDERS_FOLDER, STRANGERS, Shop};

/// A feed: its body, and the results of the two programs.
struct Feed {
    body: String,
    xml: Value,
    parsed: Value,
}

/// An entry of a feed in either format.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    id: String,
    title: String,
    /// The time in seconds since the epoch.
    date: f64,
}

impl Feed {
    fn read(shop: &Shop, path: &str) -> Self {
        let mut answer = shop.read("feed", path);
        assert_eq!(answer["status"], 200, "{path}");
        let parsed = answer["parsed"].take();
        assert_eq!(
            parsed["bozo"], false,
            "feedparser on {path}: {}",
            parsed["bozo_exception"]
        );
        let xml = answer["xml"].take();
        Self {
            body: answer["body"].as_str().unwrap().to_owned(),
            xml,
            parsed,
        }
    }

    fn of(shop: &Shop, format: &str) -> Self {
        Self::read(shop, &format!("/ht/?format={format}"))
    }

    /// Returns the entries that a feed reader shows and remembers.
    fn entries(&self) -> Vec<Entry> {
        let (kind, date) = if self.xml["tag"] == "feed" {
            ("entry", "updated")
        } else {
            ("item", "pubDate")
        };
        let dates = children(self.top(), kind)
            .into_iter()
            .map(|entry| seconds(entry, date));
        let seen = self.parsed["entries"].as_array().unwrap();
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let entries = seen.iter().zip(dates);
        let entries = entries.map(|(seen, date)| Entry {
            id: text(seen, "id"),
            title: text(seen, "title"),
            date,
        });
        entries.collect()
    }

    fn titles(&self) -> Vec<String> {
        self.entries()
            .into_iter()
            .map(|entry| entry.title)
            .collect()
    }

    /// Returns the element that contains the entries.
    fn top(&self) -> &Value {
        if self.xml["tag"] == "feed" {
            &self.xml
        } else {
            child(&self.xml, "channel")
        }
    }
}

fn children<'a>(element: &'a Value, tag: &str) -> Vec<&'a Value> {
    element["children"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|child| child["tag"] == tag)
        .collect()
}

/// Returns the only child with this tag.
fn child<'a>(element: &'a Value, tag: &str) -> &'a Value {
    let [only] = children(element, tag)[..] else {
        panic!("not one {tag} in {element}")
    };
    only
}

fn text<'a>(element: &'a Value, tag: &str) -> &'a str {
    let text = child(element, tag)["text"].as_str().unwrap();
    assert!(!text.is_empty(), "{tag} in {element}");
    text
}

fn seconds(element: &Value, tag: &str) -> f64 {
    child(element, tag)["seconds"].as_f64().unwrap()
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// Waits for the next second, because RSS dates have no fractions of a second.
fn next_second() {
    sleep(Duration::from_millis(1_050));
}

fn failing(name: &str) -> String {
    format!("{name}: unavailable")
}

/// Tests the entries of a failure from its beginning to its end, and of the next failure, in one
/// format.
fn each_failure_is_one_entry(format: &str) {
    let shop = Shop::open("");
    let calm = Feed::of(&shop, format);
    assert_eq!(calm.titles(), [""; 0]);
    assert_eq!(calm.parsed["feed"]["title"], "System status");
    assert_eq!(Feed::of(&shop, format).body, calm.body, "nothing happened");

    next_second();
    let before = now();
    shop.damage(ORDERS_FOLDER);
    let first = Feed::of(&shop, format);
    let [orders] = &first.entries()[..] else {
        panic!("{}", first.body)
    };
    assert_eq!(orders.title, failing(ORDERS));
    assert!((before.floor()..now()).contains(&orders.date), "{orders:?}");
    next_second();
    assert_eq!(Feed::of(&shop, format).body, first.body, "it lasts");

    shop.damage(IMAGES_FOLDER);
    let both = Feed::of(&shop, format);
    assert_eq!(
        both.titles(),
        [failing(IMAGES), failing(ORDERS)],
        "the newest first"
    );
    assert_eq!(
        &both.entries()[1],
        orders,
        "what happens to another check is no news of this one"
    );

    shop.repair(ORDERS_FOLDER);
    assert_eq!(
        Feed::of(&shop, format).entries(),
        both.entries()[..1],
        "it is over"
    );
    next_second();
    shop.damage(ORDERS_FOLDER);
    let again = &Feed::of(&shop, format).entries()[0];
    assert_eq!(again.title, orders.title);
    assert!(
        again.id != orders.id && again.date > orders.date,
        "another failure is another entry: {again:?}"
    );
}

#[test]
fn in_atom_a_failure_is_one_entry() {
    each_failure_is_one_entry("atom");
}

#[test]
fn in_rss_a_failure_is_one_entry() {
    each_failure_is_one_entry("rss");
}

#[test]
fn atom_has_what_its_specification_wants() {
    let shop = Shop::open("");
    shop.damage(IMAGES_FOLDER);
    let Feed { xml, parsed, .. } = Feed::of(&shop, "atom");
    assert_eq!(xml["tag"], "feed");
    assert_eq!(parsed["version"], "atom10");
    assert!(text(&xml, "id").starts_with("urn:uuid:") && text(&xml, "title") == "System status");
    assert_eq!(text(child(&xml, "author"), "name"), "Health check");
    let [own, page] = &children(&xml, "link")[..] else {
        panic!("{xml}")
    };
    assert_eq!(own["attributes"]["rel"], "self");
    assert_eq!(page["attributes"]["rel"], "alternate");
    let entry = child(&xml, "entry");
    assert!(text(entry, "id").starts_with("urn:uuid:") && text(entry, "id") != text(&xml, "id"));
    assert_eq!(text(entry, "title"), &*failing(IMAGES));
    assert_eq!(
        text(entry, "content"),
        "unavailable: storage folder is missing"
    );
    assert!(seconds(entry, "published") <= seconds(entry, "updated"));
    assert!(
        seconds(entry, "updated") <= seconds(&xml, "updated") && seconds(&xml, "updated") <= now()
    );
    assert_eq!(
        parsed["entries"][0]["link"],
        shop.server.url("/ht/?format=html")
    );
}

#[test]
fn rss_has_what_its_specification_wants() {
    let shop = Shop::open("");
    shop.damage(IMAGES_FOLDER);
    let Feed { xml, parsed, .. } = Feed::of(&shop, "rss");
    assert_eq!(xml["tag"], "rss");
    assert_eq!(xml["attributes"]["version"], "2.0");
    assert_eq!(parsed["version"], "rss20");
    let channel = child(&xml, "channel");
    assert_eq!(text(channel, "title"), "System status");
    assert_eq!(text(channel, "description"), "Working, with 1 problem");
    assert!(seconds(channel, "lastBuildDate") <= now() && !text(channel, "link").is_empty());
    let item = child(channel, "item");
    assert_eq!(text(item, "title"), &*failing(IMAGES));
    assert_eq!(
        text(item, "description"),
        "unavailable: storage folder is missing"
    );
    let guid = child(item, "guid");
    assert_eq!(guid["attributes"]["isPermaLink"], "false", "{guid}");
    assert!(text(item, "guid").starts_with("urn:uuid:") && seconds(item, "pubDate") <= now());
    assert_eq!(
        parsed["entries"][0]["link"],
        shop.server.url("/ht/?format=html")
    );
}

#[test]
fn both_feeds_have_the_same_entries() {
    let shop = Shop::open("");
    shop.damage(IMAGES_FOLDER);
    let [atom, rss] = ["atom", "rss"].map(|format| Feed::of(&shop, format).entries());
    assert_eq!(&atom[0].id, &rss[0].id);
    assert_eq!(&atom[0].title, &rss[0].title);
    assert!(
        (rss[0].date - atom[0].date.floor()).abs() < 1e-6,
        "{atom:?} {rss:?}"
    );
}

#[test]
fn a_group_and_a_stranger_have_feeds_of_their_own() {
    let shop = Shop::open(STRANGERS);
    shop.damage(ORDERS_FOLDER);
    for format in ["atom", "rss"] {
        let feed = |path: &str| Feed::read(&shop, &format!("{path}?format={format}"));
        let group = feed("/ht/t0ken/host/");
        assert_eq!(group.titles(), [""; 0]);
        assert_eq!(group.parsed["feed"]["title"], "System status: host");
        let stranger = feed("/ht/");
        assert_eq!(stranger.titles(), [""; 0]);
        assert_eq!(stranger.parsed["feed"]["subtitle"], "Not working");
        let all = feed("/ht/t0ken/");
        assert_eq!(all.titles(), [failing(ORDERS)]);
        assert!(!all.body.contains("t0ken"), "{}", all.body);
    }
}
