//! Entities that the gateway asks for by their keys: how many, and which is which.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_graphql::{Context, Error, QueryPathNode, QueryPathSegment};

use super::answer::{extensions, say};
use crate::support::failure::{Failure, Reply};

/// Where an object stands: at this place of `_entities`, or anywhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(Option<usize>);

impl Place {
    /// Not in `_entities`.
    pub(crate) const ELSEWHERE: Self = Self(None);

    pub(super) const fn index(self) -> Option<usize> {
        self.0
    }
}

/// Counts the entities of one request. The library asks for them one after the other, in the order of
/// the representations, and does not say which one it is asking for.
#[derive(Debug, Default)]
pub(crate) struct Entities(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    all: usize,
    /// By the name under which `_entities` is answered: it may be asked for more than once.
    by_name: BTreeMap<String, usize>,
}

impl Entities {
    /// The place of the entity that is being asked for. Called once for each, before anything is
    /// awaited.
    ///
    /// # Errors
    /// More than [`MOST`]: the whole request is refused, and nothing is looked up.
    pub(crate) fn next(ctx: &Context<'_>) -> Result<Place, Error> {
        let here = ctx.path_node.as_ref().map(root).unwrap_or_default();
        let place = match ctx.data_opt::<Self>() {
            Some(entities) => entities.place(here),
            None => Err(Failure::internal("a request counts no entities")),
        };
        place.map_err(|failure| Error {
            extensions: Some(extensions(&failure)),
            ..Error::new(say(&failure))
        })
    }

    fn place(&self, name: String) -> Reply<Place> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.all += 1;
        if asked.all > MOST {
            let detail = format!("at most {MOST} entities are answered at once");
            return Err(Failure::invalid(detail));
        }
        let next = asked.by_name.entry(name).or_default();
        let place = Place(Some(*next));
        *next += 1;
        Ok(place)
    }
}

/// The name of the field of the query's root that leads here.
fn root(node: &QueryPathNode<'_>) -> String {
    let root = node.parents().last().unwrap_or(node);
    match root.segment {
        QueryPathSegment::Name(name) => name.to_owned(),
        QueryPathSegment::Index(_) => String::new(),
    }
}

/// How many entities one request may ask for.
const MOST: usize = 1_000;
