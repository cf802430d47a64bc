//! Header fields, whose names have no case.

/// Fields in the order of the file, each with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<String>)>);

impl Headers {
    /// The values of a field; `None` if it is not there.
    pub fn get(&self, name: &str) -> Option<&Vec<String>> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, values)| values)
    }

    /// Adds a value to a field. Fields that are lists by definition are split at commas.
    pub fn add(&mut self, name: &str, value: &str) {
        let values = split(name, value);
        match self
            .0
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            Some((_, known)) => known.extend(values),
            None => self.0.push((name.to_owned(), values)),
        }
    }

    /// Replaces a field.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.add(name, value);
    }

    /// Name and values of each field.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.0.iter().map(|(name, values)| (name, values))
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields of a message on the wire; values that are no text are left out.
    pub fn of_wire(headers: &http::HeaderMap) -> Self {
        let mut known = Self::default();
        for (name, value) in headers {
            if let Ok(value) = value.to_str() {
                known.add(name.as_str(), value);
            }
        }
        known
    }
}

/// Fields whose values are lists (RFC 9110); a comma in another field is just a comma.
const LISTS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
    "access-control-request-headers",
    "allow",
    "cache-control",
    "if-match",
    "if-none-match",
    "vary",
];

fn split(name: &str, value: &str) -> Vec<String> {
    if LISTS.contains(&name.to_lowercase().as_str()) {
        value
            .split(',')
            .map(|part| part.trim().to_owned())
            .collect()
    } else {
        vec![value.trim().to_owned()]
    }
}
