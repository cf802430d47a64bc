//! The names of fields that a plan knows, as small numbers.
//!
//! Whatever the executor looks for in an answer (response keys, key fields, `__typename`) is known when
//! the plan is compiled. Objects of the tree keep the number of a name; a field whose name nobody knows
//! is read over and not kept.

use std::collections::HashMap;

/// A name that the plan knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u32);

impl Key {
    pub(crate) const TYPENAME: Self = Self(0);
    pub(crate) const DATA: Self = Self(1);
    pub(crate) const ERRORS: Self = Self(2);
    pub(crate) const MESSAGE: Self = Self(3);
    pub(crate) const PATH: Self = Self(4);
    pub(crate) const EXTENSIONS: Self = Self(5);
    pub(crate) const CODE: Self = Self(6);

    /// Its place in a table that has one for each name.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Collects names while a plan is compiled.
pub(crate) struct Interner {
    names: Vec<Box<str>>,
    known: HashMap<Box<str>, Key>,
}

/// The names of one plan.
#[derive(Debug)]
pub(crate) struct Keys {
    names: Vec<Box<str>>,
    /// Open addressing: a key's number plus one, or 0; as many places as a power of two says.
    table: Box<[u32]>,
}

impl Interner {
    pub(crate) fn new() -> Self {
        let mut interner = Self {
            names: Vec::new(),
            known: HashMap::new(),
        };
        // In the order of the constants of `Key`.
        for name in [
            "__typename",
            "data",
            "errors",
            "message",
            "path",
            "extensions",
            "code",
        ] {
            interner.key(name);
        }
        interner
    }

    pub(crate) fn key(&mut self, name: &str) -> Key {
        if let Some(key) = self.known.get(name) {
            return *key;
        }
        // A plan has thousands of names at most: its text is bounded.
        let key = Key(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.into());
        self.known.insert(name.into(), key);
        key
    }

    pub(crate) fn finish(self) -> Keys {
        let places = (self.names.len() * 2).next_power_of_two();
        let mut table = vec![0u32; places].into_boxed_slice();
        for (number, name) in (1u32..).zip(&self.names) {
            let mut at = hash(name.as_bytes()) & (places - 1);
            while table[at] != 0 {
                at = (at + 1) & (places - 1);
            }
            table[at] = number;
        }
        Keys {
            names: self.names,
            table,
        }
    }
}

impl Keys {
    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name(&self, key: Key) -> &str {
        &self.names[key.index()]
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Key> {
        let mask = self.table.len() - 1;
        let mut at = hash(name) & mask;
        loop {
            let key = Key(self.table[at].checked_sub(1)?);
            if self.names[key.index()].as_bytes() == name {
                return Some(key);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Names are short: their first and last eight bytes and their length tell them apart.
fn hash(name: &[u8]) -> usize {
    let head = name.first_chunk::<8>().map_or_else(
        || {
            name.iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte))
        },
        |chunk| u64::from_le_bytes(*chunk),
    );
    let tail = name
        .last_chunk::<8>()
        .map_or(0, |chunk| u64::from_le_bytes(*chunk));
    let mixed =
        (head ^ tail.rotate_left(23) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let mut interner = Interner::new();
        let names: Vec<String> = (0..2_000)
            .map(|n| format!("field{}{n}", "x".repeat(n % 17)))
            .collect();
        let keys: Vec<Key> = names.iter().map(|name| interner.key(name)).collect();
        let table = interner.finish();
        for (name, key) in names.iter().zip(keys) {
            assert_eq!(table.find(name.as_bytes()), Some(key), "{name}");
            assert_eq!(table.name(key), name);
        }
        assert_eq!(table.find(b"field"), None);
        assert_eq!(table.find(b""), None);
        assert_eq!(table.find(b"__typename"), Some(Key::TYPENAME));
        assert_eq!(table.find(b"code"), Some(Key::CODE));
    }
}
