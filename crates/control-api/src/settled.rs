//! A change that holds, and where that is not confirmed yet.

use serde::{Deserialize, Serialize};

/// The answer to a change that takes rights away. With 200 it is in force everywhere; with 202 it is stored and stands, and
/// the nodes in `pending` have not confirmed in time that nobody has the old rights there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled<T> {
    /// What was asked for.
    #[serde(flatten)]
    pub answer: T,
    /// Nodes that have not confirmed; a node that stays silent serves nobody once its lease is over, others try again until it is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
}

/// An answer that says nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_stands_beside_the_answer() {
        let settled = Settled { answer: Done {}, pending: vec!["node-3".to_owned()] };
        let json = serde_json::to_value(&settled).unwrap();
        assert_eq!(json, serde_json::json!({ "pending": ["node-3"] }));
        assert_eq!(serde_json::from_value::<Settled<Done>>(json).unwrap(), settled);
        let everywhere = Settled { answer: Done {}, pending: Vec::new() };
        assert_eq!(serde_json::to_value(&everywhere).unwrap(), serde_json::json!({}));
    }
}
