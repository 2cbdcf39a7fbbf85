//! The table of rights, row by row.
