//! A definition that was checked and made ready to run.

use serde_json::Value;

use super::validate::{self, Invalid, Problem};
use super::{Call, Definition, Hash, Method, Step, Trigger, Undo};
use crate::template::{PathTemplate, Reference, RenderError, Root, Scope, Template};

/// A checked definition with its templates parsed, pinned to its hash.
#[derive(Clone, Debug)]
pub struct Plan {
    definition: Definition,
    hash: Hash,
    pivot: Option<usize>,
    steps: Vec<PlanStep>,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct PlanStep {
    call: CallPlan,
    undo: Option<CallPlan>,
}

/// A call whose templates were parsed.
#[derive(Clone, Debug)]
pub(crate) struct CallPlan {
    pub(crate) service: String,
    pub(crate) method: Method,
    path: PathTemplate,
    body: Option<Template>,
}

impl Plan {
    /// Checks a definition. The error names everything that is wrong with it.
    pub fn new(definition: Definition) -> Result<Self, Invalid> {
        let refuse = |problems| Invalid {
            name: definition.name.chars().take(100).collect(),
            problems,
        };
        let problems = validate::check(&definition);
        if !problems.is_empty() {
            return Err(refuse(problems));
        }
        let steps: Result<Vec<PlanStep>, Problem> =
            definition.steps.iter().map(PlanStep::new).collect();
        let hash = Hash::of(&definition).map_err(|error| Problem {
            at: "steps".to_owned(),
            what: error.to_string(),
        });
        match (steps, hash) {
            (Ok(steps), Ok(hash)) => Ok(Self {
                pivot: definition.steps.iter().position(|step| step.pivot),
                steps,
                hash,
                definition,
            }),
            (Err(problem), _) | (_, Err(problem)) => Err(refuse(vec![problem])),
        }
    }

    /// The same plan under the hash with which it was stored. What is stored wins over what this
    /// version of the code would compute, so that an upgrade never loses a saga's definition.
    #[must_use]
    pub fn pinned_to(mut self, hash: Hash) -> Self {
        self.hash = hash;
        self
    }

    /// The hash that sagas in flight are pinned to.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The definition as it was written.
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The name of the definition.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The event that starts a saga of this kind.
    pub const fn trigger(&self) -> Option<&Trigger> {
        self.definition.on.as_ref()
    }

    /// How many steps there are.
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Never true: a plan has at least one step.
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The place of the pivot.
    pub const fn pivot(&self) -> Option<usize> {
        self.pivot
    }

    /// The step at this place as it was written.
    pub fn step(&self, index: usize) -> Option<&Step> {
        self.definition.steps.get(index)
    }

    /// The place of the step of this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.definition
            .steps
            .iter()
            .position(|step| step.name == name)
    }

    /// True if the step at this place has something to undo it.
    pub fn has_undo(&self, index: usize) -> bool {
        self.steps
            .get(index)
            .is_some_and(|step| step.undo.is_some())
    }

    /// True if the definition says what undoes the step at this place, be it that nothing has to.
    pub fn says_how_to_undo(&self, index: usize) -> bool {
        let step = self.definition.steps.get(index);
        step.is_some_and(|step| step.undo.is_some())
    }

    pub(crate) fn call(&self, index: usize) -> Option<&CallPlan> {
        self.steps.get(index).map(|step| &step.call)
    }

    pub(crate) fn undo(&self, index: usize) -> Option<&CallPlan> {
        self.steps.get(index).and_then(|step| step.undo.as_ref())
    }

    /// What the templates want from the input and `input` does not have.
    pub(crate) fn missing_input(&self, scope: &dyn Scope) -> Vec<String> {
        let mut missing: Vec<String> = self
            .steps
            .iter()
            .flat_map(|step| std::iter::once(&step.call).chain(step.undo.as_ref()))
            .flat_map(CallPlan::references)
            .filter(|reference| reference.root == Root::Input && !reference.optional)
            .filter(|reference| reference.resolve(scope).is_none())
            .map(ToString::to_string)
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}

impl PlanStep {
    fn new(step: &Step) -> Result<Self, Problem> {
        let undo = match &step.undo {
            Some(Undo::Call(undo)) => Some(CallPlan::new(&step.name, undo)?),
            Some(Undo::Nothing) | None => None,
        };
        Ok(Self {
            call: CallPlan::new(&step.name, &step.call)?,
            undo,
        })
    }
}

impl CallPlan {
    fn new(step: &str, call: &Call) -> Result<Self, Problem> {
        let problem = |error: crate::template::ParseError| Problem {
            at: format!("steps.{step}"),
            what: error.to_string(),
        };
        Ok(Self {
            service: call.service.clone(),
            method: call.method,
            path: PathTemplate::parse(&call.path).map_err(problem)?,
            body: call
                .body
                .as_ref()
                .map(Template::parse)
                .transpose()
                .map_err(problem)?,
        })
    }

    /// The path and the body with everything filled in.
    pub(crate) fn render(&self, scope: &dyn Scope) -> Result<(String, Option<Value>), RenderError> {
        let path = self.path.render(scope)?;
        let body = self
            .body
            .as_ref()
            .map(|body| body.render(scope))
            .transpose()?;
        Ok((path, body))
    }

    fn references(&self) -> Vec<&Reference> {
        let mut references = self.path.references();
        references.extend(self.body.iter().flat_map(Template::references));
        references
    }
}
