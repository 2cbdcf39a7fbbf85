//! Signed membership logs, sealed keys and encrypted messages
