//! What a document costs before it is looked at closely: measured in time that is linear in its length.
//!
//! The library's parser descends into brackets, and its checks walk through a fragment wherever it is
//! spread: fifteen fragments that each spread the next one eight times keep it busy for days.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// The deepest nesting of brackets in a text, those in strings and comments counted too: no honest
/// document has many there.
pub(super) fn nesting(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// How many selections all operations of a document have, fragments counted wherever they are spread.
pub(super) fn weight(document: &ExecutableDocument) -> usize {
    let mut weigher = Weigher {
        document,
        known: HashMap::new(),
    };
    let operations = document.operations.iter();
    operations.fold(0, |sum, (_, operation)| {
        sum.saturating_add(weigher.of(&operation.node.selection_set.node))
    })
}

struct Weigher<'a> {
    document: &'a ExecutableDocument,
    /// What each fragment weighs. One that is being weighed weighs the most: it contains itself.
    known: HashMap<&'a str, usize>,
}

impl<'a> Weigher<'a> {
    fn of(&mut self, set: &'a SelectionSet) -> usize {
        set.items.iter().fold(0, |sum, selection| {
            let weight = match &selection.node {
                Selection::Field(field) => self.of(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    self.of_fragment(&spread.node.fragment_name.node)
                }
            };
            sum.saturating_add(weight).saturating_add(1)
        })
    }

    fn of_fragment(&mut self, name: &str) -> usize {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return 0;
        };
        if let Some(weight) = self.known.get(name.as_str()) {
            return *weight;
        }
        self.known.insert(name, usize::MAX);
        let weight = self.of(&fragment.node.selection_set.node);
        self.known.insert(name, weight);
        weight
    }
}
