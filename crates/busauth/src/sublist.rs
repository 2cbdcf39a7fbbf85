//! `Sublist<V>`: an index from subject filters to values, asked by subject.
//!
//! The broker finds subscribers with it, the ACL finds rules, streams find overlapping filters. It is a trie
//! with one level per token, kept in an arena: nothing here recurses, so a subject of thousands of tokens
//! costs time in proportion and no stack. Every node lies at one depth only, so a walk over wildcards visits
//! each node at most once.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::subject::{SubjectFilter, has_empty_token};

/// Index of the node for "no tokens read yet".
const ROOT: u32 = 0;

/// An index from [`SubjectFilter`]s to values. One filter may hold several values, also equal ones.
#[derive(Debug, Clone)]
pub struct Sublist<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Node<V> {
    /// Children by literal token.
    literals: HashMap<Box<str>, u32>,
    /// The child for `*`.
    star: Option<u32>,
    /// Values of the filter that ends here.
    values: Vec<V>,
    /// Values of the filter that ends here with one more token `>`.
    tails: Vec<V>,
}

/// A node still to be visited and the byte offset of the first token that is not yet consumed; an offset one
/// past the end of the text means that none is left.
type Pending = SmallVec<[(u32, usize); 16]>;

impl<V> Sublist<V> {
    /// An empty index.
    pub fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new(), len: 0 }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value under a filter.
    pub fn insert(&mut self, filter: &SubjectFilter, value: V) {
        let mut at = ROOT;
        for token in filter.tokens() {
            match token {
                ">" => {
                    self.node_mut(at).tails.push(value);
                    self.len += 1;
                    return;
                }
                "*" => at = self.node(at).star.unwrap_or_else(|| self.grow_star(at)),
                literal => {
                    at = match self.node(at).literals.get(literal) {
                        Some(&child) => child,
                        None => self.grow_literal(at, literal),
                    }
                }
            }
        }
        self.node_mut(at).values.push(value);
        self.len += 1;
    }

    /// Takes out one value equal to `value` from under exactly this filter; `false` when there was none.
    pub fn remove(&mut self, filter: &SubjectFilter, value: &V) -> bool
    where
        V: PartialEq,
    {
        let Some((path, tail)) = self.path(filter) else { return false };
        let values = self.values_mut(&path, tail);
        let Some(position) = values.iter().position(|held| held == value) else { return false };
        values.swap_remove(position);
        self.len -= 1;
        self.prune(&path, filter);
        true
    }

    /// Keeps only those values under exactly this filter that `keep` wants; answers how many went. Takes many out
    /// in one pass, where [`Sublist::remove`] would search for each.
    pub fn retain(&mut self, filter: &SubjectFilter, keep: impl FnMut(&V) -> bool) -> usize {
        let Some((path, tail)) = self.path(filter) else { return 0 };
        let values = self.values_mut(&path, tail);
        let before = values.len();
        values.retain(keep);
        let gone = before - values.len();
        self.len -= gone;
        self.prune(&path, filter);
        gone
    }

    /// The nodes from the root to where a filter's values are, and whether they are its node's tails. `None` when
    /// the index has no such filter.
    fn path(&self, filter: &SubjectFilter) -> Option<(Vec<u32>, bool)> {
        let mut path = vec![ROOT];
        for token in filter.tokens() {
            let node = self.node(path[path.len() - 1]);
            let child = match token {
                ">" => return Some((path, true)),
                "*" => node.star,
                literal => node.literals.get(literal).copied(),
            };
            path.push(child?);
        }
        Some((path, false))
    }

    fn values_mut(&mut self, path: &[u32], tail: bool) -> &mut Vec<V> {
        let last = self.node_mut(path[path.len() - 1]);
        if tail { &mut last.tails } else { &mut last.values }
    }

    /// Hands every value whose filter matches the subject to `visit`, in no particular order. A subject with
    /// empty tokens matches nothing; wildcard characters in the subject are literal.
    pub fn matches(&self, subject: &str, visit: &mut impl FnMut(&V)) {
        self.walk_matches(subject, &mut |values| {
            values.iter().for_each(&mut *visit);
            true
        });
    }

    /// Hands every filter with each of its values to `visit`, in no particular order.
    pub fn each(&self, visit: &mut impl FnMut(&str, &V)) {
        let mut pending = vec![(ROOT, String::new())];
        while let Some((at, filter)) = pending.pop() {
            let node = self.node(at);
            let below = |token: &str| {
                if filter.is_empty() { token.to_owned() } else { format!("{filter}.{token}") }
            };
            node.values.iter().for_each(|value| visit(&filter, value));
            if !node.tails.is_empty() {
                let filter = below(">");
                node.tails.iter().for_each(|value| visit(&filter, value));
            }
            pending.extend(node.literals.iter().map(|(token, child)| (*child, below(token))));
            pending.extend(node.star.map(|child| (child, below("*"))));
        }
    }

    /// Whether some filter matches the subject.
    pub fn has_match(&self, subject: &str) -> bool {
        let mut found = false;
        self.walk_matches(subject, &mut |_| {
            found = true;
            false
        });
        found
    }

    /// Hands every value whose filter covers `filter` (matches all that it matches) to `visit`.
    pub fn covering(&self, filter: &SubjectFilter, visit: &mut impl FnMut(&V)) {
        self.covering_str(filter.as_str(), visit);
    }

    /// Hands every value whose filter shares some subject with `filter` to `visit`.
    pub fn overlapping(&self, filter: &SubjectFilter, visit: &mut impl FnMut(&V)) {
        self.overlapping_str(filter.as_str(), visit);
    }

    /// Whether some filter shares a subject with `filter`.
    pub fn overlaps(&self, filter: &SubjectFilter) -> bool {
        let mut found = false;
        self.overlapping(filter, &mut |_| found = true);
        found
    }

    /// [`Sublist::covering`] for text that was checked to be a filter.
    pub(crate) fn covering_str(&self, filter: &str, visit: &mut impl FnMut(&V)) {
        let mut pending = Pending::from_elem((ROOT, 0), 1);
        while let Some((at, offset)) = pending.pop() {
            let node = self.node(at);
            let Some((token, next)) = token_at(filter, offset) else {
                node.values.iter().for_each(&mut *visit);
                continue;
            };
            node.tails.iter().for_each(&mut *visit);
            match token {
                ">" => {}
                "*" => pending.extend(node.star.map(|child| (child, next))),
                literal => node.follow(literal, next, &mut pending),
            }
        }
    }

    /// [`Sublist::overlapping`] for text that was checked to be a filter.
    pub(crate) fn overlapping_str(&self, filter: &str, visit: &mut impl FnMut(&V)) {
        let mut pending = Pending::from_elem((ROOT, 0), 1);
        while let Some((at, offset)) = pending.pop() {
            let node = self.node(at);
            let Some((token, next)) = token_at(filter, offset) else {
                node.values.iter().for_each(&mut *visit);
                continue;
            };
            node.tails.iter().for_each(&mut *visit);
            match token {
                ">" => node.children().for_each(|child| self.visit_all(child, visit)),
                "*" => pending.extend(node.children().map(|child| (child, next))),
                literal => node.follow(literal, next, &mut pending),
            }
        }
    }

    /// Every value at or below a node.
    fn visit_all(&self, top: u32, visit: &mut impl FnMut(&V)) {
        let mut pending = vec![top];
        while let Some(at) = pending.pop() {
            let node = self.node(at);
            node.values.iter().chain(&node.tails).for_each(&mut *visit);
            pending.extend(node.children());
        }
    }

    /// Hands the non-empty value lists that match to `visit` until it answers `false`.
    fn walk_matches(&self, subject: &str, visit: &mut impl FnMut(&[V]) -> bool) {
        if self.len == 0 || has_empty_token(subject) {
            return;
        }
        let mut pending = Pending::new();
        let mut current = Some((ROOT, 0));
        while let Some((at, offset)) = current.or_else(|| pending.pop()) {
            current = None;
            let node = self.node(at);
            let Some((token, next)) = token_at(subject, offset) else {
                if !node.values.is_empty() && !visit(&node.values) {
                    return;
                }
                continue;
            };
            if !node.tails.is_empty() && !visit(&node.tails) {
                return;
            }
            if let Some(child) = node.star {
                pending.push((child, next));
            }
            current = node.literals.get(token).map(|&child| (child, next));
        }
    }

    /// Frees the nodes at the end of a path that hold nothing any more.
    fn prune(&mut self, path: &[u32], filter: &SubjectFilter) {
        let tokens: Vec<&str> = filter.tokens().take(path.len() - 1).collect();
        for (step, token) in tokens.iter().enumerate().rev() {
            let (parent, child) = (path[step], path[step + 1]);
            if !self.node(child).is_unused() {
                return;
            }
            let parent = self.node_mut(parent);
            if *token == "*" {
                parent.star = None;
            } else {
                parent.literals.remove(*token);
            }
            *self.node_mut(child) = Node::default();
            self.free.push(child);
        }
    }

    fn grow_star(&mut self, parent: u32) -> u32 {
        let child = self.new_node();
        self.node_mut(parent).star = Some(child);
        child
    }

    fn grow_literal(&mut self, parent: u32, token: &str) -> u32 {
        let child = self.new_node();
        self.node_mut(parent).literals.insert(token.into(), child);
        child
    }

    fn new_node(&mut self) -> u32 {
        if let Some(free) = self.free.pop() {
            return free;
        }
        // Memory runs out long before: a node takes more than 100 bytes.
        let index = u32::try_from(self.nodes.len()).expect("fewer than 2^32 tokens in an index");
        self.nodes.push(Node::default());
        index
    }

    fn node(&self, index: u32) -> &Node<V> {
        &self.nodes[index as usize]
    }

    fn node_mut(&mut self, index: u32) -> &mut Node<V> {
        &mut self.nodes[index as usize]
    }
}

impl<V> Node<V> {
    fn children(&self) -> impl Iterator<Item = u32> {
        self.literals.values().copied().chain(self.star)
    }

    /// Queues the children that a literal token leads to.
    fn follow(&self, literal: &str, next: usize, pending: &mut Pending) {
        pending.extend(self.star.map(|child| (child, next)));
        pending.extend(self.literals.get(literal).map(|&child| (child, next)));
    }

    fn is_unused(&self) -> bool {
        self.values.is_empty() && self.tails.is_empty() && self.star.is_none() && self.literals.is_empty()
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { literals: HashMap::new(), star: None, values: Vec::new(), tails: Vec::new() }
    }
}

impl<V> Default for Sublist<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// The token that starts at `offset` and where the next one starts; `None` when the text is used up.
fn token_at(text: &str, offset: usize) -> Option<(&str, usize)> {
    let rest = text.get(offset..)?;
    // `a.b`: after `b` the offset is one past the end, which `get` above refuses.
    let end = rest.find('.').unwrap_or(rest.len());
    Some((&rest[..end], offset + end + 1))
}

#[cfg(test)]
mod tests;
