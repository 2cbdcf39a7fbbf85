//! The layers of settings, merged: file, then variables, then flags. Defaults are applied where a value
//! is parsed, so that "not set" stays visible.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;

use super::problem::ConfigProblem;
use super::setting::Setting;

/// Environment variables as they were at start. Tests pass their own.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// Names only: one of the values may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process that are valid UTF-8 and concern the bus.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            // The rest is not ours to keep, or to show in a debug line.
            .filter(|(name, _)| name.starts_with("UNIBUS_") || OF_THE_SYSTEM.contains(&name.as_str()))
            .collect()
    }

    /// One variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// The merged settings, each with the place it came from.
pub(super) struct Layers {
    figment: Figment,
    /// The log's filter comes from the customary variable.
    from_rust_log: bool,
    /// Why the file cannot be used, or keys in it that mean nothing.
    pub(super) problems: Vec<ConfigProblem>,
    /// Variables that look like ours and mean nothing.
    pub(super) unknown_variables: Vec<String>,
}

/// A value that was set.
pub(super) struct Found {
    pub(super) value: Value,
    /// For people: `in unibus.toml`, `by UNIBUS_BIND`, `by --bind`.
    pub(super) source: String,
}

impl Layers {
    /// Reads the file, if one is named, and lays variables and flags over it.
    pub(super) fn read(file: Option<&Path>, environment: &Environment, flags: &impl Serialize) -> Self {
        let mut problems = Vec::new();
        let named = file.map(PathBuf::from).or_else(|| environment.get("UNIBUS_CONFIG").map(PathBuf::from));
        let mut figment = Figment::new();
        if let Some(path) = named {
            match FileLayer::read(&path) {
                Ok(layer) => {
                    problems.extend(layer.unknown_keys());
                    figment = figment.merge(layer);
                }
                Err(problem) => {
                    problems.push(ConfigProblem { settings: vec![Setting::CONFIG], problem });
                }
            }
        }
        let variables = VariableLayer::of(environment);
        let unknown_variables = variables.unknown.clone();
        let from_rust_log = environment.get(&Setting::LOG.variable()).is_none();
        let figment = figment.merge(variables).merge(Serialized::defaults(flags));
        Self { figment, from_rust_log, problems, unknown_variables }
    }

    /// The value of a setting and where it was set.
    pub(super) fn find(&self, setting: Setting) -> Option<Found> {
        let value = self.figment.find_value(setting.key()).ok()?;
        let source = match self.figment.get_metadata(value.tag()) {
            Some(metadata) if metadata.name == FILE => {
                metadata.source.as_ref().map_or_else(|| "in the file".to_owned(), |s| format!("in {s}"))
            }
            Some(metadata) if metadata.name == VARIABLES && setting == Setting::LOG && self.from_rust_log => {
                format!("by {RUST_LOG}")
            }
            Some(metadata) if metadata.name == VARIABLES => format!("by {}", setting.variable()),
            _ => format!("by {}", setting.flag()),
        };
        Some(Found { value, source })
    }
}

/// Customary variables that mean something here.
const OF_THE_SYSTEM: [&str; 2] = [RUST_LOG, "XDG_RUNTIME_DIR"];

/// What filters the log, unless the setting of ours is there.
const RUST_LOG: &str = "RUST_LOG";

/// Variables of ours that are read elsewhere: what names the file, and a secret.
const NOT_IN_LAYERS: [Setting; 2] = [Setting::CONFIG, Setting::CLUSTER_PASS];

/// Variables of `unibus`, which people set for their own shell.
const OF_OTHER_PROGRAMS: [&str; 2] = ["UNIBUS_CONTEXT", "UNIBUS_IDENTITY"];

const FILE: &str = "configuration file";
const VARIABLES: &str = "environment";

struct FileLayer {
    path: PathBuf,
    values: Dict,
}

impl FileLayer {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let values = Toml::from_str(&text)
            .map_err(|error| format!("{} is not valid TOML: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), values })
    }

    fn unknown_keys(&self) -> Vec<ConfigProblem> {
        let known = |key: &str| Setting::IN_FILE.iter().any(|setting| setting.key() == key);
        self.values
            .keys()
            .filter(|key| !known(key))
            .map(|key| ConfigProblem {
                settings: Vec::new(),
                problem: format!("{}: there is no setting `{key}`", self.path.display()),
            })
            .collect()
    }
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::from(FILE, self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

struct VariableLayer {
    values: Dict,
    unknown: Vec<String>,
}

impl VariableLayer {
    fn of(environment: &Environment) -> Self {
        let mut values = Dict::new();
        // `UNIBUS_LOG` goes before it.
        if let Some(filter) = environment.get(RUST_LOG) {
            values.insert(Setting::LOG.key().to_owned(), Value::from(filter));
        }
        let mut unknown = Vec::new();
        for (name, value) in environment.0.iter().filter(|(name, _)| name.starts_with("UNIBUS_")) {
            match Setting::IN_FILE.iter().find(|setting| setting.variable() == *name) {
                // Text, whatever it looks like: the setting's own parser reads it.
                Some(setting) => {
                    values.insert(setting.key().to_owned(), Value::from(value.as_str()));
                }
                None if NOT_IN_LAYERS.iter().any(|setting| setting.variable() == *name)
                    || OF_OTHER_PROGRAMS.contains(&name.as_str()) => {}
                None => unknown.push(name.clone()),
            }
        }
        Self { values, unknown }
    }
}

impl Provider for VariableLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(VARIABLES)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}
