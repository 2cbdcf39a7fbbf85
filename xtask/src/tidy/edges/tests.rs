//! The table itself has one direction.

use super::*;

/// Peels off crates whose dependencies are all peeled already; what is left over is a circle.
#[test]
fn the_table_of_directions_has_no_circle() {
    let mut placed: Vec<&str> = Vec::new();
    while let Some(next) = EDGES
        .iter()
        .find(|row| !placed.contains(&row.name) && row.uses.iter().all(|used| placed.contains(used)))
    {
        placed.push(next.name);
    }
    assert_eq!(placed.len(), EDGES.len(), "these are in order, the rest is a circle: {placed:?}");
}
