//! Results as text for people or JSON for scripts.
//!
//! Results go to the standard output; remarks and failures go to the error output, so that a pipe
//! gets results only. Colour is used on a terminal only, and never when `NO_COLOR` is set.

use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

/// Where a command's results go, and in which form.
pub(crate) struct Output {
    json: bool,
    colour: bool,
    error_colour: bool,
}

/// Emphasis on a terminal.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Cyan,
}

/// A result that knows both of its forms: `Serialize` is the JSON, this is the text.
pub(crate) trait Show: Serialize {
    /// Writes the text form, without a newline at the end.
    fn text(&self, paint: Paint) -> String;
}

/// Puts emphasis around words, or not.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// The words, emphasised if that is shown.
    pub(crate) fn paint(self, style: Style, words: impl Display) -> String {
        if !self.on {
            return words.to_string();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Red => 31,
            Style::Cyan => 36,
        };
        format!("\x1b[{code}m{words}\x1b[0m")
    }
}

impl Output {
    /// Looks once at where the two outputs lead.
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colour: wanted && !json && std::io::stdout().is_terminal(),
            error_colour: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Emphasis for text on the standard output.
    pub(crate) fn paint(&self) -> Paint {
        Paint { on: self.colour }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints one result.
    pub(crate) fn show(&self, result: &impl Show) -> anyhow::Result<()> {
        if self.json { self.json_line(result) } else { self.line(&result.text(self.paint())) }
    }

    /// Prints a list: one line each, or one JSON array. `empty` is what people read when there is nothing.
    pub(crate) fn list<T: Show>(&self, items: &[T], empty: &str) -> anyhow::Result<()> {
        if self.json {
            return self.json_line(&items);
        }
        if items.is_empty() {
            self.remark(empty);
        }
        items.iter().try_for_each(|item| self.line(&item.text(self.paint())))
    }

    /// One line of text on the standard output.
    #[expect(clippy::unused_self, reason = "whoever prints has been given the output")]
    pub(crate) fn line(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        Ok(())
    }

    /// Whether a person watches the error output, and a progress bar there helps.
    pub(crate) fn is_watched(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    fn json_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// Something a person may want to know, outside of the result.
    pub(crate) fn remark(&self, text: &str) {
        self.error_line(&Paint { on: self.error_colour }.paint(Style::Dim, block(text, "  ")));
    }

    /// Why the command failed.
    pub(crate) fn failure(&self, text: &str, code: u8, advice: Option<&str>) {
        if self.json {
            let failure = serde_json::json!({ "error": { "code": code, "message": text, "advice": advice } });
            self.error_line(&failure.to_string());
            return;
        }
        let paint = Paint { on: self.error_colour };
        // Further than the advice, so that no line of what a bus says can pass for it.
        let text = block(text, "       ");
        self.error_line(&format!("{} {text}", paint.paint(Style::Red, "error:")));
        if let Some(advice) = advice {
            self.error_line(&format!("  {advice}"));
        }
    }

    #[expect(
        clippy::unused_self,
        reason = "the error output belongs to the same value as the standard output"
    )]
    fn error_line(&self, text: &str) {
        // With the error output gone there is nobody left to tell.
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }
}

/// Makes words from elsewhere safe to print: control characters could move the cursor or change
/// colours, and so put words into somebody else's mouth.
pub(crate) fn printable(text: &str) -> String {
    let harmless = |c: char| if c == '\n' || c == '\t' || !is_control(c) { c } else { '\u{fffd}' };
    text.chars().map(harmless).collect()
}

/// The same, with further lines indented, so that no line of it can pass for a line of this program.
pub(crate) fn block(text: &str, indent: &str) -> String {
    printable(text).replace('\n', &format!("\n{indent}"))
}

/// Controls of ASCII and Latin-1, and the marks that reorder text around them.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
