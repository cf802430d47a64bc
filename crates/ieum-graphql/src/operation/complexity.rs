//! How much a document asks for, counted before anything expands it.
//!
//! Fragments are counted once and their counts added where they are spread, with saturating arithmetic:
//! a document of 60 lines whose fragments double at each level means 2⁶⁰ fields, and is refused in
//! microseconds. Recursion is bounded: a level more than the allowed nesting ends it.

use std::collections::HashMap;

use graphql_tools::parser::Pos;
use graphql_tools::static_graphql::query::{
    Definition, Directive, Document, Field, FragmentDefinition, Selection, SelectionSet, Value,
};

use crate::limits::{Exceeded, Limit, Limits};
use crate::rejection::{Reason, Rejection};

/// Refuses a document that goes beyond a limit, or whose fragments form a cycle.
pub(crate) fn check(document: &Document, limits: &Limits) -> Result<(), Rejection> {
    let definitions = document.definitions.len();
    if definitions > limits.definitions {
        return Err(Exceeded::new(Limit::Definitions, limits.definitions, None).into());
    }
    let fragments = fragments(document)?;
    let mut counter = Counter {
        limits,
        fragments: &fragments,
        known: HashMap::new(),
    };
    let mut fields: usize = 0;
    for definition in &document.definitions {
        let (set, pos) = match definition {
            Definition::Operation(operation) => {
                let set = operation.selection_set();
                for variable in operation.variable_definitions() {
                    if let Some(value) = &variable.default_value {
                        counter.value(value, variable.position)?;
                    }
                }
                counter.directives(operation.directives())?;
                (set, set.span.0)
            }
            // A fragment that nobody spreads is validated all the same.
            Definition::Fragment(fragment) => {
                let size = counter.fragment(fragment, 0)?;
                if size.fields > limits.fields {
                    let pos = Some(fragment.position);
                    return Err(Exceeded::new(Limit::Fields, limits.fields, pos).into());
                }
                continue;
            }
        };
        let size = counter.set(set, 0)?;
        fields = fields.saturating_add(size.fields);
        let checks = [
            (size.depth > limits.depth(), Limit::Depth, limits.depth()),
            (
                size.levels > limits.nesting(),
                Limit::Nesting,
                limits.nesting(),
            ),
            (
                size.aliases > limits.aliases,
                Limit::Aliases,
                limits.aliases,
            ),
            (
                size.top > limits.root_fields,
                Limit::RootFields,
                limits.root_fields,
            ),
            (fields > limits.fields, Limit::Fields, limits.fields),
        ];
        for (beyond, limit, allowed) in checks {
            if beyond {
                return Err(Exceeded::new(limit, allowed, Some(pos)).into());
            }
        }
    }
    // From here on the document can be expanded: it has few fields.
    super::overlaps::check(document, &fragments, limits)
}

pub(super) type Fragments<'a> = HashMap<&'a str, &'a FragmentDefinition>;

/// The fragments by name. Two of one name would hide one of them from the counts.
fn fragments(document: &Document) -> Result<Fragments<'_>, Rejection> {
    let mut fragments = HashMap::new();
    for definition in &document.definitions {
        if let Definition::Fragment(fragment) = definition
            && let Some(other) = fragments.insert(fragment.name.as_str(), fragment)
        {
            let message = format!("There can be only one fragment named \"{}\".", other.name);
            let places = [other.position, fragment.position];
            return Err(Rejection::at(Reason::Validation, message, places));
        }
    }
    Ok(fragments)
}

/// What a selection set amounts to with its fragments expanded.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    fields: usize,
    aliases: usize,
    /// Fields at its top, those in fragments included.
    top: usize,
    /// Fields within fields.
    depth: usize,
    /// Fields and fragments within each other.
    levels: usize,
}

struct Counter<'a> {
    limits: &'a Limits,
    fragments: &'a Fragments<'a>,
    /// Fragments that were counted; `None` while one is being counted.
    known: HashMap<&'a str, Option<Size>>,
}

impl<'a> Counter<'a> {
    fn set(&mut self, set: &'a SelectionSet, level: usize) -> Result<Size, Rejection> {
        if level > self.limits.nesting() {
            let allowed = self.limits.nesting();
            return Err(Exceeded::new(Limit::Nesting, allowed, Some(set.span.0)).into());
        }
        let mut total = Size::default();
        for selection in &set.items {
            let size = match selection {
                Selection::Field(field) => self.field(field, level)?,
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.directives)?;
                    self.set(&fragment.selection_set, level + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives)?;
                    match self.fragments.get(spread.fragment_name.as_str()) {
                        Some(fragment) => self.fragment(fragment, level + 1)?,
                        // Validation says that it is missing; as nothing it could double for free.
                        None => Size {
                            fields: 1,
                            ..Size::default()
                        },
                    }
                }
            };
            total.fields = total.fields.saturating_add(size.fields);
            total.aliases = total.aliases.saturating_add(size.aliases);
            total.top = total.top.saturating_add(size.top);
            total.depth = total.depth.max(size.depth);
            total.levels = total.levels.max(size.levels);
        }
        total.levels += 1;
        Ok(total)
    }

    fn field(&mut self, field: &'a Field, level: usize) -> Result<Size, Rejection> {
        self.directives(&field.directives)?;
        for (_, value) in &field.arguments {
            self.value(value, field.position)?;
        }
        let inner = match field.selection_set.items.is_empty() {
            true => Size::default(),
            false => self.set(&field.selection_set, level + 1)?,
        };
        Ok(Size {
            fields: inner.fields.saturating_add(1),
            aliases: inner
                .aliases
                .saturating_add(usize::from(field.alias.is_some())),
            top: 1,
            depth: inner.depth + 1,
            levels: inner.levels,
        })
    }

    fn fragment(
        &mut self,
        fragment: &'a FragmentDefinition,
        level: usize,
    ) -> Result<Size, Rejection> {
        match self.known.get(fragment.name.as_str()) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(cycle(&fragment.name, fragment.position)),
            None => {}
        }
        self.known.insert(&fragment.name, None);
        self.directives(&fragment.directives)?;
        let size = self.set(&fragment.selection_set, level)?;
        self.known.insert(&fragment.name, Some(size));
        Ok(size)
    }

    fn directives(&self, directives: &[Directive]) -> Result<(), Rejection> {
        for directive in directives {
            for (_, value) in &directive.arguments {
                self.value(value, directive.position)?;
            }
        }
        Ok(())
    }

    /// Lists in the document have a limit as those in the variables have.
    fn value(&self, value: &Value, pos: Pos) -> Result<(), Rejection> {
        match value {
            Value::List(elements) if elements.len() > self.limits.list_elements => {
                let allowed = self.limits.list_elements;
                Err(Exceeded::new(Limit::ListElements, allowed, Some(pos)).into())
            }
            Value::List(elements) => elements.iter().try_for_each(|it| self.value(it, pos)),
            Value::Object(fields) => fields.iter().try_for_each(|(_, it)| self.value(it, pos)),
            _ => Ok(()),
        }
    }
}

fn cycle(name: &str, pos: Pos) -> Rejection {
    let message = format!("Cannot spread fragment \"{name}\" within itself.");
    Rejection::at(Reason::Validation, message, [pos])
}
