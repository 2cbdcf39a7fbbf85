//! The two halves of a conversation on one terminal: a line being typed, and lines coming in above it.
//!
//! Line editing is blocking work, so it has a thread of its own. The thread alone decides when the
//! conversation ends (ctrl-d, ctrl-c, `/quit`), because only then has it given the terminal back.
//! Where input or output is no terminal, lines are read and written plainly, and scripts can chat.

use anyhow::{Context as _, Result};
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Lines that were typed but not dealt with yet; typing waits when the bus is slower than the fingers.
const QUEUE: usize = 16;

/// What the person wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Say this.
    Say(String),
    /// Who is in the room?
    Who,
    /// What can be typed?
    Help,
    /// A word after `/` that means nothing.
    Unknown(String),
}

/// Reads what is typed.
pub(crate) struct Typing {
    lines: mpsc::Receiver<Typed>,
    thread: JoinHandle<()>,
    /// Set when there is nothing left to talk to: the line being typed is the last one.
    over: Arc<AtomicBool>,
    interactive: bool,
}

/// Prints above the line being typed.
pub(crate) struct Above(Option<Box<dyn ExternalPrinter + Send>>);

/// Takes over the terminal, or the standard input and output where they are none.
pub(crate) fn open(prompt: String) -> Result<(Typing, Above)> {
    let (send, lines) = mpsc::channel(QUEUE);
    let over = Arc::new(AtomicBool::new(false));
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !interactive {
        let thread = start(move || read_plainly(&send))?;
        return Ok((Typing { lines, thread, over, interactive }, Above(None)));
    }
    let mut editor = DefaultEditor::new().context("cannot edit lines on this terminal")?;
    let printer = editor.create_external_printer().context("cannot print on this terminal")?;
    let ended = over.clone();
    let thread = start(move || edit(&mut editor, &prompt, &send, &ended))?;
    Ok((Typing { lines, thread, over, interactive }, Above(Some(Box::new(printer)))))
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name("typing".to_owned()).spawn(work).context("cannot start reading lines")
}

fn edit(editor: &mut DefaultEditor, prompt: &str, lines: &mpsc::Sender<Typed>, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        match editor.readline(prompt) {
            Ok(line) => {
                // A line that cannot be remembered can still be sent.
                drop(editor.add_history_entry(line.as_str()));
                if !pass_on(&line, lines) {
                    return;
                }
            }
            Err(ReadlineError::Signal(_)) => {}
            Err(_) => return,
        }
    }
}

fn read_plainly(lines: &mpsc::Sender<Typed>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if !pass_on(&line, lines) {
            return;
        }
    }
}

/// Whether the conversation goes on.
fn pass_on(line: &str, lines: &mpsc::Sender<Typed>) -> bool {
    match understand(line) {
        Meaning::Nothing => true,
        Meaning::Quit => false,
        Meaning::Typed(typed) => lines.blocking_send(typed).is_ok(),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Quit,
    Typed(Typed),
}

/// `/word` is for this program, `//word` says `/word`, everything else is said as it is.
fn understand(line: &str) -> Meaning {
    let line = line.trim_end();
    match line.strip_prefix('/') {
        _ if line.is_empty() => Meaning::Nothing,
        None => Meaning::Typed(Typed::Say(line.to_owned())),
        Some(rest) if rest.starts_with('/') => Meaning::Typed(Typed::Say(rest.to_owned())),
        Some("quit" | "q" | "exit") => Meaning::Quit,
        Some("who") => Meaning::Typed(Typed::Who),
        Some("help" | "?") => Meaning::Typed(Typed::Help),
        Some(word) => Meaning::Typed(Typed::Unknown(word.to_owned())),
    }
}

impl Typing {
    /// The next thing that was typed; none when the person has left.
    pub(crate) async fn next(&mut self) -> Option<Typed> {
        self.lines.recv().await
    }

    /// Waits for the person to finish the present line, whatever it says: a terminal that was taken
    /// back in the middle of a line would be left unusable.
    pub(crate) async fn last_line(&mut self) {
        self.over.store(true, Ordering::Release);
        while self.interactive && self.lines.recv().await.is_some() {}
    }

    /// Ends reading. A thread that still waits for the standard input ends with the process.
    pub(crate) fn close(self) {
        drop(self.lines);
        if self.thread.is_finished() && self.thread.join().is_err() {
            tracing::warn!("reading lines ended with a panic");
        }
    }
}

impl Above {
    /// Prints a line without disturbing the one being typed.
    pub(crate) fn print(&mut self, line: &str) -> Result<()> {
        if let Some(printer) = &mut self.0 {
            return printer.print(format!("{line}\n")).context("cannot print on this terminal");
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests;
