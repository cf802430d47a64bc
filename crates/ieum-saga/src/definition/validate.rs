//! What a definition must satisfy. Every problem is reported, not only the first.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::{Call, Definition, Step, Undo};
use crate::template::{ParseError, PathTemplate, Reference, Root, Template};

/// Why a definition is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The name of the definition.
    pub name: String,
    /// Everything that is wrong with it; never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `steps.reserve.undo.body`.
    pub at: String,
    /// What, as a sentence.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the saga `{}` is not valid", self.name)?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Checks everything that can be known before a saga runs.
pub(super) fn check(definition: &Definition) -> Vec<Problem> {
    let mut found = Problems(Vec::new());
    found.name("name", &definition.name);
    found.check_size(definition);
    found.check_trigger(definition);
    let pivot = definition.steps.iter().position(|step| step.pivot);
    let mut earlier = HashSet::new();
    for (index, step) in definition.steps.iter().enumerate() {
        let at = format!("steps.{}", step.name);
        found.name(&at, &step.name);
        let before_pivot = pivot.is_none_or(|pivot| index < pivot);
        found.check_step(&at, step, before_pivot);
        if step.pivot && pivot != Some(index) {
            found.add(&at, "a saga has at most one pivot");
        }
        found.check_call(&format!("{at}.call"), &step.call, &earlier, false);
        if let Some(Undo::Call(undo)) = &step.undo {
            found.check_call(&format!("{at}.undo"), undo, &earlier, true);
        }
        if !earlier.insert(step.name.as_str()) {
            found.add(&at, "a step of this name exists already");
        }
        if step.undo.is_some() && pivot.is_some_and(|pivot| index > pivot) {
            found.add(
                &at,
                "a step behind the pivot is never undone: remove `undo`",
            );
        }
    }
    found.0
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, at: &str, what: impl fmt::Display) {
        self.0.push(Problem {
            at: at.to_owned(),
            what: what.to_string(),
        });
    }

    fn name(&mut self, at: &str, name: &str) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let dashes = name.starts_with('-') || name.ends_with('-');
        if name.is_empty() || name.len() > MAX_NAME || dashes || !name.chars().all(allowed) {
            self.add(
                at,
                "a name has 1 to 64 of a–z, 0–9 and, not at its ends, `-`",
            );
        }
    }

    fn check_size(&mut self, definition: &Definition) {
        let steps = definition.steps.len();
        if !(1..=MAX_STEPS).contains(&steps) {
            let what = format!("a saga has 1 to {MAX_STEPS} steps, this one has {steps}");
            self.add("steps", what);
        }
        if definition.deadline.is_some_and(|d| d.0.is_zero()) {
            self.add("deadline", "a deadline is longer than nothing");
        }
        match serde_json::to_string(definition) {
            Ok(json) if json.len() > MAX_BYTES => {
                let what = format!("{} bytes of JSON, the limit is {MAX_BYTES}", json.len());
                self.add("steps", what);
            }
            Ok(_) => {}
            Err(error) => self.add("steps", error),
        }
    }

    fn check_trigger(&mut self, definition: &Definition) {
        let Some(trigger) = &definition.on else {
            return;
        };
        let wrong = |c: char| c == '-' || c.is_whitespace() || c.is_control();
        if trigger.topic.is_empty() || trigger.topic.contains(wrong) {
            self.add("on.topic", "a topic has no `-`, no spaces and is not empty");
        }
        if trigger.kind.is_empty() {
            self.add("on.type", "the type of the event is missing");
        }
    }

    fn check_step(&mut self, at: &str, step: &Step, before_pivot: bool) {
        if before_pivot && !step.pivot && step.undo.is_none() {
            self.add(
                at,
                "a step before the pivot needs an `undo`: a call, or \"none\" if nothing has to be undone",
            );
        }
        if step.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            self.add(at, "a timeout is longer than nothing");
        }
        if step.attempts == Some(0) {
            self.add(at, "`attempts` counts the first one: at least 1");
        }
    }

    fn check_call(&mut self, at: &str, call: &Call, earlier: &HashSet<&str>, undo: bool) {
        let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '/';
        if call.service.is_empty() || call.service.contains(wrong) {
            self.add(&format!("{at}.service"), "the name of a service is missing");
        }
        let path = format!("{at}.path");
        if !call.path.starts_with('/') || call.path.starts_with("//") {
            self.add(&path, "a path begins with one `/`");
        }
        if call
            .path
            .contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        {
            self.add(&path, "a path has no spaces, control characters or `#`");
        }
        match PathTemplate::parse(&call.path) {
            Ok(template) => self.check_references(&path, &template.references(), earlier, undo),
            Err(error) => self.unparsed(&path, &error),
        }
        let body = call.body.as_ref().unwrap_or(&Value::Null);
        let at = format!("{at}.body");
        match Template::parse(body) {
            Ok(template) => self.check_references(&at, &template.references(), earlier, undo),
            Err(error) => self.unparsed(&at, &error),
        }
    }

    fn unparsed(&mut self, at: &str, error: &ParseError) {
        self.add(at, error);
    }

    fn check_references(
        &mut self,
        at: &str,
        references: &[&Reference],
        earlier: &HashSet<&str>,
        undo: bool,
    ) {
        for reference in references {
            match &reference.root {
                Root::Step(step) if !earlier.contains(step.as_str()) => {
                    // Also the own answer: an undo runs when the answer never came.
                    let what = format!("`${{{reference}}}` needs a step before this one");
                    self.add(at, what);
                }
                Root::Failure(_) if !undo => {
                    let what = format!("`${{{reference}}}` exists only in an `undo`");
                    self.add(at, what);
                }
                Root::Input | Root::Step(_) | Root::SagaId | Root::Failure(_) => {}
            }
        }
    }
}

/// The longest name of a saga or a step; it is a part of idempotency keys and stream names.
const MAX_NAME: usize = 64;
/// The most steps.
const MAX_STEPS: usize = 64;
/// The largest definition, in bytes of JSON: it must fit into one event with room to spare.
const MAX_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(definition: &Value) -> Vec<String> {
        let definition: Definition = serde_json::from_value(definition.clone()).expect("shape");
        check(&definition).iter().map(ToString::to_string).collect()
    }

    fn call(path: &str) -> Value {
        json!({"service": "inventory", "path": path})
    }

    #[test]
    fn a_good_definition_has_no_problem() {
        let good = json!({"name": "place-order", "steps": [
            {"name": "reserve", "call": call("/r/${input.id}"), "undo": call("/r/${failure.code}")},
            {"name": "look", "call": call("/x"), "undo": "none"},
            {"name": "confirm", "pivot": true, "call": call("/c/${steps.reserve.id}")},
            {"name": "notify", "call": call("/n/${steps.confirm.at}/${saga.id}")}]});
        assert_eq!(problems(&good), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let bad = json!({"name": "Place Order", "deadline": "0s",
            "on": {"topic": "order-events", "type": ""},
            "steps": [
              {"name": "reserve", "call": call("r/${steps.charge.id}")},
              {"name": "reserve", "call": call("/x y/${failure.code}"), "undo": call("/u/${steps.reserve.id}")},
              {"name": "charge", "call": call("/c/${inputs.id}"), "undo": call("/u/${steps.charge.id}"),
               "attempts": 0, "timeout": "0s"},
              {"name": "confirm", "pivot": true, "call": {"service": "", "path": "/c"}},
              {"name": "complete", "pivot": true, "call": call("/c"), "undo": "none"}]});
        let found = problems(&bad);
        for part in [
            "name: a name has",
            "deadline: ",
            "on.topic: ",
            "on.type: ",
            "steps.reserve: a step before the pivot needs an `undo`",
            "steps.reserve: a step of this name exists",
            "steps.reserve.call.path: a path begins",
            "steps.reserve.call.path: `${steps.charge.id}` needs a step before",
            "steps.reserve.call.path: a path has no spaces",
            "steps.reserve.call.path: `${failure.code}` exists only",
            "steps.charge.call.path: `${inputs.id}` is not a path",
            "steps.charge.undo.path: `${steps.charge.id}` needs a step before",
            "steps.charge: `attempts`",
            "steps.charge: a timeout",
            "steps.confirm.call.service: ",
            "steps.complete: a saga has at most one pivot",
            "steps.complete: a step behind the pivot is never undone",
        ] {
            assert!(
                found.iter().any(|problem| problem.starts_with(part)),
                "{part} is not in {found:#?}"
            );
        }
    }

    #[test]
    fn a_saga_has_at_least_one_step() {
        let found = problems(&json!({"name": "empty", "steps": []}));
        assert_eq!(found, ["steps: a saga has 1 to 64 steps, this one has 0"]);
    }
}
