//! Identities, signed requests, subjects and permissions of the bus
