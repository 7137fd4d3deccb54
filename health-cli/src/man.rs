use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Command, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::outcome::{HEALTHY, Outcome};
use crate::output;

/// Print the manual page, or write the pages of all commands to a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health man | man -l -
  health man --dir /usr/local/share/man/man1

Exit status: 0 success, 2 wrong usage or a directory that cannot be written to.")]
pub(crate) struct ManArgs {
    /// Write health.1, health-check.1 and the other pages to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub(crate) fn man(args: &ManArgs, command: Command) -> Outcome {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        write(&command, &mut page)?;
        output::write(&page)?;
        return Ok(HEALTHY);
    };
    let failed = |error| format!("can't write to {}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(failed)?;
    for command in command.get_subcommands().chain([&command]) {
        let name = command
            .get_display_name()
            .unwrap_or_else(|| command.get_name());
        let file = File::create(dir.join(format!("{name}.1")));
        file.and_then(|mut file| write(command, &mut file))
            .map_err(failed)?;
    }
    Ok(HEALTHY)
}

/// Writes the page of a command. The text after its help becomes separate sections, in which
/// examples keep their lines.
fn write(command: &Command, page: &mut impl Write) -> io::Result<()> {
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    // An empty date would be left out, and the source would take its position.
    let man = Man::new(command.clone().after_help(None))
        .date("\"\"")
        .manual("User Commands");
    man.source(concat!("health ", env!("CARGO_PKG_VERSION")))
        .render(page)?;
    let text = sections(&help).render();
    // The page already contains the definitions that this text begins with.
    page.write_all(
        text.find(".SH")
            .map_or("", |start| &text[start..])
            .as_bytes(),
    )?;
    page.flush()
}

/// Renders the end of a help text: the exit status, other paragraphs, and the examples.
fn sections(help: &str) -> Roff {
    const EXAMPLES: &str = "Examples:\n";
    const EXIT: &str = "Exit status: ";
    let mut roff = Roff::new();
    let mut is_noted = false;
    let (named, notes): (Vec<_>, Vec<_>) = help
        .split("\n\n")
        .partition(|part| part.starts_with(EXAMPLES) || part.starts_with(EXIT));
    let starting = |start| {
        named
            .iter()
            .filter_map(move |part| part.strip_prefix(start))
    };
    for status in starting(EXIT) {
        roff.control("SH", ["EXIT STATUS"]);
        lines(&mut roff, status);
    }
    for note in notes.into_iter().filter(|note| !note.is_empty()) {
        roff.control(
            if is_noted { "PP" } else { "SH" },
            if is_noted { None } else { Some("NOTES") },
        );
        is_noted = true;
        lines(&mut roff, note);
    }
    for examples in starting(EXAMPLES) {
        roff.control("SH", ["EXAMPLES"]);
        lines(&mut roff, examples);
    }
    roff
}

/// Adds a text to the page. Indented lines keep their line breaks.
fn lines(roff: &mut Roff, text: &str) {
    let mut is_indented = false;
    for line in text.lines() {
        if line.starts_with("  ") != is_indented {
            is_indented = !is_indented;
            roff.control(if is_indented { "nf" } else { "fi" }, []);
        }
        roff.text([roman(line.trim_start())]);
    }
    if is_indented {
        roff.control("fi", []);
    }
}
