//! The pages show exactly the files that the other tests use.

use std::fs;

use crate::support::{folder, recipe};

fn pages() -> [String; 2] {
    ["cookbook.md", "django-health-check.md"]
        .map(|name| fs::read_to_string(folder().with_file_name(name)).unwrap())
}

/// Returns the files that a page shows: a link to the file, a colon, and the block below it.
fn shown(page: &str) -> Vec<(String, String)> {
    let links = page.split("](cookbook/").skip(1).filter_map(|part| {
        let (name, rest) = part.split_once(')')?;
        let (_language, rest) = rest.strip_prefix(":\n\n```")?.split_once('\n')?;
        let (block, _) = rest.split_once("```\n")?;
        Some((name.to_owned(), block.to_owned()))
    });
    links.collect()
}

#[test]
fn the_pages_show_the_files_as_they_are() {
    let shown: Vec<_> = pages().iter().flat_map(|page| shown(page)).collect();
    let names: Vec<_> = shown.iter().map(|(name, _)| name).collect();
    assert_eq!(shown.len(), 18, "{names:?}");
    for (name, block) in shown {
        assert_eq!(recipe(&name), block, "{name} is not what the page shows");
    }
}

#[test]
fn the_pages_name_every_file_and_no_other() {
    let pages = pages().concat();
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in files {
        assert!(
            pages.contains(&format!("](cookbook/{name})")),
            "no page has a link to {name}"
        );
    }
    for link in pages.split("](cookbook/").skip(1) {
        let _it_is_there = recipe(link.split(')').next().unwrap());
    }
}
