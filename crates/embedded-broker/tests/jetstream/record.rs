//! Writes what nats-server answered into the texts of cases.

use std::path::Path;

/// What a step came to: the lines it takes in its file, and the lines that say what to expect.
pub(super) struct Recorded {
    pub(super) lines: (usize, usize),
    pub(super) expected: Vec<String>,
}

/// Replaces the expectations of these steps.
pub(super) fn write(path: &Path, recorded: &[Recorded]) {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut written = Vec::new();
    let mut at = 0;
    for step in recorded {
        let (start, end) = step.lines;
        written.extend(lines[at..start].iter().map(ToString::to_string));
        let kept = lines[start..end].iter().filter(|line| !line.trim_start().starts_with('='));
        written.extend(kept.map(ToString::to_string));
        written.extend(step.expected.iter().map(|line| format!("  = {line}")));
        at = end;
    }
    written.extend(lines[at..].iter().map(ToString::to_string));
    std::fs::write(path, written.join("\n") + "\n").unwrap();
}
