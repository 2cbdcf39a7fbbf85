//! How a test bus differs from the usual one.

use anyhow::Context;
use busauth::identity::file as identity_file;
use membershipd::NodeFlags;
use tempfile::TempDir;

use crate::lying_proxy::LyingProxy;
use crate::running::Running;
use crate::test_bus::TestBus;

/// Options of a [`TestBus`]; [`TestBus::builder`] makes one.
#[derive(Debug, Default)]
pub struct TestBusBuilder {
    flags: NodeFlags,
    lying_proxy: bool,
}

impl TestBusBuilder {
    /// Puts a [`LyingProxy`] before the control plane; [`TestBus::proxy`] is the way to it. It tells the truth
    /// until a test tells it to lie.
    #[must_use]
    pub fn lying_proxy(mut self) -> Self {
        self.lying_proxy = true;
        self
    }

    /// A name, or `host:port`, under which requests may reach the control plane besides its own address.
    #[must_use]
    pub fn public_name(mut self, name: impl Into<String>) -> Self {
        self.flags.public_name.push(name.into());
        self
    }

    /// The name the server gives itself.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.flags.server_name = Some(name.into());
        self
    }

    /// Anything else that membershipd can be told on its command line. Bind address, ports and database stay
    /// the testkit's.
    #[must_use]
    pub fn flags(mut self, change: impl FnOnce(&mut NodeFlags)) -> Self {
        change(&mut self.flags);
        self
    }

    /// Starts the bus and returns when it serves.
    pub async fn start(mut self) -> anyhow::Result<TestBus> {
        let directory = TempDir::with_prefix("unibus-test-").context("no temporary directory")?;
        let data = directory.path().join("data");
        self.flags.bind = Some("127.0.0.1".to_owned());
        self.flags.http_port = Some("0".to_owned());
        self.flags.nats_port = Some("0".to_owned());
        self.flags.db = Some(data.join("unibus.db").display().to_string());
        let proxy = if self.lying_proxy { Some(LyingProxy::bind().await?) } else { None };

        let started = Running::start(&self.flags).await?;
        // Restarts come back to the same place.
        self.flags.http_port = Some(started.control.port().to_string());
        self.flags.nats_port = Some(started.data.port().to_string());
        if let Some(proxy) = &proxy {
            proxy.forward_to(started.control);
        }
        let admin = identity_file::load(&data.join("admin.identity"))?;
        Ok(TestBus::new(started, self.flags, admin, proxy, directory))
    }
}
