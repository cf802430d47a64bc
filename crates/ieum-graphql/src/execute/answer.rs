//! Takes the answers of subgraphs: reads them, changes what the plan wants changed, merges them.

use bytes::Bytes;

use super::compile::{Fetch, Part, Rewrite, Rewritten};
use super::json::Unreadable;
use super::keys::Key;
use super::request::{Asked, Job};
use super::run::Execution;
use super::tree::{ListId, ObjectId, Tree, Value};
use crate::transport::{FetchError, FetchErrorKind, Fetched};

/// An answer in the shape that GraphQL prescribes.
pub(super) struct Envelope {
    pub(super) data: Option<ObjectId>,
    pub(super) errors: Option<ListId>,
}

impl Execution<'_> {
    /// Merges what a fetch brought, or says where it is missing.
    pub(super) fn land(
        &mut self,
        fetch: &Fetch,
        job: &Job<'_>,
        result: Result<Fetched, FetchError>,
    ) {
        let envelope = result.and_then(|fetched| self.read(fetched.body));
        match envelope {
            Ok(envelope) => {
                if let Some(errors) = envelope.errors {
                    self.pass_on(fetch, job, errors);
                }
                if let Some(data) = envelope.data {
                    self.settle(fetch, job, data);
                }
            }
            Err(error) => self.failed(fetch, job, &error),
        }
    }

    fn read(&mut self, body: Bytes) -> Result<Envelope, FetchError> {
        let value = self
            .reader
            .read(&mut self.tree, body)
            .map_err(|why| match why {
                Unreadable::Malformed => malformed("the subgraph's answer is not JSON"),
                Unreadable::TooDeep => malformed("the subgraph's answer is nested too deeply"),
                Unreadable::TooMany => too_many_values(),
            })?;
        let Value::Object(answer) = value else {
            return Err(malformed("the subgraph's answer is not an object"));
        };
        let errors = match self.tree.get(answer, Key::ERRORS) {
            Some(Value::List(errors)) => Some(errors).filter(|errors| !self.is_empty(*errors)),
            None | Some(Value::Null) => None,
            Some(_) => return Err(malformed("the subgraph's `errors` is not a list")),
        };
        let data = match self.tree.get(answer, Key::DATA) {
            Some(Value::Object(data)) => Some(data),
            None | Some(Value::Null) if errors.is_some() => None,
            None | Some(Value::Null) => {
                return Err(malformed("the subgraph's answer has no `data`"));
            }
            Some(_) => return Err(malformed("the subgraph's `data` is not an object")),
        };
        Ok(Envelope { data, errors })
    }

    fn is_empty(&self, list: ListId) -> bool {
        self.tree.elements(list).is_empty()
    }

    fn settle(&mut self, fetch: &Fetch, job: &Job<'_>, data: ObjectId) {
        match job {
            Job::Objects(objects, places) => {
                rewrite(&mut self.tree, data, &objects.output);
                for place in 0..places.len() {
                    let last = place + 1 == places.len();
                    self.tree.merge(places.object(place), data, !last);
                    if self.is_full() {
                        return self.failed(fetch, job, &too_many_values());
                    }
                }
            }
            Job::Entities(batches) => {
                for asked in batches {
                    self.settle_batch(fetch, asked, data);
                }
            }
        }
    }

    fn settle_batch(&mut self, fetch: &Fetch, asked: &Asked<'_>, data: ObjectId) {
        let entities = match self.tree.get(data, asked.batch.alias) {
            Some(Value::List(entities)) => entities,
            _ if asked.count == 0 => return,
            _ => {
                let error = malformed("the subgraph's answer has no list of entities");
                return self.failed_batch(fetch, asked, &error);
            }
        };
        let answered = self.tree.elements(entities).len();
        if answered != asked.count {
            let error = malformed(&format!(
                "the subgraph answered {answered} entities for {} representations",
                asked.count
            ));
            return self.failed_batch(fetch, asked, &error);
        }
        let mut users = vec![0u32; asked.count];
        for number in asked.numbers.iter().flatten() {
            users[*number as usize] += 1;
        }
        for place in 0..asked.places.len() {
            let Some(number) = asked.numbers[place] else {
                continue;
            };
            let users = &mut users[number as usize];
            *users -= 1;
            match self.tree.elements(entities)[number as usize] {
                Value::Object(entity) => {
                    rewrite(&mut self.tree, entity, &asked.batch.output);
                    let into = asked.places.object(place);
                    self.keep_typename(into, entity);
                    self.tree.merge(into, entity, *users > 0);
                }
                Value::Null => {}
                _ => {
                    let error = malformed("the subgraph answered an entity that is no object");
                    self.failed_place(fetch, asked, place, &error);
                }
            }
            if self.is_full() {
                return self.failed_batch(fetch, asked, &too_many_values());
            }
        }
    }

    /// Whether copies for several places have made the tree larger than allowed.
    fn is_full(&self) -> bool {
        self.tree.size() > self.config.values
    }
}

impl Execution<'_> {
    /// Sees to it that the name of an interface does not replace the name of the object's own type, which
    /// a subgraph with an interface object does not know.
    fn keep_typename(&mut self, into: ObjectId, from: ObjectId) {
        let abstracts = &self.plan.abstracts;
        let is_abstract = |name: Option<&[u8]>| name.map(|name| abstracts.contains(name));
        if is_abstract(self.tree.typename(from)) == Some(true)
            && is_abstract(self.tree.typename(into)) == Some(false)
        {
            self.tree.set(from, Key::TYPENAME, Value::Null);
        }
    }
}

fn malformed(message: &str) -> FetchError {
    FetchError::new(FetchErrorKind::Malformed, message)
}

fn too_many_values() -> FetchError {
    let message = "the subgraphs' answers have too many values";
    FetchError::new(FetchErrorKind::TooLarge, message)
}

/// Applies the changes of an answer's data, in their order. Applying them again changes nothing.
fn rewrite(tree: &mut Tree, object: ObjectId, rewrites: &[Rewrite]) {
    for rewrite in rewrites {
        change(tree, Value::Object(object), &rewrite.path, rewrite);
    }
}

fn change(tree: &mut Tree, value: Value, path: &[Part], rewrite: &Rewrite) {
    match (value, path.split_first()) {
        (Value::List(list), _) => {
            for index in 0..tree.elements(list).len() {
                change(tree, tree.elements(list)[index], path, rewrite);
            }
        }
        (Value::Object(object), None) => match &rewrite.change {
            Rewritten::Rename(to) => tree.rename(object, rewrite.key, *to),
            Rewritten::Set(text) => {
                let literal = tree.literal(text);
                tree.set(object, rewrite.key, literal);
            }
        },
        (Value::Object(object), Some((Part::Types(names), rest))) => {
            let name = tree.typename(object);
            if name.is_none_or(|name| names.contains(name)) {
                change(tree, value, rest, rewrite);
            }
        }
        (Value::Object(object), Some((Part::Field(key), rest))) => {
            if let Some(value) = tree.get(object, *key) {
                change(tree, value, rest, rewrite);
            }
        }
        _ => {}
    }
}
