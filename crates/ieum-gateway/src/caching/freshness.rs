//! Whether an answer may be kept, and how long it is fresh (RFC 9111, sections 3 and 4.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    AGE, CONTENT_RANGE, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, StatusCode};
use ieum_base::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Directives, LONGEST};

/// How long an answer is fresh, from when it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Freshness {
    /// When it was kept.
    pub(crate) at: Timestamp,
    /// How old it was then, in seconds.
    pub(crate) age: u64,
    /// How old it may become.
    pub(crate) lifetime: u64,
}

impl Freshness {
    /// How old the answer is, in seconds.
    pub(crate) fn age(&self, now: Timestamp) -> u64 {
        self.age + now.since(self.at).as_secs()
    }

    /// How long it is fresh still, in seconds.
    pub(crate) fn left(&self, now: Timestamp) -> u64 {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// Whether a request with these directives may be answered with it.
    pub(crate) fn serves(&self, now: Timestamp, asked: &Directives) -> bool {
        let (age, left) = (self.age(now), self.left(now));
        // A clock that was set back would make it young again.
        let is_fresh = left > 0 && now >= self.at;
        is_fresh
            && !asked.no_cache
            && asked.max_age.is_none_or(|most| age <= most)
            && asked.min_fresh.is_none_or(|least| left >= least)
    }
}

/// What a kept answer's lifetime depends on beside the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// When it was asked for.
    pub(crate) at: Timestamp,
    /// True if it was asked for with `Authorization` or a cookie.
    pub(crate) with_credentials: bool,
    /// How long it lives if it does not say.
    pub(crate) ttl: Option<Duration>,
}

impl Asked {
    /// How long the answer that came at `now` is fresh; `None` if it may not be kept.
    pub(crate) fn freshness(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Freshness> {
        let said = Directives::of(headers);
        let forbidden = said.no_store || said.no_cache || said.is_private;
        let may_be_shared = said.is_public || said.must_revalidate || said.s_maxage.is_some();
        let has = |name: &HeaderName| headers.contains_key(name);
        if forbidden
            || !KEPT.contains(&status.as_u16())
            || has(&SET_COOKIE)
            || has(&CONTENT_RANGE)
            || (self.with_credentials && !may_be_shared)
            || varies_by(headers).is_none()
        {
            return None;
        }
        let date = date(headers, &DATE);
        let lifetime = said.s_maxage.or(said.max_age).or_else(|| {
            if has(&EXPIRES) {
                // One that cannot be read is in the past.
                let expires = self::date(headers, &EXPIRES).unwrap_or(0);
                return Some(expires.saturating_sub(date.unwrap_or_else(|| seconds(now))));
            }
            let is_found = status.is_success() || status.is_redirection();
            self.ttl
                .filter(|_| is_found)
                .map(|ttl| ttl.as_secs().max(1))
        })?;
        let apparent = seconds(now).saturating_sub(date.unwrap_or_else(|| seconds(now)));
        // Whole seconds: what took part of one counts as one where it was old already.
        let took = now.since(self.at).as_secs();
        let found = Freshness {
            at: now,
            age: apparent.max(age_of(headers)? + took),
            lifetime: lifetime.min(LONGEST.as_secs()),
        };
        (found.left(now) > 0).then_some(found)
    }
}

/// The names of the request's headers that choose the answer; `None` if it is anything (`*`), what we
/// tell the upstream anew with each request, cannot be read, or is too much.
pub(crate) fn varies_by(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for line in headers.get_all(VARY) {
        for name in line.to_str().ok()?.split(',').map(str::trim) {
            let name = name.to_ascii_lowercase();
            if name == "*" || OURS.contains(&&*name) || names.len() >= MOST_NAMES {
                return None;
            }
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Whether a request that has the answer already (`If-None-Match`, else `If-Modified-Since`) must be
/// given it (RFC 9110, section 13.2.2).
pub(crate) fn is_modified(asked: &HeaderMap, kept: &HeaderMap) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        let Some(tag) = kept.get(ETAG).and_then(|tag| tag.to_str().ok()) else {
            return true;
        };
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let lines = asked.get_all(IF_NONE_MATCH).iter();
        let mut known = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        return !known.any(|known| known.trim() == "*" || strong(known) == strong(tag));
    }
    let (since, last) = (date(asked, &IF_MODIFIED_SINCE), date(kept, &LAST_MODIFIED));
    since.zip(last).is_none_or(|(since, last)| last > since)
}

/// `Age`, 0 if there is none; `None` if it cannot be read.
fn age_of(headers: &HeaderMap) -> Option<u64> {
    match headers.get(AGE) {
        None => Some(0),
        Some(age) => {
            let age: u64 = age.to_str().ok()?.trim().parse().ok()?;
            Some(age.min(u64::from(u32::MAX)))
        }
    }
}

/// A date, in seconds since 1970.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let parsed: SystemTime = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    parsed
        .duration_since(UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs())
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_secs()).unwrap_or(0)
}

/// The statuses whose answers may be kept.
const KEPT: [u16; 9] = [200, 203, 204, 300, 301, 308, 404, 410, 451];
const MOST_NAMES: usize = 16;
/// Headers that the upstream has from us: the caller's own say nothing of them.
const OURS: [&str; 4] = [
    "x-forwarded-for",
    "x-request-id",
    "traceparent",
    "tracestate",
];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_763_731_629_000_000);

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").expect("a header");
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    /// How long is this answer fresh, in seconds? `None`: it is not kept.
    fn check(status: u16, text: &str, asked: Asked, expected: Option<u64>) {
        let status = StatusCode::from_u16(status).expect("a status");
        let found = asked.freshness(status, &headers(text), NOW);
        assert_eq!(found.map(|f| f.left(NOW)), expected, "{status} {text}");
    }

    fn plain() -> Asked {
        Asked {
            at: NOW,
            with_credentials: false,
            ttl: None,
        }
    }

    #[test]
    fn an_answer_says_how_long_it_is_fresh() {
        check(200, "cache-control: max-age=60", plain(), Some(60));
        check(
            200,
            "cache-control: max-age=60, s-maxage=5",
            plain(),
            Some(5),
        );
        check(200, "cache-control: max-age=60\nage: 50", plain(), Some(10));
        check(200, "cache-control: max-age=60\nage: 60", plain(), None);
        check(200, "cache-control: max-age=60\nage: old", plain(), None);
        let date = "date: Fri, 21 Nov 2025 13:27:09 GMT";
        check(
            200,
            &format!("{date}\nexpires: Fri, 21 Nov 2025 13:27:39 GMT"),
            plain(),
            Some(30),
        );
        check(200, &format!("{date}\nexpires: 0"), plain(), None);
        let old = "date: Fri, 21 Nov 2025 13:26:59 GMT";
        check(
            200,
            &format!("{old}\ncache-control: max-age=60"),
            plain(),
            Some(50),
        );
        let slow = Asked {
            at: Timestamp::from_micros(NOW.as_micros() - 4_000_000),
            ..plain()
        };
        check(200, "cache-control: max-age=60\nage: 1", slow, Some(55));
    }

    #[test]
    fn what_may_not_be_shared_is_not_kept() {
        for forbidden in [
            "",
            "cache-control: no-store, max-age=60",
            "cache-control: no-cache, max-age=60",
            "cache-control: private, max-age=60",
            "cache-control: private=\"x\", max-age=60",
            "cache-control: max-age=60\nset-cookie: a=b",
            "cache-control: max-age=60\nvary: accept, *",
            "cache-control: max-age=60\nvary: X-Forwarded-For",
            "cache-control: max-age=60\ncontent-range: bytes 0-1/2",
            "cache-control: max-age=0",
            "cache-control: max-age=many",
        ] {
            check(200, forbidden, plain(), None);
        }
        check(206, "cache-control: max-age=60", plain(), None);
        check(500, "cache-control: max-age=60", plain(), None);
        check(404, "cache-control: max-age=60", plain(), Some(60));
    }

    #[test]
    fn an_answer_to_credentials_is_kept_only_if_it_says_so() {
        let asked = Asked {
            with_credentials: true,
            ttl: Some(Duration::from_secs(5)),
            ..plain()
        };
        check(200, "cache-control: max-age=60", asked, None);
        check(200, "", asked, None);
        check(200, "cache-control: public, max-age=60", asked, Some(60));
        check(200, "cache-control: s-maxage=60", asked, Some(60));
        check(
            200,
            "cache-control: must-revalidate, max-age=60",
            asked,
            Some(60),
        );
    }

    #[test]
    fn a_route_may_say_it_for_answers_that_do_not() {
        let asked = Asked {
            ttl: Some(Duration::from_secs(5)),
            ..plain()
        };
        check(200, "", asked, Some(5));
        check(200, "cache-control: max-age=60", asked, Some(60));
        check(200, "cache-control: max-age=0", asked, None);
        check(404, "", asked, None);
        check(200, "cache-control: no-store", asked, None);
    }

    #[test]
    fn a_request_may_ask_for_something_younger() {
        let kept = Freshness {
            at: NOW,
            age: 10,
            lifetime: 60,
        };
        let later = NOW.after(Duration::from_secs(5));
        let asked = |text| Directives::of(&headers(text));
        assert!(kept.serves(later, &asked("")));
        assert!(kept.serves(later, &asked("cache-control: max-age=15")));
        assert!(!kept.serves(later, &asked("cache-control: max-age=14")));
        assert!(kept.serves(later, &asked("cache-control: min-fresh=45")));
        assert!(!kept.serves(later, &asked("cache-control: min-fresh=46")));
        assert!(!kept.serves(later, &asked("cache-control: no-cache")));
        assert!(!kept.serves(NOW.after(Duration::from_secs(50)), &asked("")));
        let before = Timestamp::from_micros(NOW.as_micros() - 1);
        assert!(!kept.serves(before, &asked("")), "the clock was set back");
    }

    #[test]
    fn who_has_the_answer_is_told_so() {
        let kept = headers("etag: \"a\"\nlast-modified: Fri, 21 Nov 2025 13:00:00 GMT");
        for (asked, modified) in [
            ("", true),
            ("if-none-match: \"a\"", false),
            ("if-none-match: \"b\", W/\"a\"", false),
            ("if-none-match: \"b\"", true),
            ("if-none-match: *", false),
            ("if-modified-since: Fri, 21 Nov 2025 13:00:00 GMT", false),
            ("if-modified-since: Fri, 21 Nov 2025 12:59:59 GMT", true),
            (
                "if-none-match: \"b\"\nif-modified-since: Fri, 21 Nov 2025 13:00:00 GMT",
                true,
            ),
        ] {
            assert_eq!(is_modified(&headers(asked), &kept), modified, "{asked}");
        }
    }
}
