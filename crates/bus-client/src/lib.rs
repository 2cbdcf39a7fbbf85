//! SDK: rooms, encryption and verification on top of a NATS client
