//! Nodes on real parts: certificates, processes, nats-servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod support;

mod external;
mod external_guards;
mod full_disk;
mod guards;
mod lifecycle;
mod logins;
mod orphans;
mod outsiders;
mod pki;
mod reload;
mod rights;
mod route_dial;
mod secrets;
mod three_nodes;
