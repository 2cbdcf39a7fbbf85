//! The HTTP API of the bus over its stores
