//! The page shows the very files that the other tests try.

use std::fs;

use crate::support::{folder, recipe};

fn page() -> String {
    fs::read_to_string(folder().with_extension("md")).unwrap()
}

/// The files that the page shows: a line that is nothing but a link and a colon, and the block below it.
fn shown(page: &str) -> Vec<(String, String)> {
    let links = page.split("\n[").skip(1).filter_map(|part| {
        let (name, rest) = part.split_once("](cookbook/")?;
        let rest = rest.strip_prefix(&format!("{name}):\n\n```"))?;
        let (_, rest) = rest.split_once('\n')?;
        let (block, _) = rest.split_once("```\n")?;
        Some((name.to_owned(), block.to_owned()))
    });
    links.collect()
}

#[test]
fn the_page_shows_the_files_as_they_are() {
    let page = page();
    let shown = shown(&page);
    assert!(shown.len() >= 10, "{shown:?}");
    for (name, block) in shown {
        assert_eq!(recipe(&name), block, "{name} is not what the page shows");
    }
}

#[test]
fn the_page_names_every_file() {
    let page = page();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("](cookbook/{name})")), "the page has no link to {name}");
    }
}
