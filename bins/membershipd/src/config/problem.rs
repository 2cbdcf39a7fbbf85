//! What is wrong with a configuration: every problem of one run, each with the names that set it.

use std::fmt;

use super::setting::Setting;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The settings that are part of it.
    pub settings: Vec<Setting>,
    /// What is wrong and what to set.
    pub problem: String,
}

/// All problems of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.settings.iter().map(ToString::to_string).collect();
        if names.is_empty() {
            return f.write_str(&self.problem);
        }
        write!(f, "{}: {}", names.join(" and "), self.problem)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration cannot be used\n  {one}"),
            many => {
                write!(f, "the configuration cannot be used, {} problems", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
