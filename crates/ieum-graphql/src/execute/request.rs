//! Makes the requests: finds the entities, writes their representations, appends the variables.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;

use super::compile::{Batch, Body, Fetch, Objects, Target};
use super::places::{Places, TooMany};
use super::representation::Writer;
use super::run::Execution;
use super::variables::Variables;

/// What a fetch is for: where its answer goes.
#[derive(Debug)]
pub(crate) enum Job<'p> {
    /// Into objects: the root, or those at a path.
    Objects(&'p Objects, Places),
    /// Into entities, batch by batch.
    Entities(Vec<Asked<'p>>),
}

/// The entities of a batch.
#[derive(Debug)]
pub(crate) struct Asked<'p> {
    pub(crate) batch: &'p Batch,
    pub(crate) places: Places,
    /// For each place the number of its representation, if it has one.
    pub(crate) numbers: Vec<Option<u32>>,
    /// How many representations there are.
    pub(crate) count: usize,
}

/// A request that is to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) body: Bytes,
    /// How many representations it carries.
    pub(crate) entities: usize,
}

impl Asked<'_> {
    /// The places that a representation stands for.
    pub(crate) fn places_of(&self, number: u32) -> impl Iterator<Item = usize> {
        (0..self.numbers.len()).filter(move |place| self.numbers[*place] == Some(number))
    }

    /// The places that were asked for.
    pub(crate) fn all_places(&self) -> impl Iterator<Item = usize> {
        (0..self.numbers.len()).filter(|place| self.numbers[*place].is_some())
    }
}

impl<'p> Execution<'p> {
    /// What is to be sent for a fetch; `None` if there is nobody to ask for, or too many.
    pub(super) fn request(&mut self, fetch: &'p Fetch) -> Option<(Job<'p>, Request)> {
        match &fetch.target {
            Target::Objects(objects) => {
                let places = self.objects(fetch, objects)?;
                Some((Job::Objects(objects, places), self.plain_request(fetch)))
            }
            Target::Entities(batches) => self.entity_request(fetch, batches),
        }
    }

    fn objects(&mut self, fetch: &Fetch, objects: &Objects) -> Option<Places> {
        if objects.path.is_empty() {
            return Some(Places::root(self.root));
        }
        let mut places = Places::default();
        let limit = self.config.entities_per_fetch;
        match places.find(&self.tree, self.root, &objects.path, limit) {
            Ok(()) => Some(places).filter(|places| places.len() > 0),
            Err(TooMany) => {
                self.too_many_entities(fetch, &places);
                None
            }
        }
    }

    fn plain_request(&self, fetch: &Fetch) -> Request {
        let body = if fetch.body.variables.is_empty() {
            fetch.body.bare.clone()
        } else {
            let mut out = fetch.body.open(0);
            fetch.body.write_variables(self.variables, &mut out);
            out.extend_from_slice(b"}}");
            out.into()
        };
        Request { body, entities: 0 }
    }

    fn entity_request(
        &mut self,
        fetch: &Fetch,
        batches: &'p [Batch],
    ) -> Option<(Job<'p>, Request)> {
        let mut out = fetch.body.open(256);
        fetch.body.write_variables(self.variables, &mut out);
        let mut asked = Vec::with_capacity(batches.len());
        let mut room = self.config.entities_per_fetch;
        room = room.min(self.config.entities.saturating_sub(self.entities));
        for batch in batches {
            let mut places = Places::default();
            for path in &batch.paths {
                if let Err(TooMany) = places.find(&self.tree, self.root, path, room) {
                    self.too_many_entities(fetch, &places);
                    return None;
                }
            }
            room -= places.len();
            self.entities += places.len();
            separate(&mut out);
            out.extend_from_slice(&batch.variable);
            match self.representations(batch, places, &mut out) {
                Ok(written) => asked.push(written),
                Err(places) => {
                    self.too_large_request(fetch, &places);
                    return None;
                }
            }
        }
        let entities = asked.iter().map(|asked| asked.count).sum();
        if entities == 0 {
            return None;
        }
        out.extend_from_slice(b"}}");
        let body = out.into();
        Some((Job::Entities(asked), Request { body, entities }))
    }

    /// Writes the list of a batch's representations, each once; gives the places back if that is more
    /// than a request may have.
    fn representations(
        &self,
        batch: &'p Batch,
        places: Places,
        out: &mut Vec<u8>,
    ) -> Result<Asked<'p>, Places> {
        out.push(b'[');
        let mut writer = Writer::default();
        let mut sent = Sent::new(places.len());
        let mut numbers = Vec::with_capacity(places.len());
        for place in 0..places.len() {
            let before = out.len();
            if sent.len() > 0 {
                out.push(b',');
            }
            let start = out.len();
            let entity = places.object(place);
            if writer.write(&self.tree, entity, &batch.needs, out).is_err() {
                out.truncate(before);
                numbers.push(None);
                continue;
            }
            let (number, new) = sent.number(out, start);
            if !new {
                out.truncate(before);
            }
            numbers.push(Some(number));
            if out.len() > self.config.request_bytes {
                return Err(places);
            }
        }
        out.push(b']');
        Ok(Asked {
            batch,
            places,
            numbers,
            count: sent.len(),
        })
    }
}

impl Body {
    /// A body up to the first variable, with room for more.
    fn open(&self, more: usize) -> Vec<u8> {
        const VARIABLES: &[u8] = b",\"variables\":{";
        let mut out = Vec::with_capacity(self.start.len() + VARIABLES.len() + 64 + more);
        out.extend_from_slice(&self.start);
        out.extend_from_slice(VARIABLES);
        out
    }

    fn write_variables(&self, variables: &Variables, out: &mut Vec<u8>) {
        for (name, written) in &self.variables {
            if let Some(value) = variables.get(name) {
                separate(out);
                out.extend_from_slice(written);
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
}

/// Writes a comma unless an object was opened just before.
fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

/// The representations of a batch that were written so far, found by their text.
struct Sent {
    /// Where each is in the body.
    ranges: Vec<(usize, usize)>,
    /// Open addressing: the number of a representation plus one, or 0. Empty while a look at each of a
    /// few is faster.
    table: Vec<u32>,
    hasher: RandomState,
}

impl Sent {
    fn new(places: usize) -> Self {
        let table = if places > FEW {
            (places * 2).next_power_of_two()
        } else {
            0
        };
        Self {
            ranges: Vec::with_capacity(places),
            table: vec![0; table],
            hasher: RandomState::new(),
        }
    }

    fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The number of the representation that was just written from `start`, and whether it is new.
    fn number(&mut self, out: &[u8], start: usize) -> (u32, bool) {
        let text = &out[start..];
        let new = u32::try_from(self.ranges.len()).unwrap_or(u32::MAX);
        let is_same = |(from, to): &(usize, usize)| &out[*from..*to] == text;
        if self.table.is_empty() {
            let known = (0u32..).zip(&self.ranges).find(|(_, range)| is_same(range));
            if let Some((number, _)) = known {
                return (number, false);
            }
        } else {
            let mask = self.table.len() - 1;
            // What is cut off is not needed for a place in the table.
            let mut at = self.hasher.hash_one(text) as usize & mask;
            while let Some(number) = self.table[at].checked_sub(1) {
                if is_same(&self.ranges[number as usize]) {
                    return (number, false);
                }
                at = (at + 1) & mask;
            }
            self.table[at] = new + 1;
        }
        self.ranges.push((start, out.len()));
        (new, true)
    }
}

const FEW: usize = 8;
