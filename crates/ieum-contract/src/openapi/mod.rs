//! OpenAPI documents (3.0 and 3.1, as JSON): whether requests and responses are as they describe.
//!
//! A document is used in two ways. Real traffic is held against it whole: what is required must be
//! there ([`Document::check_request`], [`Document::check_response`]). A consumer's contract is held
//! against it by need ([`Document::verify`]): it may leave out what it does not use, but not use what
//! the document does not promise.

mod check;
mod prepare;
#[cfg(test)]
mod tests;

use std::path::Path as File;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::error::{Result, invalid};
use crate::model::{Exchange, Pact};
use crate::provider::{Outcome, Report};

use prepare::resolve;

/// A document.
#[derive(Clone, Debug)]
pub struct Document {
    value: Value,
    /// The path under which its paths are served, without a slash at the end.
    base: String,
}

/// The operation that a request is for.
#[derive(Clone, Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) template: &'a str,
    pub(crate) value: &'a Value,
    /// Parameters of the path's item, beside the operation's own.
    pub(crate) shared: &'a Value,
    /// What stands where the template has names.
    pub(crate) values: Vec<(&'a str, String)>,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::File`]; or as [`Self::of_json`].
    pub fn open(file: &File) -> Result<Self> {
        let text = crate::model::read_file(file)?;
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| invalid(format!("{}: no JSON: {error}", file.display())))?;
        Self::of_json(value).map_err(|error| error.at(file.display()))
    }

    /// A document from its value.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] if it is no OpenAPI document of the versions 3.0 or 3.1.
    pub fn of_json(value: Value) -> Result<Self> {
        let version = value["openapi"].as_str().unwrap_or_default();
        if !version.starts_with("3.0") && !version.starts_with("3.1") {
            return Err(invalid("no OpenAPI document of the versions 3.0 or 3.1"));
        }
        let server = value["servers"][0]["url"].as_str().unwrap_or_default();
        let base = match server.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None => server,
        };
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { value, base })
    }

    /// The path under which its paths are served, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) const fn value(&self) -> &Value {
        &self.value
    }

    /// Holds a consumer's contract against the document: each of its calls must be possible, and
    /// each field that it needs promised. Events are left out.
    pub fn verify(&self, pact: &Pact) -> Report {
        let outcomes = pact.interactions.iter().filter_map(|interaction| {
            let Exchange::Http(http) = &interaction.exchange else {
                return None;
            };
            let mut mismatches = self.check_request(&http.request);
            mismatches.extend(self.check_need(&http.request, &http.response));
            Some(Outcome {
                interaction: interaction.title(),
                pending: interaction.pending,
                mismatches,
            })
        });
        Report {
            consumer: pact.consumer.clone(),
            provider: pact.provider.clone(),
            outcomes: outcomes.collect(),
        }
    }

    /// The operation for a method and a path; a template with fewer names wins.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Result<Operation<'_>, String> {
        let within = path.strip_prefix(self.base.as_str()).unwrap_or(path);
        let paths = self.value["paths"].as_object().into_iter().flatten();
        let fitting = paths.filter_map(|(template, item)| {
            let values = fit(template, within)?;
            Some((values.len(), template, self.resolve(item), values))
        });
        let best = fitting.min_by_key(|(names, ..)| *names);
        let (_, template, item, values) = best.ok_or("is no path of the document")?;
        match item.get(method.to_lowercase()) {
            Some(value) => Ok(Operation {
                template,
                value,
                shared: &item["parameters"],
                values,
            }),
            None => Err(format!("`{template}` has no operation {method}")),
        }
    }

    /// What a value refers to, within the document.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        resolve(&self.value, value)
    }
}

/// What stands where a template has names, if the path fits it.
fn fit<'a>(template: &'a str, path: &str) -> Option<Vec<(&'a str, String)>> {
    let (template, path) = (template.trim_matches('/'), path.trim_matches('/'));
    let mut values = Vec::new();
    let (mut wanted, mut came) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), came.next()) {
            (None, None) => return Some(values),
            (Some(wanted), Some(came)) => {
                let name = wanted
                    .strip_prefix('{')
                    .and_then(|name| name.strip_suffix('}'));
                match name {
                    Some(_) if came.is_empty() => return None,
                    Some(name) => {
                        let value = percent_decode_str(came).decode_utf8_lossy();
                        values.push((name, value.into_owned()));
                    }
                    None if wanted == came => {}
                    None => return None,
                }
            }
            _ => return None,
        }
    }
}
