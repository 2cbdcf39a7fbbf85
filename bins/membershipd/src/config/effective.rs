//! What `config check` prints: the settings that are set, as a configuration file, with their sources.

use std::fmt;

use super::setting::Setting;

/// The settings that are not left at their defaults. Secrets are left out: of a route, what
/// comes before its host.
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
        let shown: Vec<String> = match setting {
            Setting::ROUTES => values.iter().map(|url| without_login(url)).collect(),
            _ => values.to_vec(),
        };
        self.push(setting, shown.into(), source);
    }

    fn push(&mut self, setting: Setting, value: serde_json::Value, source: &str) {
        self.0.push(Line { setting, value, source: source.to_owned() });
    }
}

/// A URL as it may be shown: what comes before the host may be a secret.
fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        (_, None) => url.to_owned(),
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
