//! Tells the client of failures, by the paths of its own answer.
//!
//! A subgraph speaks of `_entities[3].name`; the client asked for no such thing. Each path is translated
//! to every place for which the entity was asked, aliases of the planner get their names back, and what
//! the client did not select is cut off. Of an error's extensions only the code passes: the rest is the
//! subgraph's own (stack traces live there).

use super::compile::{Fetch, Rewrite, Rewritten};
use super::errors::{Report, Text};
use super::keys::Key;
use super::places::{Places, Turn};
use super::request::{Asked, Job};
use super::run::Execution;
use super::shape::{Field, Output, Shape};
use super::tree::{ListId, ObjectId, Value};
use crate::transport::FetchError;

impl Execution<'_> {
    /// Passes the errors of an answer on.
    pub(super) fn pass_on(&mut self, fetch: &Fetch, job: &Job<'_>, errors: ListId) {
        let count = self.tree.elements(errors).len();
        for index in 0..count {
            if self.errors.is_full() {
                // An answer may have more errors than anybody reads.
                return self.errors.count_only(count - index);
            }
            let error = match self.tree.elements(errors)[index] {
                Value::Object(error) => Some(error),
                _ => None,
            };
            let path = error.map(|error| self.path(error)).unwrap_or_default();
            for place in self.client_paths(job, &path) {
                self.pass_on_at(fetch, error, &place);
            }
        }
    }

    /// Says that a fetch brought nothing at all.
    pub(super) fn failed(&mut self, fetch: &Fetch, job: &Job<'_>, error: &FetchError) {
        match job {
            Job::Objects(objects, places) => {
                for place in 0..places.len() {
                    self.failed_fields(fetch, places.way(place), &objects.fields, error);
                }
            }
            Job::Entities(batches) => {
                for asked in batches {
                    self.failed_batch(fetch, asked, error);
                }
            }
        }
    }

    /// The same, for one batch of a fetch.
    pub(super) fn failed_batch(&mut self, fetch: &Fetch, asked: &Asked<'_>, error: &FetchError) {
        for place in asked.all_places() {
            self.failed_place(fetch, asked, place, error);
        }
    }

    /// The same, for one entity.
    pub(super) fn failed_place(
        &mut self,
        fetch: &Fetch,
        asked: &Asked<'_>,
        place: usize,
        error: &FetchError,
    ) {
        let way = asked.places.way(place);
        // The names are looked up only for errors that are listed, the others are counted.
        if self.errors.is_full() {
            return self.errors.count_only(1);
        }
        let path = self.whole(way, &asked.batch.fields);
        self.failed_at(fetch, &path, error);
    }

    /// Says that a fetch was not made, because it would be for too many entities.
    pub(super) fn too_many_entities(&mut self, fetch: &Fetch, places: &Places) {
        let message = "there are more entities than one operation may fetch";
        self.not_made(fetch, places, message, "TOO_MANY_ENTITIES");
    }

    /// Says that a fetch was not made, because its request would be too large.
    pub(super) fn too_large_request(&mut self, fetch: &Fetch, places: &Places) {
        let message = "the request to the subgraph would be larger than allowed";
        self.not_made(fetch, places, message, "REQUEST_TOO_LARGE");
    }

    /// One error for all places of a fetch: at the list that they are in.
    fn not_made(&mut self, fetch: &Fetch, places: &Places, message: &str, code: &str) {
        let way = if places.len() > 0 { places.way(0) } else { &[] };
        let is_list = |turn: &Turn| matches!(turn, Turn::Index(_));
        let end = way.iter().position(is_list).unwrap_or(way.len());
        let report = Report {
            message: Text::Ours(message),
            code: Text::Ours(code),
            service: Some(&fetch.subgraph),
            path: &way[..end],
        };
        self.errors.report(&self.plan.keys, report);
    }

    fn failed_fields(&mut self, fetch: &Fetch, way: &[Turn], fields: &[Key], error: &FetchError) {
        let selected = self.selected(way, fields);
        if selected.is_empty() {
            return self.failed_at(fetch, way, error);
        }
        for field in selected {
            let path = [way, &[Turn::Key(field)]].concat();
            self.failed_at(fetch, &path, error);
        }
    }

    fn failed_at(&mut self, fetch: &Fetch, path: &[Turn], error: &FetchError) {
        let report = Report {
            message: Text::Ours(error.message()),
            code: Text::Ours(error.kind().code()),
            service: Some(&fetch.subgraph),
            path,
        };
        self.errors.report(&self.plan.keys, report);
    }

    fn pass_on_at(&mut self, fetch: &Fetch, error: Option<ObjectId>, path: &[Turn]) {
        let tree = &self.tree;
        let text = |object: Option<ObjectId>, key| match tree.get(object?, key)? {
            Value::String(span) => Some(tree.text(span)),
            _ => None,
        };
        let extensions = error.and_then(|error| match tree.get(error, Key::EXTENSIONS)? {
            Value::Object(extensions) => Some(extensions),
            _ => None,
        });
        let message = text(error, Key::MESSAGE).filter(|_| self.config.expose_messages);
        let report = Report {
            message: message.map_or(Text::Ours("the subgraph reported an error"), Text::Raw),
            code: text(extensions, Key::CODE).map_or(Text::Ours("SUBGRAPH_ERROR"), Text::Raw),
            service: Some(&fetch.subgraph),
            path,
        };
        self.errors.report(&self.plan.keys, report);
    }

    /// The path of a subgraph's error, up to the first part that the plan does not know.
    fn path(&self, error: ObjectId) -> Vec<Turn> {
        let Some(Value::List(path)) = self.tree.get(error, Key::PATH) else {
            return Vec::new();
        };
        let turns = self
            .tree
            .elements(path)
            .iter()
            .map_while(|part| match part {
                Value::String(span) => {
                    let (_, name) = self.tree.text(*span).split_first()?;
                    let (_, name) = name.split_last()?;
                    self.plan.keys.find(name).map(Turn::Key)
                }
                Value::Number(span) => {
                    let index = std::str::from_utf8(self.tree.text(*span)).ok()?;
                    index.parse().ok().map(Turn::Index)
                }
                _ => None,
            });
        turns.collect()
    }

    /// The places in the client's answer that a path in a subgraph's answer stands for; at least one.
    fn client_paths(&self, job: &Job<'_>, path: &[Turn]) -> Vec<Vec<Turn>> {
        let paths = match job {
            Job::Objects(objects, places) if path.is_empty() => (0..places.len())
                .map(|place| self.whole(places.way(place), &objects.fields))
                .collect(),
            Job::Objects(objects, places) => {
                self.paths_at(places, 0..places.len(), path, &objects.output)
            }
            Job::Entities(asked) => self.entity_paths(asked, path),
        };
        if paths.is_empty() {
            vec![Vec::new()]
        } else {
            paths
        }
    }

    /// The places of the entity that a path names by alias and number, or what all entities have in common.
    fn entity_paths(&self, batches: &[Asked<'_>], path: &[Turn]) -> Vec<Vec<Turn>> {
        let [Turn::Key(alias), rest @ ..] = path else {
            return vec![self.common_path(batches)];
        };
        let Some(asked) = batches.iter().find(|asked| asked.batch.alias == *alias) else {
            return vec![self.common_path(batches)];
        };
        let [Turn::Index(number), rest @ ..] = rest else {
            return vec![self.common_path(std::slice::from_ref(asked))];
        };
        let places = asked.places_of(*number);
        self.paths_at(&asked.places, places, rest, &asked.batch.output)
    }

    /// Where an error belongs that names no entity: at the one, or at what the ways to all have in common.
    fn common_path(&self, batches: &[Asked<'_>]) -> Vec<Turn> {
        let way = common_way(batches);
        match batches {
            [asked] if asked.all_places().count() == 1 => self.whole(&way, &asked.batch.fields),
            _ => way,
        }
    }

    /// The path of an object of which everything is missing that a fetch brings: that of the field, if
    /// the client asked for one of the fields only.
    fn whole(&self, way: &[Turn], fields: &[Key]) -> Vec<Turn> {
        match self.selected(way, fields)[..] {
            [only] => [way, &[Turn::Key(only)]].concat(),
            _ => way.to_vec(),
        }
    }

    fn paths_at(
        &self,
        places: &Places,
        chosen: impl Iterator<Item = usize>,
        rest: &[Turn],
        output: &[Rewrite],
    ) -> Vec<Vec<Turn>> {
        chosen
            .map(|place| self.client_path(places.way(place), rest, output))
            .collect()
    }

    /// A way and what follows it, with the client's names and as far as the client selected it.
    fn client_path(&self, way: &[Turn], rest: &[Turn], output: &[Rewrite]) -> Vec<Turn> {
        let mut path = way.to_vec();
        path.extend(rest.iter().map(|turn| renamed(*turn, output)));
        let mut shapes = vec![self.plan.shapes.root()];
        let known = path.iter().take_while(|turn| match turn {
            Turn::Key(key) => self.descend(&mut shapes, *key),
            Turn::Index(_) => true,
        });
        let end = known.count();
        path.truncate(end);
        path
    }

    /// Those of some fields at the end of a way that the client selected.
    fn selected(&self, way: &[Turn], fields: &[Key]) -> Vec<Key> {
        let mut shapes = vec![self.plan.shapes.root()];
        for turn in way {
            if let Turn::Key(key) = turn {
                self.descend(&mut shapes, *key);
            }
        }
        let mut selected = fields.to_vec();
        let is_known = |key: Key| shapes.iter().any(|shape| shape.find(key).next().is_some());
        selected.retain(|key| *key != Key::TYPENAME && is_known(*key));
        selected
    }

    /// Goes from the shapes of a place, one of each type that may be there, to those below a key. False
    /// if no type has it.
    fn descend<'s>(&'s self, shapes: &mut Vec<&'s Shape>, key: Key) -> bool {
        let fields: Vec<&Field> = shapes.iter().flat_map(|shape| shape.find(key)).collect();
        let below = fields.iter().filter_map(|field| match field.output {
            Output::Composite(below) => Some(self.plan.shapes.get(below)),
            _ => None,
        });
        *shapes = below.collect();
        !fields.is_empty()
    }
}

fn renamed(turn: Turn, output: &[Rewrite]) -> Turn {
    let Turn::Key(key) = turn else {
        return turn;
    };
    let to = output.iter().find_map(|rewrite| match rewrite.change {
        Rewritten::Rename(to) if rewrite.key == key => Some(to),
        _ => None,
    });
    Turn::Key(to.unwrap_or(key))
}

/// What the ways to all entities have in common.
fn common_way(batches: &[Asked<'_>]) -> Vec<Turn> {
    let mut ways = batches
        .iter()
        .flat_map(|asked| asked.all_places().map(|place| asked.places.way(place)));
    let Some(first) = ways.next() else {
        return Vec::new();
    };
    let end = ways.fold(first.len(), |end, way| {
        let same = first[..end]
            .iter()
            .zip(way)
            .take_while(|(one, other)| one == other);
        same.count()
    });
    first[..end].to_vec()
}
