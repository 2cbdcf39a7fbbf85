//! A service that answers every request in a room with what it was sent.
//!
//! ```text
//! cargo run -p bus-client --example echo_service -- http://127.0.0.1:8470 echo.identity echo.state lab.sensors
//! ```
//!
//! The identity must have been admitted (`unibus user add`) and added to the room (`unibus room add`) as a writer.

use std::error::Error;
use std::path::Path;

use bus_client::{Bus, BusConfig, StateStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, identity, state, room] = arguments.as_slice() else {
        return Err("usage: echo_service URL IDENTITY-FILE STATE-DIRECTORY ROOM".into());
    };
    let identity = busauth::identity::file::load(Path::new(identity))?;
    let state = StateStore::directory(state)?;
    let bus = Bus::connect(BusConfig::new(url, identity).with_state(state)).await?;
    let mut messages = bus.room(room).await?.subscribe().await?;
    loop {
        let item = tokio::select! {
            item = messages.next() => item,
            _ = tokio::signal::ctrl_c() => None,
        };
        match item {
            Some(Ok(request)) if request.wants_reply() => {
                if let Err(error) = request.reply(request.payload.clone()).await {
                    tracing::warn!(%error, "a request was not answered");
                }
            }
            Some(Ok(_)) => {}
            Some(Err(refused)) => tracing::warn!(%refused, "this was not a message"),
            None => break,
        }
    }
    bus.shutdown().await?;
    Ok(())
}
