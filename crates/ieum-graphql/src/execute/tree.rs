//! The data of one execution: what the subgraphs answered, merged.
//!
//! **Two representations were weighed.** An owned tree (`serde_json::Value`) allocates for every string
//! and key, decodes escapes only to encode them again, and rounds numbers. A borrowing tree over each
//! answer keeps the text as it came, but then every value must say which answer it is from, and the tree
//! cannot be kept beside what it borrows from. Here all answers are appended to *one text* (a copy of a
//! few KiB costs less than one allocation of a string each), and a scalar is a *span* of it: start and
//! end, quotes and escapes included. Writing it to the client is one copy of bytes; `1.0` stays `1.0`
//! and a number of 30 digits survives.
//!
//! Objects and lists are ranges in two shared arrays (fields and elements), so that reading a whole
//! answer allocates a handful of times however many values it has. They keep their spans too: a custom
//! scalar may be an object, and is then answered as it came.
//!
//! Merging never moves more than the fields of one object: an object that grows gets a new range at the
//! end of the array. An entity that belongs to several places is copied for all but one, so that what is
//! fetched later for one place does not show at another; its scalars stay spans.

use bytes::Bytes;

use super::keys::Key;

/// A value in the tree: 12 bytes, copied freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(Span),
    /// With its quotes.
    String(Span),
    List(ListId),
    Object(ObjectId),
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// An object of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectId(u32);

/// A list of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListId(u32);

/// A field of an object: 16 bytes.
pub(crate) type Field = (Key, Value);

/// Everything that was answered so far.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    text: Vec<u8>,
    objects: Vec<Range>,
    lists: Vec<Range>,
    fields: Vec<Field>,
    elements: Vec<Value>,
    /// Empty between calls: fields on their way from one object to another.
    moving: Vec<Field>,
}

/// Where the fields of an object or the elements of a list are, and the text that they came from.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    first: u32,
    len: u32,
    span: Span,
}

impl Range {
    fn indexes(self) -> std::ops::Range<usize> {
        let first = self.first as usize;
        first..first + self.len as usize
    }
}

impl Tree {
    /// An empty tree with room for the values of an answer of usual size.
    pub(crate) fn new() -> Self {
        Self {
            objects: Vec::with_capacity(USUAL),
            fields: Vec::with_capacity(2 * USUAL),
            elements: Vec::with_capacity(USUAL),
            ..Self::default()
        }
    }

    /// Where the next answer's text begins; `None` if it has no room below 4 GiB.
    pub(crate) fn room_for(&self, answer: &[u8]) -> Option<u32> {
        u32::try_from(self.text.len().checked_add(answer.len())?).ok()?;
        u32::try_from(self.text.len()).ok()
    }

    /// Appends an answer's text; there is room for it.
    pub(crate) fn append(&mut self, answer: Bytes) {
        if self.text.is_empty() {
            // No copy if nobody else holds the answer, which is the usual case.
            self.text = answer.into();
        } else {
            self.text.extend_from_slice(&answer);
        }
    }

    /// A string of ours, given as JSON. What has no room is empty.
    pub(crate) fn literal(&mut self, json: &[u8]) -> Value {
        match (self.room_for(json), u32::try_from(json.len())) {
            (Some(start), Ok(len)) => {
                self.text.extend_from_slice(json);
                let end = start + len;
                Value::String(Span { start, end })
            }
            _ => Value::Null,
        }
    }

    /// How many fields and elements there are, those of ranges that were left included.
    pub(crate) fn size(&self) -> usize {
        self.fields.len() + self.elements.len()
    }

    pub(crate) fn add_object(&mut self, fields: &[Field], span: Span) -> ObjectId {
        let first = number(self.fields.len());
        self.fields.extend_from_slice(fields);
        let len = number(fields.len());
        self.objects.push(Range { first, len, span });
        ObjectId(number(self.objects.len() - 1))
    }

    pub(crate) fn add_list(&mut self, elements: &[Value], span: Span) -> ListId {
        let first = number(self.elements.len());
        self.elements.extend_from_slice(elements);
        let len = number(elements.len());
        self.lists.push(Range { first, len, span });
        ListId(number(self.lists.len() - 1))
    }

    /// The bytes of all answers.
    pub(crate) fn text_len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn text(&self, span: Span) -> &[u8] {
        &self.text[span.start as usize..span.end as usize]
    }

    /// A value as it came, whatever it is.
    pub(crate) fn raw(&self, value: Value) -> &[u8] {
        match value {
            Value::Null => b"null",
            Value::Boolean(true) => b"true",
            Value::Boolean(false) => b"false",
            Value::Number(span) | Value::String(span) => self.text(span),
            Value::List(list) => self.text(self.lists[list.0 as usize].span),
            Value::Object(object) => self.text(self.objects[object.0 as usize].span),
        }
    }

    pub(crate) fn fields(&self, object: ObjectId) -> &[Field] {
        &self.fields[self.objects[object.0 as usize].indexes()]
    }

    pub(crate) fn elements(&self, list: ListId) -> &[Value] {
        &self.elements[self.lists[list.0 as usize].indexes()]
    }

    /// The value under a key; the first if an answer had two.
    pub(crate) fn get(&self, object: ObjectId, key: Key) -> Option<Value> {
        self.fields(object)
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| *value)
    }

    /// The value of `__typename` without its quotes.
    pub(crate) fn typename(&self, object: ObjectId) -> Option<&[u8]> {
        match self.get(object, Key::TYPENAME)? {
            Value::String(span) => self.text(span).get(1..)?.split_last().map(|(_, name)| name),
            _ => None,
        }
    }

    /// Gives a field another name.
    pub(crate) fn rename(&mut self, object: ObjectId, from: Key, to: Key) {
        let range = self.objects[object.0 as usize].indexes();
        for (key, _) in &mut self.fields[range] {
            if *key == from {
                *key = to;
            }
        }
    }

    /// Replaces the value of a field that is there.
    pub(crate) fn set(&mut self, object: ObjectId, key: Key, to: Value) {
        let range = self.objects[object.0 as usize].indexes();
        for (known, value) in &mut self.fields[range] {
            if *known == key {
                *value = to;
            }
        }
    }

    /// Merges the fields of one object into another. `keep` says that `from` has more places to go to
    /// and must stay as it is.
    ///
    /// Null never replaces a value, objects and lists of one length are merged in depth, and otherwise
    /// what came later wins.
    pub(crate) fn merge(&mut self, into: ObjectId, from: ObjectId, keep: bool) {
        if into == from {
            return;
        }
        let source = self.objects[from.0 as usize];
        let target = self.objects[into.0 as usize];
        if target.len == 0 && !keep {
            self.objects[into.0 as usize] = source;
            return;
        }
        let mut added = 0;
        for at in source.indexes() {
            let (key, value) = self.fields[at];
            let known = target.indexes().find(|known| self.fields[*known].0 == key);
            match known {
                Some(known) => {
                    let merged = self.merge_value(self.fields[known].1, value, keep);
                    self.fields[known].1 = merged;
                }
                None => added += 1,
            }
        }
        if added > 0 {
            self.grow(into, source, keep);
        }
    }

    /// Appends the fields of `source` that `into` does not have.
    fn grow(&mut self, into: ObjectId, source: Range, keep: bool) {
        let target = self.objects[into.0 as usize];
        let known = target.indexes();
        let mut missing = std::mem::take(&mut self.moving);
        for at in source.indexes() {
            let (key, value) = self.fields[at];
            if self.fields[known.clone()]
                .iter()
                .all(|(has, _)| *has != key)
            {
                missing.push((key, value));
            }
        }
        if keep {
            for (_, value) in &mut missing {
                *value = self.copy(*value);
            }
        }
        let mut first = target.first;
        if known.end != self.fields.len() {
            first = number(self.fields.len());
            self.fields.extend_from_within(known);
        }
        let len = target.len + number(missing.len());
        self.fields.append(&mut missing);
        self.moving = missing;
        let range = &mut self.objects[into.0 as usize];
        (range.first, range.len) = (first, len);
    }

    fn merge_value(&mut self, into: Value, from: Value, keep: bool) -> Value {
        match (into, from) {
            (_, Value::Null) => into,
            (Value::Object(target), Value::Object(source)) => {
                self.merge(target, source, keep);
                into
            }
            (Value::List(target), Value::List(source)) => {
                let (to, of) = (self.lists[target.0 as usize], self.lists[source.0 as usize]);
                if to.len != of.len {
                    return self.kept(from, keep);
                }
                for (to, of) in to.indexes().zip(of.indexes()) {
                    let merged = self.merge_value(self.elements[to], self.elements[of], keep);
                    self.elements[to] = merged;
                }
                into
            }
            _ => self.kept(from, keep),
        }
    }

    fn kept(&mut self, value: Value, keep: bool) -> Value {
        if keep { self.copy(value) } else { value }
    }

    /// A copy that shares no object and no list with the original.
    fn copy(&mut self, value: Value) -> Value {
        match value {
            Value::Object(object) => {
                let range = self.objects[object.0 as usize];
                let mut fields: Vec<Field> = self.fields[range.indexes()].to_vec();
                for (_, value) in &mut fields {
                    *value = self.copy(*value);
                }
                Value::Object(self.add_object(&fields, range.span))
            }
            Value::List(list) => {
                let range = self.lists[list.0 as usize];
                let mut elements: Vec<Value> = self.elements[range.indexes()].to_vec();
                for value in &mut elements {
                    *value = self.copy(*value);
                }
                Value::List(self.add_list(&elements, range.span))
            }
            scalar => scalar,
        }
    }
}

/// An index of the arrays. The text has less than 4 GiB, and no value has less than one byte of it, so
/// this is exact until copies have made the tree larger than its limit.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

const USUAL: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_takes_sixteen_bytes() {
        assert_eq!(size_of::<Value>(), 12);
        assert_eq!(size_of::<Field>(), 16);
    }
}
