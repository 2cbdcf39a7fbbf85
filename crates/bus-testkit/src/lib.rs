//! Starts a whole bus inside a test
