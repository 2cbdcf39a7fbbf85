//! `unibus completions SHELL`

use anyhow::Result;
use clap::CommandFactory as _;
use std::io::Write as _;

/// For which shell.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// bash, zsh, fish, elvish or powershell.
    shell: clap_complete::Shell,
}

/// Prints the script; where it goes is the shell's own convention.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut crate::arguments::Arguments::command(),
        "unibus",
        &mut script,
    );
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
