//! A service and its caller on a bus that lives as long as this program: the shape of a test of your own.

use std::time::Duration;

use anyhow::{Context, ensure};
use bus_client::{Confirm, RoomDraft, RoomRole, Subscription, UserRef};
use bus_testkit::{BusRole, TestBus};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bus = TestBus::start().await?;
    let caller = bus.admit("caller", BusRole::Member).await?;
    let service = bus.admit("service", BusRole::Member).await?;

    // The caller owns an encrypted room and lets the service in, whom it knows by id: no name to be tricked with.
    let caller = bus.client(&caller).await?;
    let room = caller.create_room(RoomDraft::new("lab.echo".parse()?)).await?;
    room.add(&UserRef::Id(service.id()), RoomRole::Writer, Confirm::FirstUse).await?;

    let service = bus.client(&service).await?;
    let at_service = service.room("lab.echo").await?;
    let requests = at_service.subscribe().await?;
    // From here on the bus knows that somebody listens: no test has to wait for a service to come up.
    at_service.flush().await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(echo(requests));

    let answer = room.request("hello?", Duration::from_secs(10)).await.context("the service is silent")?;
    ensure!(answer.payload == "you said hello?", "a strange answer: {answer:?}");

    tasks.shutdown().await;
    service.shutdown().await?;
    caller.shutdown().await?;
    bus.stop().await
}

/// What would be your program: answers every request in the room.
async fn echo(mut requests: Subscription) -> bus_client::Result<()> {
    while let Some(request) = requests.next().await {
        if let Ok(request) = request
            && request.wants_reply()
        {
            let said = String::from_utf8_lossy(&request.payload);
            request.reply(format!("you said {said}")).await?;
        }
    }
    Ok(())
}
