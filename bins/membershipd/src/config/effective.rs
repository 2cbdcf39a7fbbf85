//! What `config check` prints: the settings that are set, as a configuration file, with their sources.

use std::fmt;

use super::setting::Setting;

/// The settings that are not left at their defaults. No setting holds a secret, only paths of files that do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    setting: Setting,
    value: serde_json::Value,
    source: String,
}

impl Effective {
    pub(super) fn record(&mut self, setting: Setting, value: &str, source: &str) {
        self.push(setting, value.into(), source);
    }

    pub(super) fn record_list(&mut self, setting: Setting, values: &[String], source: &str) {
        self.push(setting, values.into(), source);
    }

    fn push(&mut self, setting: Setting, value: serde_json::Value, source: &str) {
        self.0.push(Line { setting, value, source: source.to_owned() });
    }
}

/// A TOML file that would have the same effect; JSON strings and arrays are TOML ones, too.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in Setting::IN_FILE {
            if let Some(line) = self.0.iter().find(|line| line.setting == setting) {
                writeln!(f, "{} = {}  # set {}", setting.key(), line.value, line.source)?;
            } else {
                let default = match setting.default_text() {
                    Some(default) => format!("{} = {default}", setting.key()),
                    None => setting.key().to_owned(),
                };
                writeln!(f, "# {default}  (default)")?;
            }
        }
        Ok(())
    }
}
