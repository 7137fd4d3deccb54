//! Writes any report in every format, and reads it back if the format allows it.

use health_core::{Health, Report};

/// Reads a report, and writes it in every format.
pub(crate) fn report(data: &[u8]) {
    let Ok(report) = serde_json::from_slice::<Report>(data) else {
        return;
    };
    let health = Health::builder().build().unwrap();
    for renderer in health.renderers().iter() {
        let mut text = String::new();
        renderer
            .render(&report, &mut text)
            .unwrap_or_else(|_| panic!("{} can't be written", renderer.format()));
        match renderer.format() {
            "json" | "health" => {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                    "{}: no JSON",
                    renderer.format()
                );
            }
            "report" => {
                assert_eq!(
                    serde_json::from_str::<Report>(&text).unwrap(),
                    report,
                    "it reads back as another one"
                );
            }
            "openmetrics" => assert!(text.ends_with("# EOF\n"), "no end"),
            "html" => assert!(!text.contains("<script"), "a script got onto the page"),
            _ => {}
        }
        if ["openmetrics", "prometheus"].contains(&renderer.format()) {
            for line in text.lines() {
                assert!(
                    line.starts_with('#')
                        || line
                            .rsplit_once(' ')
                            .is_some_and(|(_, value)| value.parse::<f64>().is_ok()),
                    "{line:?}"
                );
            }
        }
    }
}
