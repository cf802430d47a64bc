//! `@skip` and `@include` with a variable, decided before the operation is planned.
//!
//! An operation is planned once for each combination of these variables. A planner that is told of
//! conditions may lose one where it merges selections, and ask a service for what was not selected; it is
//! told of none.

use std::collections::{BTreeSet, HashMap};

use graphql_tools::static_graphql::query::{
    Directive, Field, FragmentDefinition, Selection as Item, SelectionSet, Value,
    VariableDefinition,
};
use serde_json::value::RawValue;

use super::lexer::{Lexer, Token};
use super::select::conditions_hold;
use crate::request::Request;

/// The Boolean variables in a request's conditions, by name. None if its document has no condition.
///
/// Only those: the others have no part in a plan, and a client could otherwise fill the cache with plans
/// that differ in nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Given(Vec<(Box<str>, bool)>);

impl Given {
    /// Reads them; what is no Boolean is left to the coercion of variables.
    pub(crate) fn of(request: &Request) -> Self {
        let names = in_conditions(&request.query);
        let Some(variables) = request.variables.as_ref().filter(|_| !names.is_empty()) else {
            return Self::default();
        };
        let variables: Result<HashMap<String, &RawValue>, _> =
            serde_json::from_str(variables.get());
        let variables = variables.unwrap_or_default();
        let given = names.into_iter().filter_map(|name| {
            let value = match variables.get(name)?.get() {
                "true" => true,
                "false" => false,
                _ => return None,
            };
            Some((name.into(), value))
        });
        Self(given.collect())
    }

    fn get(&self, name: &str) -> Option<bool> {
        let found = self.0.iter().find(|(known, _)| **known == *name);
        found.map(|(_, value)| *value)
    }
}

/// The names of variables in conditions, by the tokens: there may be white space between any two.
fn in_conditions(document: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    if !document.contains('@') {
        return names;
    }
    let mut lexer = Lexer::new(document);
    let mut matched = 0;
    // A document with what is no token is refused elsewhere.
    while let Ok((token, _)) = lexer.next() {
        matched = match (matched, token) {
            (_, Token::End) => break,
            (_, Token::Punctuator(b'@')) => 1,
            (1, Token::Name("skip" | "include")) => 2,
            (2, Token::Punctuator(b'(')) => 3,
            (3, Token::Name("if")) => 4,
            (4, Token::Punctuator(b':')) => 5,
            (5, Token::Punctuator(b'$')) => 6,
            (6, Token::Name(name)) => {
                names.insert(name);
                0
            }
            _ => 0,
        };
    }
    names
}

/// The values of variables in conditions: those given, or their defaults.
pub(super) struct Decisions<'a> {
    given: &'a Given,
    defaults: HashMap<String, bool>,
}

impl<'a> Decisions<'a> {
    pub(super) fn new(given: &'a Given, variables: &[VariableDefinition]) -> Self {
        let defaults = variables
            .iter()
            .filter_map(|variable| match variable.default_value {
                Some(Value::Boolean(value)) => Some((variable.name.clone(), value)),
                _ => None,
            });
        Self {
            given,
            defaults: defaults.collect(),
        }
    }

    /// Puts constants in the place of variables in all conditions of a selection.
    pub(super) fn decide(&self, set: &mut SelectionSet) {
        for item in &mut set.items {
            let (directives, inner) = match item {
                Item::Field(it) => (&mut it.directives, Some(&mut it.selection_set)),
                Item::InlineFragment(it) => (&mut it.directives, Some(&mut it.selection_set)),
                Item::FragmentSpread(it) => (&mut it.directives, None),
            };
            directives.iter_mut().for_each(|it| self.decide_one(it));
            if let Some(inner) = inner {
                self.decide(inner);
            }
        }
    }

    /// The same for fragments.
    pub(super) fn decide_all(&self, fragments: &mut HashMap<String, FragmentDefinition>) {
        for fragment in fragments.values_mut() {
            self.decide(&mut fragment.selection_set);
        }
    }

    fn decide_one(&self, directive: &mut Directive) {
        if !matches!(directive.name.as_str(), "skip" | "include") {
            return;
        }
        for (name, value) in &mut directive.arguments {
            if let ("if", Value::Variable(variable)) = (name.as_str(), &*value) {
                // One without a value is refused when variables are coerced.
                let default = || self.defaults.get(variable).copied();
                let decided = self.given.get(variable).or_else(default);
                *value = Value::Boolean(decided.unwrap_or_default());
            }
        }
    }
}

/// Takes out what a constant excludes, for a planner that fails on a selection of which nothing is left.
pub(super) fn prune(set: &mut SelectionSet) {
    let had_items = !set.items.is_empty();
    set.items.retain_mut(|item| {
        let (directives, inner) = match item {
            Item::Field(it) => (&it.directives, Some(&mut it.selection_set)),
            Item::InlineFragment(it) => (&it.directives, Some(&mut it.selection_set)),
            Item::FragmentSpread(it) => (&it.directives, None),
        };
        let is_answered = conditions_hold(directives);
        if let Some(inner) = inner.filter(|_| is_answered) {
            prune(inner);
        }
        is_answered
    });
    if had_items && set.items.is_empty() {
        set.items.push(Item::Field(Field {
            position: set.span.0,
            alias: None,
            name: "__typename".to_owned(),
            arguments: Vec::new(),
            directives: Vec::new(),
            selection_set: SelectionSet {
                span: set.span,
                items: Vec::new(),
            },
        }));
    }
}
