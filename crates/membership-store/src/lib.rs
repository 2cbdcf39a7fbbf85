//! Durable users, rooms, membership logs and sealed keys
