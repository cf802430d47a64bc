//! Formats of dates and times, as Pact files write them: those of Java's `DateTimeFormatter`.
//!
//! A format is used both ways: to judge a text and to write the present moment. Names of months and
//! days are English. Names of time zones are not known; offsets are.

use jiff::Zoned;

use crate::error::{Result, invalid};

/// A letter and how often it is written, or text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Letter(char, usize),
}

/// A format.
#[derive(Clone, Debug)]
pub(crate) struct Format(Vec<Part>);

const LETTERS: &str = "GuyYMLdDEeaHhKkmsSAnNXxZO";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// A letter that is none of the format's, or a quote that is not closed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parts: Vec<Part> = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' => parts
                    .push(Part::Text(quoted(&mut chars).ok_or_else(|| {
                        invalid(format!("`{text}`: a quote is not closed"))
                    })?)),
                c if LETTERS.contains(c) => match parts.last_mut() {
                    Some(Part::Letter(last, count)) if *last == c => *count += 1,
                    _ => parts.push(Part::Letter(c, 1)),
                },
                c if c.is_ascii_alphanumeric() => {
                    return Err(invalid(format!("`{text}`: `{c}` is not known in a format")));
                }
                c => parts.push(Part::Text(c.to_string())),
            }
        }
        Ok(Self(parts))
    }

    /// Whether `text` is a moment in this format: every part is there, each number in its range,
    /// and the day exists in its month.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let mut date = Date::default();
        let mut rest = text;
        for part in &self.0 {
            let after = match part {
                Part::Text(literal) => rest.strip_prefix(literal.as_str()),
                Part::Letter(letter, count) => take(*letter, *count, rest, &mut date),
            };
            let Some(after) = after else { return false };
            rest = after;
        }
        rest.is_empty() && date.exists()
    }

    /// Writes a moment.
    pub(crate) fn write(&self, now: &Zoned) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(literal) => literal.clone(),
            Part::Letter(letter, count) => write(*letter, *count, now),
        });
        parts.collect()
    }
}

/// What is within quotes; a doubled quote stands for one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    if chars.next_if_eq(&'\'').is_some() {
        return Some("'".to_owned());
    }
    let mut text = String::new();
    loop {
        match chars.next()? {
            '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' => return Some(text),
            c => text.push(c),
        }
    }
}

/// The parts of a date that were read.
#[derive(Default)]
struct Date {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
}

impl Date {
    fn exists(&self) -> bool {
        match (self.month, self.day) {
            // Without a year, one that does not leap.
            (Some(month), Some(day)) => {
                jiff::civil::Date::new(self.year.unwrap_or(2001), month, day).is_ok()
            }
            _ => true,
        }
    }
}

/// Takes what `letter` stands for from the front; `None` if it is not there.
fn take<'a>(letter: char, count: usize, text: &'a str, date: &mut Date) -> Option<&'a str> {
    let small = |least: i8, most: i8| -> Option<(i8, &'a str)> {
        let (digits, rest) = digits(text, 2)?;
        let number: i8 = digits.parse().ok()?;
        (least..=most).contains(&number).then_some((number, rest))
    };
    match letter {
        'u' | 'y' | 'Y' => {
            let (digits, rest) = digits(text, count)?;
            date.year = Some(digits.parse().ok()?);
            Some(rest)
        }
        'M' | 'L' if count > 2 => {
            let (month, rest) = name(&MONTHS, count, text)?;
            date.month = i8::try_from(month + 1).ok();
            Some(rest)
        }
        'M' | 'L' => {
            let (month, rest) = small(1, 12)?;
            date.month = Some(month);
            Some(rest)
        }
        'd' => {
            let (day, rest) = small(1, 31)?;
            date.day = Some(day);
            Some(rest)
        }
        'D' => {
            let (digits, rest) = digits(text, 3)?;
            (1..=366)
                .contains(&digits.parse::<u16>().ok()?)
                .then_some(rest)
        }
        'E' => name(&DAYS, count, text).map(|(_, rest)| rest),
        'e' => small(1, 7).map(|(_, rest)| rest),
        'H' => small(0, 23).map(|(_, rest)| rest),
        'h' => small(1, 12).map(|(_, rest)| rest),
        'K' => small(0, 11).map(|(_, rest)| rest),
        'k' => small(1, 24).map(|(_, rest)| rest),
        'm' => small(0, 59).map(|(_, rest)| rest),
        's' => small(0, 60).map(|(_, rest)| rest),
        'S' => digits(text, count).map(|(_, rest)| rest),
        'A' | 'n' | 'N' => digits(text, usize::MAX).map(|(_, rest)| rest),
        'a' => one_of(&["am", "pm"], text),
        'G' => one_of(&["ad", "bc"], text),
        'X' => text
            .strip_prefix('Z')
            .or_else(|| offset(letter, count, text)),
        'x' | 'Z' => offset(letter, count, text),
        'O' => {
            let rest = text
                .strip_prefix("GMT")
                .or_else(|| text.strip_prefix("UTC"))?;
            offset(letter, 5, rest)
        }
        _ => None,
    }
}

/// One to `most` digits from the front.
fn digits(text: &str, most: usize) -> Option<(&str, &str)> {
    let found = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    (found > 0).then(|| text.split_at(found))
}

/// One of `names` from the front, cut to three letters unless it is written in full.
fn name<'a>(names: &[&str], count: usize, text: &'a str) -> Option<(usize, &'a str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if count > 3 { name } else { &name[..3] };
        let head = text.get(..name.len())?;
        let same = head.eq_ignore_ascii_case(name);
        same.then(|| (index, &text[name.len()..]))
    })
}

fn one_of<'a>(words: &[&str], text: &'a str) -> Option<&'a str> {
    let head = text.get(..2)?;
    let known = words.iter().any(|word| head.eq_ignore_ascii_case(word));
    known.then(|| &text[2..])
}

/// `+09`, `+0900`, `+09:00` or `+09:00:00`, by how often the letter is written.
fn offset(letter: char, count: usize, text: &str) -> Option<&str> {
    let two = |text: &str, most: u8| -> Option<usize> {
        let pair = text
            .get(..2)
            .filter(|pair| pair.bytes().all(|b| b.is_ascii_digit()))?;
        (pair.parse::<u8>().ok()? <= most).then_some(2)
    };
    let rest = text.strip_prefix(['+', '-'])?;
    let rest = &rest[two(rest, 18)?..];
    let colon = match (letter, count) {
        ('Z', 1..=3) | ('x' | 'X', 2 | 4) => false,
        ('x' | 'X', 1) => return Some(two(rest, 59).map_or(rest, |at| &rest[at..])),
        _ => true,
    };
    let separated = |rest| -> Option<&str> {
        if colon {
            str::strip_prefix(rest, ':')
        } else {
            Some(rest)
        }
    };
    let rest = separated(rest)?;
    let rest = &rest[two(rest, 59)?..];
    if count < 4 {
        return Some(rest);
    }
    let seconds = separated(rest).and_then(|seconds| Some(&seconds[two(seconds, 59)?..]));
    Some(seconds.unwrap_or(rest))
}

/// What `letter` stands for in `now`.
fn write(letter: char, count: usize, now: &Zoned) -> String {
    let padded = |number: i64| format!("{number:0count$}");
    let hour = i64::from(now.hour());
    let named = |name: &str| name[..if count > 3 { name.len() } else { 3 }].to_owned();
    let index = |number: i8| usize::try_from(number - 1).unwrap_or(0);
    match letter {
        'G' => "AD".into(),
        'u' | 'y' | 'Y' if count == 2 => format!("{:02}", now.year() % 100),
        'u' | 'y' | 'Y' => padded(now.year().into()),
        'M' | 'L' if count > 2 => named(MONTHS[index(now.month())]),
        'M' | 'L' => padded(now.month().into()),
        'd' => padded(now.day().into()),
        'D' => padded(now.day_of_year().into()),
        'E' => named(DAYS[index(now.weekday().to_monday_one_offset())]),
        'e' => padded(now.weekday().to_monday_one_offset().into()),
        'a' => if hour < 12 { "AM" } else { "PM" }.into(),
        'H' => padded(hour),
        'h' => padded(if hour % 12 == 0 { 12 } else { hour % 12 }),
        'K' => padded(hour % 12),
        'k' => padded(if hour == 0 { 24 } else { hour }),
        'm' => padded(now.minute().into()),
        's' => padded(now.second().into()),
        'S' => format!("{:09}", now.subsec_nanosecond())
            .chars()
            .take(count)
            .collect(),
        'n' => now.subsec_nanosecond().to_string(),
        'X' if now.offset().is_zero() => "Z".into(),
        _ => written_offset(letter, count, now.offset().seconds()),
    }
}

fn written_offset(letter: char, count: usize, seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3_600, seconds.abs() / 60 % 60);
    match (letter, count) {
        ('O', _) => format!("GMT{sign}{hours:02}:{minutes:02}"),
        ('x' | 'X', 1) if minutes == 0 => format!("{sign}{hours:02}"),
        ('Z', 1..=3) | ('x' | 'X', 1 | 2 | 4) => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, text: &str) -> bool {
        Format::parse(format).expect("a format").fits(text)
    }

    #[test]
    fn a_moment_has_every_part_in_its_range() {
        let iso = "yyyy-MM-dd'T'HH:mm:ssXXX";
        for text in [
            "2026-11-21T16:30:00Z",
            "2026-11-21T16:30:00+09:00",
            "2024-02-29T00:00:60Z",
        ] {
            assert!(check(iso, text), "{text}");
        }
        for text in [
            "2026-11-21",
            "2026-11-21T16:30:00",
            "2026-13-21T16:30:00Z",
            "2026-02-29T16:30:00Z",
            "2026-11-21T24:30:00Z",
            "2026-11-21T16:30:00Z ",
            "2026-11-21T16:30:00+0900",
        ] {
            assert!(!check(iso, text), "{text}");
        }
        assert!(check("EEE, d MMM yyyy", "Sat, 21 Nov 2026"));
        assert!(check("HH:mm:ss.SSS", "16:30:00.123"));
        assert!(!check("HH:mm", "16:60"));
        assert!(check("yyyy''MM", "2026'11"));
        assert!(Format::parse("bb").is_err() && Format::parse("'a").is_err());
    }

    #[test]
    fn what_a_format_writes_it_reads() {
        let offset = jiff::tz::Offset::from_hours(9).expect("an offset");
        let now = jiff::Timestamp::from_millisecond(1_795_246_205_125).expect("a moment");
        let now = now.to_zoned(jiff::tz::TimeZone::fixed(offset));
        for format in [
            "yyyy-MM-dd'T'HH:mm:ssXXX",
            "yyyy-MM-dd HH:mm:ss.SSSZ",
            "EEEE, d MMMM yyyy hh:mm a",
            "X",
        ] {
            let format = Format::parse(format).expect("a format");
            assert!(format.fits(&format.write(&now)), "{}", format.write(&now));
        }
    }
}
