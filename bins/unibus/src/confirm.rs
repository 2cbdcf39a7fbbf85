//! Asking the person at the terminal.

use anyhow::Result;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Whether there is a person to ask.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks, and takes only a written `yes` for one: Enter alone is too easy a way to trust somebody.
pub(crate) fn ask(question: &str) -> Result<bool> {
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question}\nType yes to go on: ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
