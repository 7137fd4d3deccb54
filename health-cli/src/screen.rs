//! The whole of a terminal, redrawn in place.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width, terminal_size};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l"; // the other buffer, no cursor, long lines are cut
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// As long as this is there, the terminal shows what is drawn; afterwards what it showed before.
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

    /// Shows this text from the upper left corner on, as far as there is room. Nothing flickers, for nothing is cleared
    /// that is not written at once.
    pub(crate) fn draw(text: &str) -> io::Result<()> {
        let is_plain = AutoStream::choice(&io::stdout()) == ColorChoice::Never;
        let text = if is_plain { anstream::adapter::strip_str(text).to_string() } else { text.to_owned() };
        let (lines, room) = (text.lines().count(), usize::from(size().1));
        let shown = if lines > room { room.saturating_sub(1) } else { lines };
        let mut drawn: Vec<_> = text.lines().take(shown).map(|line| format!("{line}\x1b[K")).collect();
        if shown < lines {
            drawn.push(format!("... and {} lines more\x1b[K", lines - shown));
        }
        write(&format!("\x1b[?2026h\x1b[H{}\x1b[J\x1b[?2026l", drawn.join("\r\n")))
    }

    /// Ends when it has to be drawn again: the terminal has another size, or the process was stopped and goes on.
    #[cfg(unix)]
    pub(crate) async fn disturbed(&mut self) -> io::Result<()> {
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
    pub(crate) async fn disturbed(&mut self) -> io::Result<()> {
        std::future::pending().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
    }
}

/// Whether a terminal can do more than write line after line.
pub(crate) fn can_move() -> bool {
    cfg!(windows) || std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Columns and lines.
pub(crate) fn size() -> (u16, u16) {
    terminal_size().map_or((80, 24), |(Width(columns), Height(lines))| (columns, lines))
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
