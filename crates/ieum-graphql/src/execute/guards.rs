//! `@include` and `@skip` by variables, as a plan is compiled and as it is run.

use crate::plan::When;

use super::variables::Variables;

/// When something is answered: any of some conditions, each of which is all of some variables. Nothing
/// at all means always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard(Vec<Vec<(Flag, bool)>>);

/// A Boolean variable of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flag(u32);

/// The Boolean variables on which a plan depends.
#[derive(Debug, Default)]
pub(crate) struct Guards(Vec<Box<str>>);

/// Their values in one execution.
#[derive(Debug)]
pub(crate) struct Flags(Vec<bool>);

impl Guards {
    pub(crate) fn flag(&mut self, variable: &str) -> Flag {
        let known = self.0.iter().position(|name| **name == *variable);
        let index = known.unwrap_or_else(|| {
            self.0.push(variable.into());
            self.0.len() - 1
        });
        Flag(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// A guard from the conditions of each occurrence of a field.
    pub(crate) fn guard<'a>(&mut self, occurrences: impl Iterator<Item = &'a [When]>) -> Guard {
        let mut any = Vec::new();
        for occurrence in occurrences {
            let mut all: Vec<(Flag, bool)> = occurrence
                .iter()
                .map(|when| match when {
                    When::Include(variable) => (self.flag(variable), true),
                    When::Skip(variable) => (self.flag(variable), false),
                })
                .collect();
            if all.is_empty() {
                return Guard::default();
            }
            all.sort_unstable();
            all.dedup();
            if !any.contains(&all) {
                any.push(all);
            }
        }
        Guard(any)
    }

    pub(crate) fn evaluate(&self, variables: &Variables) -> Flags {
        Flags(self.0.iter().map(|name| variables.is_true(name)).collect())
    }
}

impl Flags {
    pub(crate) fn is_set(&self, flag: Flag) -> bool {
        self.0[flag.0 as usize]
    }
}

impl Guard {
    pub(crate) fn holds(&self, flags: &Flags) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|all| {
                all.iter()
                    .all(|(flag, value)| flags.is_set(*flag) == *value)
            })
    }
}
