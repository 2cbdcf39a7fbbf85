//! An in-process NATS server for tests and small deployments
