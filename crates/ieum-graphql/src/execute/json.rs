//! Reads an answer's JSON into the tree.
//!
//! A reader of our own, because none that we know gives what the tree wants: strings and numbers as spans
//! of the text, names of fields as numbers of the plan, unknown fields read over but checked. It is
//! strict (RFC 8259: no trailing commas, no bare control characters, no half surrogates, UTF-8 only) and
//! its depth is bounded, because an answer is not trusted more than a request.
//!
//! Names come in the same order object after object, so the name that followed the last time is compared
//! first: one comparison instead of a hash.

use bytes::Bytes;

use super::keys::{Key, Keys};
use super::tree::{Field, Span, Tree, Value};

/// Why an answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not JSON, or not UTF-8.
    Malformed,
    /// Nested deeper than allowed.
    TooDeep,
    /// More values than one operation may hold.
    TooMany,
}

/// What a reader may spend, and what it keeps between answers.
pub(crate) struct Reader<'a> {
    keys: &'a Keys,
    depth: usize,
    values: usize,
    fields: Vec<Field>,
    elements: Vec<Value>,
    /// For each name, the one that followed it; for each name again, the first of its object.
    followed: Vec<Option<Key>>,
}

impl<'a> Reader<'a> {
    /// A reader for answers of at most `depth` levels, into a tree of at most `values` values.
    pub(crate) fn new(keys: &'a Keys, depth: usize, values: usize) -> Self {
        Self {
            keys,
            depth,
            values,
            fields: Vec::new(),
            elements: Vec::new(),
            followed: vec![None; 2 * keys.len() + 2],
        }
    }

    /// Reads an answer (one value, and white space around it) and appends its text to the tree.
    pub(crate) fn read(&mut self, tree: &mut Tree, answer: Bytes) -> Result<Value, Unreadable> {
        self.fields.clear();
        self.elements.clear();
        let base = tree.room_for(&answer).ok_or(Unreadable::TooMany)?;
        std::str::from_utf8(&answer).map_err(|_| Unreadable::Malformed)?;
        let root = self.keys.len();
        let depth = self.depth;
        let mut cursor = Cursor {
            text: &answer,
            at: 0,
            base,
            reader: self,
            tree,
        };
        cursor.white();
        let value = cursor.value(Some(root), depth)?;
        cursor.white();
        if cursor.at < answer.len() {
            return Err(Unreadable::Malformed);
        }
        tree.append(answer);
        Ok(value)
    }
}

struct Cursor<'t, 'r, 'k> {
    text: &'t [u8],
    at: usize,
    /// Where this answer begins in the text of the tree.
    base: u32,
    reader: &'r mut Reader<'k>,
    tree: &'r mut Tree,
}

impl Cursor<'_, '_, '_> {
    /// Reads a value. `under` is the number of the name that it is under; `None` if it is not kept.
    fn value(&mut self, under: Option<usize>, depth: usize) -> Result<Value, Unreadable> {
        let start = self.at;
        match self.peek() {
            b'"' => {
                self.string()?;
                Ok(Value::String(self.span(start)))
            }
            b'{' => self.object(under, depth),
            b'[' => self.list(under, depth),
            b't' => self.word(b"true", Value::Boolean(true)),
            b'f' => self.word(b"false", Value::Boolean(false)),
            b'n' => self.word(b"null", Value::Null),
            _ => {
                self.number()?;
                Ok(Value::Number(self.span(start)))
            }
        }
    }

    fn object(&mut self, under: Option<usize>, depth: usize) -> Result<Value, Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable::TooDeep)?;
        let start = self.at;
        let first = self.reader.fields.len();
        self.at += 1;
        self.white();
        if self.peek() == b'}' {
            self.at += 1;
        } else {
            // The place where the name that comes first in such an object is remembered.
            let mut slot = under.map(|under| under + self.reader.keys.len() + 1);
            loop {
                let key = self.name(slot)?;
                self.white();
                self.expect(b':')?;
                self.white();
                let value = self.value(under.and(key).map(Key::index), depth)?;
                if let (Some(_), Some(key)) = (under, key) {
                    self.room()?;
                    self.reader.fields.push((key, value));
                    if self.reader.fields.len() - first > self.reader.keys.len() {
                        // Some name is there twice; merging such objects would take the square of this.
                        return Err(Unreadable::Malformed);
                    }
                    slot = Some(key.index());
                }
                self.white();
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        if under.is_none() {
            return Ok(Value::Null);
        }
        let span = self.span(start);
        let object = self.tree.add_object(&self.reader.fields[first..], span);
        self.reader.fields.truncate(first);
        Ok(Value::Object(object))
    }

    fn list(&mut self, under: Option<usize>, depth: usize) -> Result<Value, Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable::TooDeep)?;
        let start = self.at;
        let first = self.reader.elements.len();
        self.at += 1;
        self.white();
        if self.peek() == b']' {
            self.at += 1;
        } else {
            loop {
                let value = self.value(under, depth)?;
                if under.is_some() {
                    self.room()?;
                    self.reader.elements.push(value);
                }
                self.white();
                if !self.more(b']')? {
                    break;
                }
            }
        }
        if under.is_none() {
            return Ok(Value::Null);
        }
        let span = self.span(start);
        let list = self.tree.add_list(&self.reader.elements[first..], span);
        self.reader.elements.truncate(first);
        Ok(Value::List(list))
    }

    /// Whether another member follows; the end of the object or list is consumed, and so is the comma.
    fn more(&mut self, end: u8) -> Result<bool, Unreadable> {
        let next = self.peek();
        self.at += 1;
        match next {
            b',' => {
                self.white();
                Ok(true)
            }
            next if next == end => Ok(false),
            _ => Err(Unreadable::Malformed),
        }
    }

    /// Reads a name and says which of the known ones it is. `slot` is where the guess is.
    fn name(&mut self, slot: Option<usize>) -> Result<Option<Key>, Unreadable> {
        let Some(slot) = slot else {
            // Inside of something that is not kept.
            self.string()?;
            return Ok(None);
        };
        if let Some(guess) = self.reader.followed[slot] {
            let name = self.reader.keys.name(guess).as_bytes();
            let end = self.at + 1 + name.len();
            // A known name has no escapes: equal bytes up to a quote are the whole name.
            if self.peek() == b'"'
                && self.text.get(self.at + 1..end) == Some(name)
                && self.text.get(end) == Some(&b'"')
            {
                self.at = end + 1;
                return Ok(Some(guess));
            }
        }
        let start = self.at;
        let escaped = self.string()?;
        let name = &self.text[start + 1..self.at - 1];
        let key = if escaped {
            let name: Option<String> = serde_json::from_slice(&self.text[start..self.at]).ok();
            name.and_then(|name| self.reader.keys.find(name.as_bytes()))
        } else {
            self.reader.keys.find(name)
        };
        if key.is_some() {
            self.reader.followed[slot] = key;
        }
        Ok(key)
    }

    /// Reads over a string and says whether it has escapes.
    fn string(&mut self) -> Result<bool, Unreadable> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain(&self.text[self.at..]);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(Unreadable::Malformed),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Unreadable> {
        self.at += 2;
        match self.text.get(self.at - 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.hex()? {
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.hex()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Unreadable::Malformed),
                    }
                }
                0xDC00..=0xDFFF => Err(Unreadable::Malformed),
                _ => Ok(()),
            },
            _ => Err(Unreadable::Malformed),
        }
    }

    fn hex(&mut self) -> Result<u16, Unreadable> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .ok_or(Unreadable::Malformed)?;
        self.at += 4;
        digits.iter().try_fold(0u16, |code, digit| {
            let digit = char::from(*digit)
                .to_digit(16)
                .ok_or(Unreadable::Malformed)?;
            // Four digits of four bits each fill the sixteen exactly.
            Ok(code << 4 | digit as u16)
        })
    }

    fn number(&mut self) -> Result<(), Unreadable> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Unreadable::Malformed)
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, Unreadable> {
        let end = self.at + word.len();
        if self.text.get(self.at..end) == Some(word) {
            self.at = end;
            Ok(value)
        } else {
            Err(Unreadable::Malformed)
        }
    }

    /// Refuses another value if there are enough.
    fn room(&self) -> Result<(), Unreadable> {
        let open = self.reader.fields.len() + self.reader.elements.len();
        if self.tree.size() + open < self.reader.values {
            Ok(())
        } else {
            Err(Unreadable::TooMany)
        }
    }

    /// The byte that comes next; 0 at the end, which no rule accepts.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unreadable> {
        if self.peek() == byte {
            self.at += 1;
            Ok(())
        } else {
            Err(Unreadable::Malformed)
        }
    }

    fn white(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The span from `start` to here. The tree has room for the whole answer, so that nothing wraps.
    fn span(&self, start: usize) -> Span {
        Span {
            start: self.base + start as u32,
            end: self.base + self.at as u32,
        }
    }
}

/// How many bytes there are before a quote, a backslash or a control character, eight at a time.
fn plain(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks::<8>();
    for (count, chunk) in chunks.iter().enumerate() {
        let stops = stops(u64::from_le_bytes(*chunk));
        if stops != 0 {
            return count * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let last = rest
        .iter()
        .take_while(|byte| !matches!(**byte, b'"' | b'\\' | 0..0x20));
    text.len() - rest.len() + last.count()
}

/// The highest bit of the lowest byte that ends a run of plain characters. (Bits above it may be wrong.)
fn stops(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(LOW) & !word;
    let quote = zero(word ^ (LOW * b'"' as u64));
    let backslash = zero(word ^ (LOW * b'\\' as u64));
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    (quote | backslash | control) & HIGH
}
