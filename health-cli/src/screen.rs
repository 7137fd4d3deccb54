//! A full-screen view of a terminal, redrawn in place.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width, terminal_size};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l"; // alternate buffer, no cursor, long lines are cut
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The alternate buffer of the terminal. Dropping it restores the previous content.
pub(crate) struct Screen {
    #[cfg(unix)]
    resized: Signal,
    #[cfg(unix)]
    stopped: Signal,
}

impl Screen {
    pub(crate) fn enter() -> io::Result<Self> {
        let screen = Self {
            #[cfg(unix)]
            resized: signal(SignalKind::window_change())?,
            #[cfg(unix)]
            stopped: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
        };
        write(ENTER)?;
        Ok(screen)
    }

    /// Draws a text from the upper left corner, as far as it fits. The text overwrites the previous
    /// one in a single write, so that the screen does not flicker.
    pub(crate) fn draw(text: &str) -> io::Result<()> {
        let is_plain = AutoStream::choice(&io::stdout()) == ColorChoice::Never;
        let text = if is_plain {
            anstream::adapter::strip_str(text).to_string()
        } else {
            text.to_owned()
        };
        let lines = text.lines().count();
        let room = usize::from(size().1);
        let shown = if lines > room {
            room.saturating_sub(1)
        } else {
            lines
        };
        let mut drawn: Vec<_> = text
            .lines()
            .take(shown)
            .map(|line| format!("{line}\x1b[K"))
            .collect();
        if shown < lines {
            drawn.push(format!("... and {} lines more\x1b[K", lines - shown));
        }
        write(&format!(
            "\x1b[?2026h\x1b[H{}\x1b[J\x1b[?2026l",
            drawn.join("\r\n")
        ))
    }

    /// Completes when the screen has to be redrawn: after a resize, or when the process continues
    /// after a stop.
    #[cfg(unix)]
    pub(crate) async fn needs_redraw(&mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.resized.recv() => Ok(()),
            _ = self.stopped.recv() => {
                write(LEAVE)?;
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
                write(ENTER)
            }
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn needs_redraw(&mut self) -> io::Result<()> {
        std::future::pending().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
    }
}

/// Returns `true` if the terminal can move its cursor.
pub(crate) fn can_move() -> bool {
    cfg!(windows) || std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Returns the columns and lines of the terminal.
pub(crate) fn size() -> (u16, u16) {
    terminal_size().map_or((80, 24), |(Width(columns), Height(lines))| (columns, lines))
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
