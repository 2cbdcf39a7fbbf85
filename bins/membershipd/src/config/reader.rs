//! Reads settings one by one, collecting problems instead of stopping at the first.

use std::path::PathBuf;

use figment::value::Value;

use super::effective::Effective;
use super::layers::{Found, Layers};
use super::problem::{ConfigErrors, ConfigProblem};
use super::setting::Setting;

pub(super) struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<ConfigProblem>,
    effective: Effective,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers, problems: Vec<ConfigProblem>) -> Self {
        Self { layers, problems, effective: Effective::default() }
    }

    /// A setting that is one value; the default stands in when it is absent or wrong.
    pub(super) fn text<T>(
        &mut self,
        setting: Setting,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.optional(setting, parse).unwrap_or(default)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        setting: Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Found { value, source } = self.layers.find(setting)?;
        let parsed = scalar(&value).and_then(|text| {
            self.effective.record(setting, &text, &source);
            parse(&text)
        });
        self.kept(setting, &source, parsed)
    }

    /// A file or directory that may be absent.
    pub(super) fn path(&mut self, setting: Setting) -> Option<PathBuf> {
        self.optional(setting, |text| {
            if text.trim().is_empty() { Err("the path is empty".to_owned()) } else { Ok(text.into()) }
        })
    }

    /// A setting that may be given more than once: a list in the file, repeated as a flag, separated by
    /// commas in a variable.
    pub(super) fn list<T>(
        &mut self,
        setting: Setting,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(Found { value, source }) = self.layers.find(setting) else { return Vec::new() };
        let texts = match &value {
            Value::Array(_, values) => values.iter().map(scalar).collect(),
            one => scalar(one).map(|text| text.split(',').map(|part| part.trim().to_owned()).collect()),
        };
        let Some(texts): Option<Vec<String>> = self.kept(setting, &source, texts) else { return Vec::new() };
        self.effective.record_list(setting, &texts, &source);
        let mut parsed = Vec::with_capacity(texts.len());
        for text in &texts {
            let value = parse(text);
            parsed.extend(self.kept(setting, &source, value));
        }
        parsed
    }

    /// Refuses a combination of settings.
    pub(super) fn refuse(&mut self, settings: &[Setting], problem: String) {
        self.problems.push(ConfigProblem { settings: settings.to_vec(), problem });
    }

    /// Whether something sets this.
    pub(super) fn is_set(&self, setting: Setting) -> bool {
        self.layers.find(setting).is_some()
    }

    /// Takes a problem that was found elsewhere.
    pub(super) fn add(&mut self, problem: ConfigProblem) {
        self.problems.push(problem);
    }

    /// The value, if there was no problem at all.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Effective), ConfigErrors> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, self.effective)),
            _ => Err(ConfigErrors(self.problems)),
        }
    }

    fn kept<T>(&mut self, setting: Setting, source: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|problem| self.refuse(&[setting], format!("{problem} (set {source})"))).ok()
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(_, text) => Ok(text.clone()),
        Value::Bool(_, flag) => Ok(flag.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|n| n.to_string())
            .or_else(|| number.to_f64().map(|n| n.to_string()))
            .ok_or_else(|| "the number is too large".to_owned()),
        _ => Err("the value must be text, a number or true/false".to_owned()),
    }
}
