//! The bus, with everybody of the crowd admitted.

use std::path::Path;

use anyhow::Result;
use bus_testkit::{BusRole, TestBus};
use control_api::{NewUser, UserInfo};

use crate::crowd;

/// Starts a bus that knows the crowd whose cards are in the directory.
pub(crate) async fn start(directory: &Path) -> Result<TestBus> {
    let bus = TestBus::start().await?;
    let admin = bus.control(bus.admin());
    for (number, card) in crowd::cards(directory)?.into_iter().enumerate() {
        let handle = Some(format!("user-{number}").parse()?);
        let user = NewUser { card, handle, role: BusRole::Member };
        let _admitted: UserInfo = admin.post("/v1/users", &user).await?;
    }
    Ok(bus)
}
