//! `Cache-Control`, as requests and answers use it (RFC 9111, section 5.2).

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

/// The directives that matter to us. Where two contradict, the stricter counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) is_private: bool,
    pub(crate) is_public: bool,
    /// `must-revalidate` or `proxy-revalidate`.
    pub(crate) must_revalidate: bool,
    /// Seconds; a value that cannot be read is 0.
    pub(crate) max_age: Option<u64>,
    /// The same for caches that many share.
    pub(crate) s_maxage: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
}

impl Directives {
    /// Those of a message. `Pragma: no-cache` counts where there is no `Cache-Control`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut lines = headers.get_all(CACHE_CONTROL).iter().peekable();
        if lines.peek().is_none() {
            let pragma = headers.get_all(PRAGMA).iter();
            found.no_cache = pragma
                .filter_map(|line| line.to_str().ok())
                .any(|line| line.to_ascii_lowercase().contains("no-cache"));
        }
        for line in lines {
            match line.to_str() {
                Ok(line) => parts(line).for_each(|part| found.add(part)),
                // What cannot be read may forbid it.
                Err(_) => found.no_store = true,
            }
        }
        found
    }

    fn add(&mut self, part: &str) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let seconds = || {
            let digits = value.trim().trim_matches('"');
            let read = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty();
            // More than can be counted is for ever.
            let seconds = digits.parse().unwrap_or(u64::MAX);
            if read { seconds } else { 0 }
        };
        let least = |known: Option<u64>| Some(known.unwrap_or(u64::MAX).min(seconds()));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.is_private = true,
            "public" => self.is_public = true,
            "must-revalidate" | "proxy-revalidate" => self.must_revalidate = true,
            "max-age" => self.max_age = least(self.max_age),
            "s-maxage" => self.s_maxage = least(self.s_maxage),
            "min-fresh" => self.min_fresh = Some(self.min_fresh.unwrap_or(0).max(seconds())),
            _ => {}
        }
    }
}

/// The parts of a list; a comma inside quotes is none.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&'static str]) -> Directives {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, http::HeaderValue::from_static(line));
        }
        Directives::of(&headers)
    }

    #[test]
    fn directives_are_read_and_the_stricter_counts() {
        let found = of(&["Public, MAX-AGE=60", "max-age = \"5\" ,s-maxage=x"]);
        assert!(found.is_public && !found.is_private);
        assert_eq!((found.max_age, found.s_maxage), (Some(5), Some(0)));
        let found = of(&["private=\"set-cookie, no-store\", no-cache=\"x\""]);
        assert!(found.is_private && found.no_cache && !found.no_store);
        assert_eq!(
            of(&["max-age=99999999999999999999"]).max_age,
            Some(u64::MAX)
        );
        assert_eq!(of(&["max-age=-1, max-age"]).max_age, Some(0));
        assert_eq!(of(&[]), Directives::default());
    }

    #[test]
    fn pragma_counts_where_there_is_nothing_newer() {
        let mut headers = HeaderMap::new();
        headers.insert(PRAGMA, http::HeaderValue::from_static("no-cache"));
        assert!(Directives::of(&headers).no_cache);
        headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("max-age=1"));
        assert!(!Directives::of(&headers).no_cache);
    }
}
