//! The whole story of the bus on a real one: people talk, outsiders see ciphertext, who is removed is out, and a
//! server that lies is noticed. Run it with `cargo xtask demo`; it fails if anything differs from what it announces.
//!
//! `cast` has the people, `tap` the eavesdropper, `stage` prints and times; each act is a file of its own.
#![expect(clippy::print_stderr, reason = "a demonstration talks to a terminal")]

use anyhow::Result;
use std::process::ExitCode;

mod cast;
mod lies;
mod outsiders;
mod removal;
mod stage;
mod talk;
mod tap;

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(play()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe bus did not do what was announced: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<()> {
    let mut stage = stage::Stage::new();
    let mut cast = cast::assemble(&mut stage).await?;
    talk::play(&mut stage, &mut cast).await?;
    outsiders::play(&mut stage, &mut cast).await?;
    // Some of its steps hold whole connections.
    Box::pin(lies::play(&mut stage, &mut cast)).await?;
    removal::play(&mut stage, &mut cast).await?;
    cast.leave(&mut stage).await?;
    stage.end()
}
