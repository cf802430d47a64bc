//! What the keeper of a federation knows: the schemas, and what was wrong when it last looked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::Subgraph;

/// What is known of each subgraph, and of the whole.
#[derive(Debug)]
pub(super) struct State(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// In the order of the subgraphs.
    known: Vec<Known>,
    /// The schemas of the last composition, successful or not.
    composed_of: Vec<Arc<str>>,
    /// Why the last composition failed.
    problem: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// The last schema that it answered.
    sdl: Option<Arc<str>>,
    /// Why it answered none when it was last asked.
    problem: Option<String>,
}

/// A GraphQL route as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphqlInfo {
    /// True if there is a supergraph, so that operations are answered.
    pub ready: bool,
    /// Why the subgraphs could not be composed when that was last tried; the supergraph from before
    /// stays in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The subgraphs, by their names.
    pub subgraphs: Vec<SubgraphInfo>,
}

/// A subgraph as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubgraphInfo {
    /// Its name.
    pub name: String,
    /// The service or address that answers.
    pub upstream: String,
    /// Why it did not answer its schema when it was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl State {
    pub(super) fn new(subgraphs: usize) -> Self {
        Self(Mutex::new(Inner {
            known: vec![Known::default(); subgraphs],
            composed_of: Vec::new(),
            problem: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the subgraphs answered. One that did not answer keeps the schema that it had.
    /// Says which subgraphs changed between well and unwell.
    pub(super) fn learn(&self, answers: Vec<Result<Arc<str>, String>>) -> Vec<Turned> {
        let mut inner = self.lock();
        let mut turned = Vec::new();
        for (place, (known, answer)) in inner.known.iter_mut().zip(answers).enumerate() {
            let problem = match answer {
                Ok(sdl) => {
                    known.sdl = Some(sdl);
                    None
                }
                Err(problem) => Some(problem),
            };
            if known.problem.is_some() != problem.is_some() {
                let problem = problem.clone();
                turned.push(Turned { place, problem });
            }
            known.problem = problem;
        }
        turned
    }

    /// The schemas in the order of the subgraphs, if all are known and were not composed yet.
    pub(super) fn news(&self) -> Option<Vec<Arc<str>>> {
        let mut inner = self.lock();
        let schemas = inner.known.iter().map(|known| known.sdl.clone());
        let schemas = schemas.collect::<Option<Vec<_>>>()?;
        if schemas == inner.composed_of {
            return None;
        }
        inner.composed_of.clone_from(&schemas);
        Some(schemas)
    }

    /// True if every subgraph answered when it was last asked.
    pub(super) fn is_well(&self) -> bool {
        self.lock()
            .known
            .iter()
            .all(|known| known.problem.is_none())
    }

    /// Notes how a composition ended.
    pub(super) fn composed(&self, problem: Option<String>) {
        self.lock().problem = problem;
    }

    pub(super) fn info(&self, subgraphs: &[Subgraph], ready: bool) -> GraphqlInfo {
        let inner = self.lock();
        let described = subgraphs.iter().zip(&inner.known);
        let described = described.map(|(subgraph, known)| SubgraphInfo {
            name: subgraph.name.to_string(),
            upstream: subgraph.upstream.name.to_string(),
            problem: known.problem.clone(),
        });
        GraphqlInfo {
            ready,
            problem: inner.problem.clone(),
            subgraphs: described.collect(),
        }
    }
}

/// A subgraph that answers again, or does not answer any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turned {
    pub(super) place: usize,
    pub(super) problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sdl: &str) -> Result<Arc<str>, String> {
        Ok(sdl.into())
    }

    #[test]
    fn a_subgraph_that_is_away_keeps_its_schema() {
        let state = State::new(2);
        assert!(state.learn(vec![answer("a"), answer("b")]).is_empty());
        assert_eq!(state.news(), Some(vec!["a".into(), "b".into()]));
        let turned = state.learn(vec![answer("a2"), Err("away".to_owned())]);
        let away = Some("away".to_owned());
        assert_eq!(
            turned,
            [Turned {
                place: 1,
                problem: away
            }]
        );
        assert!(!state.is_well());
        assert_eq!(state.news(), Some(vec!["a2".into(), "b".into()]));
    }

    #[test]
    fn the_same_schemas_are_composed_once() {
        let state = State::new(1);
        assert_eq!(state.news(), None, "nothing is known yet");
        state.learn(vec![answer("a")]);
        assert!(state.news().is_some());
        state.learn(vec![answer("a")]);
        assert_eq!(state.news(), None);
    }
}
