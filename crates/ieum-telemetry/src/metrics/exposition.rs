//! The text format of Prometheus (OpenMetrics 1.0), read strictly.
//!
//! Every part of a process writes its metrics in this format; reading it back is how they are
//! exported, whoever wrote them, and how tests find out whether it is correct.

use std::collections::HashSet;
use std::fmt;

pub use super::otlp::to_otlp;

/// A metric family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, without the suffixes of its samples.
    pub name: String,
    /// What it is.
    pub help: String,
    /// Its unit; empty if it has none.
    pub unit: String,
    /// How its samples are to be read.
    pub kind: Kind,
    /// Its samples, in order.
    pub samples: Vec<Sample>,
}

/// The kinds of families that are written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows.
    Counter,
    /// Counts by buckets.
    Histogram,
}

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What follows the family's name: `_total`, `_bucket`, `_sum`, `_count` or nothing.
    pub suffix: String,
    /// The labels, in order.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// Why a text is not in the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    line: usize,
    why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ParseError {}

/// Reads a whole exposition.
///
/// # Errors
/// If a line is malformed, a family has no type, a sample does not belong to the family above it,
/// has labels twice or is there twice, a family is not in one piece, or the end is missing.
pub fn parse(text: &str) -> Result<Vec<Family>, ParseError> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let read = reader.line(line);
        read.map_err(|why| ParseError {
            line: index + 1,
            why,
        })?;
    }
    let end = |why: &str| ParseError {
        line: text.lines().count(),
        why: why.to_owned(),
    };
    if !reader.ended || !text.ends_with('\n') {
        return Err(end("it does not end with `# EOF`"));
    }
    Ok(reader.families)
}

#[derive(Default)]
struct Reader {
    families: Vec<Family>,
    names: HashSet<String>,
    /// The help that came before its type.
    help: Option<(String, String)>,
    seen: HashSet<String>,
    ended: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if self.ended {
            return Err("something follows `# EOF`".to_owned());
        }
        if line == "# EOF" {
            self.ended = true;
            return Ok(());
        }
        match line.strip_prefix("# ") {
            Some(comment) => self.comment(comment),
            None => self.sample(line),
        }
    }

    fn comment(&mut self, comment: &str) -> Result<(), String> {
        let (what, rest) = comment.split_once(' ').ok_or("a comment without a name")?;
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        if !is_name(name) {
            return Err(format!("`{name}` is no name of a metric"));
        }
        match what {
            "HELP" => {
                let help = unescape(text)?;
                match self
                    .families
                    .last_mut()
                    .filter(|family| family.name == name)
                {
                    Some(family) => family.help = help,
                    None => self.help = Some((name.to_owned(), help)),
                }
                Ok(())
            }
            "TYPE" => self.begin(name, text),
            "UNIT" => {
                let family = self
                    .families
                    .last_mut()
                    .filter(|family| family.name == name);
                family.ok_or("a unit before its type")?.unit = text.to_owned();
                if name.ends_with(&format!("_{text}")) {
                    Ok(())
                } else {
                    Err(format!("`{name}` does not end with its unit `{text}`"))
                }
            }
            _ => Err(format!("`# {what}` is neither HELP nor TYPE nor UNIT")),
        }
    }

    fn begin(&mut self, name: &str, kind: &str) -> Result<(), String> {
        let kind = match kind {
            "gauge" => Kind::Gauge,
            "counter" => Kind::Counter,
            "histogram" => Kind::Histogram,
            other => return Err(format!("`{other}` is no type that is written here")),
        };
        if !self.names.insert(name.to_owned()) {
            return Err(format!("the family `{name}` is there twice"));
        }
        let help = self.help.take().filter(|(named, _)| named == name);
        self.families.push(Family {
            name: name.to_owned(),
            help: help.map(|(_, help)| help).unwrap_or_default(),
            unit: String::new(),
            kind,
            samples: Vec::new(),
        });
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("a sample without a value")?;
        let (name, rest) = line.split_at(end);
        let family = self.families.last_mut().ok_or("a sample without a type")?;
        let suffix = name.strip_prefix(&*family.name);
        let suffix =
            suffix.ok_or_else(|| format!("`{name}` does not belong to `{}`", family.name))?;
        let fits = match family.kind {
            Kind::Gauge => suffix.is_empty(),
            Kind::Counter => matches!(suffix, "_total" | "_created"),
            Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count" | "_created"),
        };
        if !fits {
            return Err(format!("`{name}` is no sample of a {:?}", family.kind));
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
        // An exemplar or a time may follow.
        let value = value.split(' ').next().unwrap_or_default();
        let value = number(value).ok_or_else(|| format!("`{value}` is no number"))?;
        if family.kind == Kind::Counter && (value.is_nan() || value < 0.0) {
            return Err("a counter cannot be negative".to_owned());
        }
        if !self.seen.insert(format!("{name}{labels:?}")) {
            return Err(format!("`{name}` is there twice with the same labels"));
        }
        family.samples.push(Sample {
            suffix: suffix.to_owned(),
            labels,
            value,
        });
        Ok(())
    }
}

type Labels = Vec<(String, String)>;

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, value) = rest.split_once("=\"").ok_or("a label without a value")?;
        let known = labels.iter().any(|(known, _)| known == name);
        if !is_name(name) || name.contains(':') || known {
            return Err(format!("`{name}` is no label, or there twice"));
        }
        let end = closing_quote(value).ok_or("a label's value without an end")?;
        labels.push((name.to_owned(), unescape(&value[..end])?));
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) if !more.starts_with('}') => rest = more,
            Some(_) => return Err("a comma before the closing brace".to_owned()),
            None if rest.starts_with('}') => {}
            None => return Err("neither a comma nor the end after a label".to_owned()),
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(same @ ('\\' | '"')) => same,
                _ => return Err("an unknown escape".to_owned()),
            },
            other => other,
        });
    }
    Ok(plain)
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
# HELP api_requests Requests \\\"answered\\\".
# TYPE api_requests counter
api_requests_total{method=\"GET\",path=\"/a\\\\b\\n\"} 3
# HELP busy How many.
# TYPE busy gauge
busy -1.5
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_sum 0.5
took_seconds_count 2
took_seconds_bucket{le=\"0.1\"} 1
took_seconds_bucket{le=\"+Inf\"} 2 # {trace_id=\"x\"} 0.4
# EOF
";

    #[test]
    fn reads_what_is_correct() {
        let families = parse(GOOD).expect("correct");
        let [requests, busy, took] = families.as_slice() else {
            panic!("three families: {families:?}");
        };
        assert_eq!(requests.help, "Requests \"answered\".");
        assert_eq!(requests.samples[0].labels[1].1, "/a\\b\n");
        assert_eq!(busy.samples[0].value, -1.5);
        assert_eq!((took.kind, &*took.unit), (Kind::Histogram, "seconds"));
        assert_eq!(took.samples.len(), 4);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (from, to, expected) in [
            ("# EOF\n", "", "line 12: it does not end"),
            ("busy -1.5", "busy", "line 6: a sample without a value"),
            ("busy -1.5", "idle 1", "line 6: `idle` does not belong"),
            ("busy -1.5", "busy x", "line 6: `x` is no number"),
            (
                "busy -1.5",
                "busy 1\nbusy 1",
                "line 7: `busy` is there twice",
            ),
            ("_total{", "{", "line 3: `api_requests` is no sample"),
            ("gauge", "summary", "line 5: `summary` is no type"),
            ("TYPE busy", "TYPE api_requests", "line 5: the family"),
            ("path=", "method=", "line 3: `method` is no label"),
            ("\\n\"", "\\t\"", "line 3: an unknown escape"),
            (
                "_seconds seconds",
                "_seconds bytes",
                "line 8: `took_seconds` does not end",
            ),
            ("} 3", "} -3", "line 3: a counter cannot be negative"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let text = GOOD.replacen(from, to, 1);
            let error = parse(&text).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{expected}: {error}");
        }
    }
}
