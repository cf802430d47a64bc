//! Canaries, and the search for them.
//!
//! Each place where a secret is put gets a canary of its own, so that a leak names its place. What was
//! written is searched for each canary plain, in Base64, percent-encoded and in hexadecimal.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// The canaries of one run.
#[derive(Default)]
pub(super) struct Canaries {
    planted: Vec<Canary>,
}

/// One secret, and where it was put.
struct Canary {
    place: String,
    kind: Kind,
    needles: Vec<Needle>,
}

/// Where a canary must not be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nowhere.
    Secret,
    /// Everywhere but in the store of what customers chose to keep: see docs/reference/secrets.md.
    Data,
}

/// One form of a canary.
struct Needle {
    form: &'static str,
    text: String,
    /// Which case it has does not matter.
    folded: bool,
}

/// What was written, by whom.
pub(super) struct Written {
    pub(super) by: String,
    /// As it is, but Base64's two alphabets are one.
    raw: String,
    folded: String,
    /// True for the stores and the answers that show what customers chose to keep.
    holds_data: bool,
}

impl Canaries {
    /// How many places have one.
    pub(super) fn count(&self) -> usize {
        self.planted.len()
    }

    /// A secret for `place`: text that occurs nowhere else.
    pub(super) fn secret(&mut self, place: &str) -> String {
        self.word(place, Kind::Secret)
    }

    /// Text for `place` that a customer chose to store: it may be in the store and nowhere else.
    pub(super) fn data(&mut self, place: &str) -> String {
        self.word(place, Kind::Data)
    }

    /// A card number for `place`, with the right check digit.
    pub(super) fn card(&mut self, place: &str) -> String {
        let mut digits = format!("4{:014}", hash(place) % 100_000_000_000_000);
        let doubled = |(index, digit): (usize, u32)| match index % 2 {
            0 => digit * 2 / 10 + digit * 2 % 10,
            _ => digit,
        };
        let sum: u32 = digits
            .chars()
            .filter_map(|c| c.to_digit(10))
            .enumerate()
            .map(doubled)
            .sum();
        let check = (10 - sum % 10) % 10;
        let _ = write!(digits, "{check}");
        let groups = |by: &str| {
            let group = |start: usize| &digits[start..start + 4];
            [group(0), group(4), group(8), group(12)].join(by)
        };
        let grouped = [" ", "-", "%20"].map(|by| needle("in groups", groups(by), true));
        self.plant(place, Kind::Secret, &digits, grouped.into());
        digits
    }

    /// A secret that was made elsewhere, such as a token.
    pub(super) fn given(&mut self, place: &str, secret: &str) {
        self.plant(place, Kind::Secret, secret, Vec::new());
    }

    fn word(&mut self, place: &str, kind: Kind) -> String {
        let secret = format!("Cnry{:016x}", hash(place));
        self.plant(place, kind, &secret, Vec::new());
        secret
    }

    fn plant(&mut self, place: &str, kind: Kind, secret: &str, further: Vec<Needle>) {
        let mut needles = forms(secret);
        needles.extend(further);
        self.planted.push(Canary {
            place: place.to_owned(),
            kind,
            needles,
        });
    }

    /// Every place whose canary is in `written`, where it must not be.
    pub(super) fn leaks<'a>(&self, written: impl IntoIterator<Item = &'a Written>) -> Vec<String> {
        let mut leaks = Vec::new();
        for written in written {
            for canary in &self.planted {
                if canary.kind == Kind::Data && written.holds_data {
                    continue;
                }
                if let Some((form, around)) = written.find(&canary.needles) {
                    let (place, by) = (&canary.place, &written.by);
                    leaks.push(format!("{place} ({form}) is in {by}: …{around}…"));
                }
            }
        }
        leaks
    }

    /// The names of what holds the canary of `place`, whether it may or not.
    pub(super) fn found_in<'a>(&self, place: &str, written: &'a [Written]) -> Vec<&'a str> {
        let canary = self.planted.iter().find(|canary| canary.place == place);
        let needles = canary.map_or(&[][..], |canary| &canary.needles);
        let holds = written
            .iter()
            .filter(|written| written.find(needles).is_some());
        holds.map(|written| written.by.as_str()).collect()
    }
}

impl Written {
    /// Something that was logged, traced, measured or answered.
    pub(super) fn new(by: impl Into<String>, content: impl AsRef<[u8]>) -> Self {
        let raw = String::from_utf8_lossy(content.as_ref())
            .replace('-', "+")
            .replace('_', "/");
        let folded = String::from_utf8_lossy(content.as_ref()).to_lowercase();
        Self {
            by: by.into(),
            raw,
            folded,
            holds_data: false,
        }
    }

    /// A store of customers' data, or an answer that shows them.
    pub(super) fn data(by: impl Into<String>, content: impl AsRef<[u8]>) -> Self {
        Self {
            holds_data: true,
            ..Self::new(by, content)
        }
    }

    /// All files below `folder`.
    pub(super) fn files(folder: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                files.extend(Self::files(&path)?);
            } else if let Ok(content) = std::fs::read(&path) {
                files.push(Self::data(path.display().to_string(), content));
            }
        }
        Ok(files)
    }

    /// True if `text` is in here, in any case.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.folded.contains(&text.to_lowercase())
    }

    /// The form that is in here, and what stands around it.
    fn find(&self, needles: &[Needle]) -> Option<(&'static str, String)> {
        needles.iter().find_map(|needle| {
            let text = if needle.folded {
                &self.folded
            } else {
                &self.raw
            };
            let at = text.find(&needle.text)?;
            let around = |at: usize| (0..=at).rev().find(|i| text.is_char_boundary(*i));
            let start = around(at.saturating_sub(120)).unwrap_or(0);
            let end = around((at + 120).min(text.len())).unwrap_or(text.len());
            Some((needle.form, text[start..end].escape_debug().to_string()))
        })
    }
}

/// The forms in which a secret may be written.
fn forms(secret: &str) -> Vec<Needle> {
    let bytes = secret.as_bytes();
    let each = |write: fn(&u8) -> String| bytes.iter().map(write).collect::<String>();
    let mut forms = vec![
        needle("plain", secret.to_lowercase(), true),
        needle("percent-encoded", each(|byte| format!("%{byte:02x}")), true),
        needle("in hexadecimal", each(|byte| format!("{byte:02x}")), true),
    ];
    // What stands before it shifts the groups of Base64; only whole groups are the secret's own.
    for skipped in 0..3 {
        let whole = (bytes.len() - skipped) / 3 * 3;
        let text = base64(&bytes[skipped..skipped + whole]);
        forms.push(needle("in Base64", text, false));
    }
    forms
}

fn needle(form: &'static str, text: String, folded: bool) -> Needle {
    Needle { form, text, folded }
}

/// Base64 of whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks_exact(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
        }
    }
    text
}

/// FNV-1a: a place has the same canary in each run.
fn hash(place: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = place.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[test]
fn the_search_finds_a_canary_in_every_form() {
    let mut canaries = Canaries::default();
    let secret = canaries.secret("somewhere");
    let card = canaries.card("a card");
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut writings = vec![
        format!("log line with {secret}."),
        secret.to_uppercase(),
        hex,
        percent,
        format!(
            "{} {} {} {}",
            &card[..4],
            &card[4..8],
            &card[8..12],
            &card[12..]
        ),
        format!("{card}"),
    ];
    for prefix in ["", "a", "ab", "abc"] {
        let mut text = format!("{prefix}:{secret}").into_bytes();
        text.truncate(text.len() / 3 * 3);
        writings.push(base64(&text));
    }
    for writing in &writings {
        let leaks = canaries.leaks(&[Written::new("a log", writing)]);
        assert_eq!(leaks.len(), 1, "{writing}: {leaks:?}");
    }
    assert!(
        canaries
            .leaks(&[Written::new("a log", "nothing of the kind")])
            .is_empty()
    );
}

#[test]
fn data_may_be_in_a_store_and_nowhere_else() {
    let mut canaries = Canaries::default();
    let data = canaries.data("an event");
    assert!(
        canaries
            .leaks(&[Written::data("the store", &data)])
            .is_empty()
    );
    assert_eq!(canaries.leaks(&[Written::new("a log", &data)]).len(), 1);
    let secret = canaries.secret("a header");
    assert_eq!(
        canaries.leaks(&[Written::data("the store", &secret)]).len(),
        1
    );
}
