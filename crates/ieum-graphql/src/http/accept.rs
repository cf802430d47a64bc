//! Which media type a client accepts (RFC 9110, section 12.5.1).

use ::http::HeaderMap;
use ::http::header::ACCEPT;

use super::Media;
use crate::rejection::{Reason, Rejection};

/// Chooses the media type of the answer.
///
/// Without `Accept`, or where only a wildcard matches, it is `application/json`, which old clients
/// expect; if both are named with the same weight, it is `application/graphql-response+json`.
///
/// # Errors
/// [`Reason::NotAcceptable`] if neither is accepted.
pub fn negotiate(headers: &HeaderMap) -> Result<Media, Rejection> {
    if !headers.contains_key(ACCEPT) {
        return Ok(Media::Json);
    }
    let mut response = Match::default();
    let mut json = Match::default();
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = weight(parts);
            response.consider("graphql-response+json", media, weight);
            json.consider("json", media, weight);
        }
    }
    let named = response.specific == EXACT;
    match (response.weight, json.weight) {
        (0, 0) => Err(Rejection::new(
            Reason::NotAcceptable,
            "application/graphql-response+json and application/json are offered",
        )),
        (response, json) if response > json => Ok(Media::GraphqlResponse),
        (response, json) if response == json && named => Ok(Media::GraphqlResponse),
        _ => Ok(Media::Json),
    }
}

/// The most specific range that matches a media type, and its weight in thousandths.
#[derive(Default)]
struct Match {
    specific: u8,
    weight: u32,
}

impl Match {
    fn consider(&mut self, subtype: &str, range: &str, weight: u32) {
        let specific = match range.split_once('/') {
            Some(("*", "*")) => 1,
            Some((kind, "*")) if kind.eq_ignore_ascii_case("application") => 2,
            Some((kind, sub))
                if kind.eq_ignore_ascii_case("application")
                    && sub.eq_ignore_ascii_case(subtype) =>
            {
                EXACT
            }
            _ => return,
        };
        if specific > self.specific {
            *self = Self { specific, weight };
        } else if specific == self.specific {
            self.weight = self.weight.max(weight);
        }
    }
}

/// The weight of a range: `q=0.5` is 500; 1000 without one, 0 if it cannot be read.
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> u32 {
    for parameter in parameters {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            return thousandths(value.trim()).unwrap_or(0);
        }
    }
    1000
}

/// `0`, `1`, or either with up to three decimals; at most 1.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || !digits || decimals.len() > 3 {
        return None;
    }
    let padded = format!("{decimals:0<3}");
    let value = whole.parse::<u32>().ok()? * 1000 + padded.parse::<u32>().ok()?;
    (value <= 1000).then_some(value)
}

const EXACT: u8 = 3;
