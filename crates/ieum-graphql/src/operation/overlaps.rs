//! How many pairs of fields validation has to compare.
//!
//! The rule that fields of one response name must be mergeable compares them in pairs, and the fields
//! below each pair again in pairs: `{a a a …}` costs the square of its length. This counts those pairs
//! in time linear in the fields, by taking all fields of one name together, level by level.

use std::collections::HashMap;

use graphql_tools::static_graphql::query::{Definition, Document, Selection, SelectionSet};

use super::complexity::Fragments;
use crate::limits::{Exceeded, Limit, Limits};
use crate::rejection::Rejection;

/// Refuses a document with too many pairs. Its fields, fragments expanded, are few and not too deep.
pub(super) fn check(
    document: &Document,
    fragments: &Fragments<'_>,
    limits: &Limits,
) -> Result<(), Rejection> {
    let mut pairs = Pairs {
        fragments,
        left: limits.overlaps,
        visits: limits.fields.saturating_mul(VISITS_PER_FIELD),
    };
    for definition in &document.definitions {
        let set = match definition {
            Definition::Operation(operation) => operation.selection_set(),
            Definition::Fragment(fragment) => &fragment.selection_set,
        };
        if !pairs.merged(&[set]) {
            let exceeded = Exceeded::new(Limit::Overlaps, limits.overlaps, Some(set.span.0));
            return Err(exceeded.into());
        }
    }
    Ok(())
}

struct Pairs<'a> {
    fragments: &'a Fragments<'a>,
    left: usize,
    visits: usize,
}

impl Pairs<'_> {
    /// Counts the pairs in selection sets that are merged into one; false if there are too many.
    fn merged(&mut self, sets: &[&SelectionSet]) -> bool {
        let mut by_name: HashMap<&str, (usize, Vec<&SelectionSet>)> = HashMap::new();
        let mut rest: Vec<&SelectionSet> = sets.to_vec();
        while let Some(set) = rest.pop() {
            let Some(visits) = self.visits.checked_sub(set.items.len()) else {
                return false;
            };
            self.visits = visits;
            for selection in &set.items {
                match selection {
                    Selection::Field(field) => {
                        let name = field.alias.as_ref().unwrap_or(&field.name);
                        let (count, inner) = by_name.entry(name).or_default();
                        *count += 1;
                        if !field.selection_set.items.is_empty() {
                            inner.push(&field.selection_set);
                        }
                    }
                    Selection::InlineFragment(fragment) => rest.push(&fragment.selection_set),
                    Selection::FragmentSpread(spread) => {
                        let fragment = self.fragments.get(spread.fragment_name.as_str());
                        rest.extend(fragment.map(|fragment| &fragment.selection_set));
                    }
                }
            }
        }
        by_name.into_values().all(|(count, inner)| {
            let pairs = count.saturating_mul(count - 1) / 2;
            match self.left.checked_sub(pairs) {
                Some(left) => {
                    self.left = left;
                    inner.is_empty() || self.merged(&inner)
                }
                None => false,
            }
        })
    }
}

/// Fragments are looked at where they are spread and on their own, so more selections than fields.
const VISITS_PER_FIELD: usize = 4;
