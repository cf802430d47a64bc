//! The framing floor: where a request ends must be beyond doubt.
//!
//! Request smuggling needs two parsers that disagree on it. hyper accepts a bare line feed, prefers
//! `Transfer-Encoding` over a `Content-Length` that it then hides from the service, accepts the same
//! length twice, and does not ask for a `Host`. Each is legal leniency, and each is a seam. So a
//! scanner reads along with hyper, byte for byte, and refuses what RFC 9112 lets a server refuse. It
//! sees the bytes first, and nothing behind a refused line gets any further. In a head it overwrites
//! the line feed at the end of that line with NUL: hyper then finds the head malformed, answers 400
//! (`refusal` gives it a body) and closes, and the service never sees the request. In a body hyper gets
//! what stands before the line and then an error: the body fails, and with it the connection.
//!
//! The scanner costs one `memchr` per header line and holds at most one partial line.

/// Follows the requests of one HTTP/1 connection.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    head: Head,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    longest_line: usize,
    upgrades: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request line; empty lines are skipped (RFC 9112, 2.2).
    Start,
    Fields,
    Sized(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// A tunnel: nothing more to follow.
    Tunnel,
    /// Nothing more is passed on.
    Refused,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    version_10: bool,
    length: Option<u64>,
    chunked: bool,
    hosts: u8,
    tunnel: bool,
}

/// The request's end would be in doubt.
#[derive(Debug)]
struct Refused;

impl Scanner {
    pub(super) fn new(longest_line: usize, upgrades: bool) -> Self {
        Self {
            state: State::Start,
            head: Head::default(),
            line: Vec::new(),
            longest_line,
            upgrades,
        }
    }

    /// Follows `bytes`, which hyper will read next. Answers how many of them it may read: all, or
    /// those up to a refused line.
    pub(super) fn follow(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Tunnel => return bytes.len(),
                State::Refused => return at,
                State::Sized(left) => self.skip(at, bytes.len(), left, State::Sized),
                State::ChunkData(left) => self.skip(at, bytes.len(), left, State::ChunkData),
                _ => self.line(bytes, at),
            };
        }
        at
    }

    /// True once nothing more is passed on.
    pub(super) const fn has_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// True while what is exchanged is HTTP.
    pub(super) const fn is_http(&self) -> bool {
        !matches!(self.state, State::Tunnel)
    }

    /// True between the first byte of a request's head and its last.
    pub(super) const fn has_begun_head(&self) -> bool {
        match self.state {
            State::Fields => true,
            State::Start => !self.line.is_empty(),
            _ => false,
        }
    }

    /// True inside a request's body.
    pub(super) const fn is_in_body(&self) -> bool {
        !self.is_in_head() && !matches!(self.state, State::Tunnel | State::Refused)
    }

    const fn is_in_head(&self) -> bool {
        matches!(self.state, State::Start | State::Fields)
    }

    fn skip(&mut self, at: usize, end: usize, left: u64, stay: fn(u64) -> State) -> usize {
        let step = left.min((end - at) as u64);
        self.state = match (left - step, self.state) {
            (0, State::ChunkData(_)) => State::ChunkEnd,
            (0, _) => self.finish(),
            (left, _) => stay(left),
        };
        at + usize::try_from(step).unwrap_or(end - at)
    }

    /// Reads to the end of the line at `at`; the place behind it, or behind what hyper may read.
    fn line(&mut self, bytes: &mut [u8], at: usize) -> usize {
        let Some(length) = memchr::memchr(b'\n', &bytes[at..]) else {
            return self.beginning(bytes, at);
        };
        let end = at + length;
        let read = if self.line.is_empty() {
            self.read(&bytes[at..end])
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[at..end]);
            let read = self.read(&line);
            line.clear();
            self.line = line;
            read
        };
        let in_head = self.is_in_head();
        self.state = read.unwrap_or(State::Refused);
        match self.state {
            State::Refused if in_head => {
                bytes[end] = 0;
                end + 1
            }
            State::Refused => at,
            _ => end + 1,
        }
    }

    /// Keeps the beginning of a line, at `at`, until its end arrives.
    fn beginning(&mut self, bytes: &[u8], at: usize) -> usize {
        if self.line.len() + bytes.len() - at <= self.longest_line {
            self.line.extend_from_slice(&bytes[at..]);
            return bytes.len();
        }
        // hyper refuses a head as long as that by itself (431).
        let passed = if self.is_in_head() { bytes.len() } else { at };
        self.state = State::Refused;
        self.line = Vec::new();
        passed
    }

    /// Reads one line without its line feed; the state behind it.
    fn read(&mut self, line: &[u8]) -> Result<State, Refused> {
        let line = line.strip_suffix(b"\r").ok_or(Refused)?;
        match self.state {
            State::Start if line.is_empty() => Ok(State::Start),
            State::Start if has_userinfo(line) => Err(Refused),
            State::Start => {
                self.head = Head {
                    version_10: line.ends_with(b" HTTP/1.0"),
                    tunnel: self.upgrades && line.starts_with(b"CONNECT "),
                    ..Head::default()
                };
                Ok(State::Fields)
            }
            State::Fields if line.is_empty() => self.end_of_head(),
            State::Fields => self.field(line).map(|()| State::Fields),
            State::ChunkSize => chunk_size(line).map(|size| match size {
                0 => State::Trailers,
                size => State::ChunkData(size),
            }),
            State::ChunkEnd if line.is_empty() => Ok(State::ChunkSize),
            State::Trailers if line.is_empty() => Ok(self.finish()),
            State::Trailers => Ok(State::Trailers),
            _ => Err(Refused),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refused> {
        let colon = memchr::memchr(b':', line).ok_or(Refused)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let head = &mut self.head;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(Refused)?;
            if head.chunked || head.length.replace(length).is_some() {
                return Err(Refused);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let only_chunked = value.eq_ignore_ascii_case(b"chunked");
            if head.chunked || head.length.is_some() || head.version_10 || !only_chunked {
                return Err(Refused);
            }
            head.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            head.hosts = head.hosts.saturating_add(1);
            if head.hosts > 1 || !is_host(value) {
                return Err(Refused);
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            head.tunnel |= self.upgrades;
        } else if name.first().is_none_or(|first| first.is_ascii_whitespace()) {
            // A folded line, or no name at all.
            return Err(Refused);
        }
        Ok(())
    }

    fn end_of_head(&self) -> Result<State, Refused> {
        let head = &self.head;
        if head.hosts == 0 && !head.version_10 {
            return Err(Refused);
        }
        Ok(match head.length {
            _ if head.chunked => State::ChunkSize,
            Some(length) if length > 0 => State::Sized(length),
            _ => self.finish(),
        })
    }

    /// Behind a request's last byte. After a request for a tunnel nothing more is read as HTTP; the
    /// server closes the connection unless it grants the tunnel.
    const fn finish(&self) -> State {
        if self.head.tunnel {
            State::Tunnel
        } else {
            State::Start
        }
    }
}

/// True if a request's target names a user, as only people's addresses do (RFC 9110, 4.2.4).
fn has_userinfo(request_line: &[u8]) -> bool {
    let target = memchr::memchr(b' ', request_line).map(|space| &request_line[space + 1..]);
    let Some(target) = target.filter(|target| !target.starts_with(b"/")) else {
        return false;
    };
    let scheme = memchr::memmem::find(target, b"://");
    let authority = &target[scheme.map_or(0, |at| at + 3)..];
    let end = authority.iter().position(|byte| b"/?# ".contains(byte));
    authority[..end.unwrap_or(authority.len())].contains(&b'@')
}

/// True if `value` has only the bytes of a host and a port, so that nobody can read another host from
/// it. On HTTP/1 the server refuses requests whose `Host` has others; on HTTP/2, where a request's end
/// is not at stake, that is left to the service.
pub fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| OF_HOST[usize::from(*byte)])
}

/// The bytes of a host and a port (RFC 3986, 3.2.2 and 3.2.3). What has others could be read as
/// another host by whoever is behind us.
const OF_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+,;=:[]";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| {
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    })
}

/// The size in front of a chunk; extensions behind `;` are ignored, as RFC 9112 (7.1.1) asks, unless
/// another parser could take a byte in them for the end of the line. White space behind the size is
/// refused too: nobody sends it, and not everybody reads it in the same way.
fn chunk_size(line: &[u8]) -> Result<u64, Refused> {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let (digits, extension) = line.split_at(end);
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let plain = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    if !plain || extension.iter().any(control) {
        return Err(Refused);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Refused)?;
    u64::from_str_radix(text, 16).map_err(|_| Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if the scanner passes `bytes` on unharmed, in one piece and byte by byte.
    fn passes(text: &str) -> bool {
        let unharmed = |step: usize| {
            let mut scanner = Scanner::new(16 << 10, false);
            let mut bytes = text.as_bytes().to_vec();
            let passed: usize = bytes
                .chunks_mut(step)
                .map(|part| scanner.follow(part))
                .sum();
            let unharmed = passed == bytes.len() && bytes == text.as_bytes();
            assert_eq!(unharmed, !scanner.has_refused(), "{text:?}");
            unharmed
        };
        let (whole, bytewise) = (unharmed(text.len()), unharmed(1));
        assert_eq!(whole, bytewise, "{text:?}");
        whole
    }

    #[test]
    fn well_framed_requests_pass_also_pipelined() {
        assert!(passes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(passes("\r\nGET / HTTP/1.0\r\n\r\n"));
        assert!(passes(
            "POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        assert!(passes(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\n\n\n\n\r\nA; z\r\n0123456789\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n"
        ));
    }

    #[test]
    fn a_host_is_a_host() {
        for host in ["a.example:80", "[::1]:8080", "a_b", "", "x%20y"] {
            assert!(
                passes(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")),
                "{host}"
            );
        }
        for host in [
            "a b",
            "a/../x",
            "u:p@x",
            "a?b",
            "a#b",
            "a\\b",
            "a\tb",
            "\u{ea}.example",
        ] {
            assert!(
                !passes(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")),
                "{host}"
            );
        }
        for (target, is_good) in [
            ("http://x/open", true),
            ("http://x/@a?b=c@d", true),
            ("/a@b", true),
            ("*", true),
            ("http://u:p@x/open", false),
            ("http://u@x", false),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(passes(&request), is_good, "{target}");
        }
    }

    #[test]
    fn a_doubtful_length_is_refused() {
        let post = |fields: &str| passes(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: 0x3\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
        ] {
            assert!(!post(fields), "{fields:?}");
        }
        assert!(!passes(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ));
    }

    #[test]
    fn a_bare_line_feed_a_folded_line_and_a_doubtful_host_are_refused() {
        assert!(!passes("GET / HTTP/1.1\nHost: a\r\n\r\n"));
        assert!(!passes("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"));
        assert!(!passes("GET / HTTP/1.1\r\nHost: a\r\n\n"));
        assert!(!passes("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"));
        assert!(!passes("GET / HTTP/1.1\r\n\r\n"));
        assert!(!passes("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"));
    }

    #[test]
    fn bad_chunks_are_refused() {
        let chunked = |body: &str| {
            passes(&format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ))
        };
        assert!(chunked("0\r\n\r\n"));
        for body in [
            "\r\n\r\n",
            "-1\r\n",
            "0x3\r\nabc\r\n",
            "3\nabc\r\n",
            "3;a\nabc\r\n0\r\n\r\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "3;a\0\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "3\t;a\r\nabc\r\n0\r\n\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
            "0\r\nTrailer: v\n\r\n",
        ] {
            assert!(!chunked(body), "{body:?}");
        }
    }

    #[test]
    fn nothing_behind_a_refused_line_is_passed_on() {
        let rest = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let passed = |text: String| {
            let mut scanner = Scanner::new(64, false);
            let mut bytes = text.into_bytes();
            let passed = scanner.follow(&mut bytes);
            assert_eq!(scanner.follow(&mut rest.as_bytes().to_vec()), 0);
            bytes.truncate(passed);
            String::from_utf8(bytes).expect("ASCII")
        };
        assert_eq!(
            passed(format!("{head}1\r\na\r\n3;a\nabc\r\n{rest}")),
            format!("{head}1\r\na\r\n")
        );
        assert_eq!(passed(format!("{head}1;{}", "a".repeat(99))), head);
        assert_eq!(
            passed(format!("GET / HTTP/1.1\n{rest}")),
            "GET / HTTP/1.1\0"
        );
    }

    #[test]
    fn whatever_arrives_the_verdict_does_not_depend_on_how_it_was_cut() {
        const PARTS: [&str; 20] = [
            "GET / HTTP/1.1",
            "POST /x HTTP/1.0",
            "\r\n",
            "\r\n\r\n",
            "\n",
            "\r",
            "Host: a",
            "Content-Length: 5",
            "Content-Length:0",
            "Transfer-Encoding: chunked",
            "Upgrade: x",
            "5",
            "0",
            ";x",
            "abcde",
            ":",
            " ",
            "\0",
            "A: b",
            "ffffffffffffffff",
        ];
        let rng = ieum_base::Rng::seeded(7);
        for _ in 0..20_000 {
            let count = 1 + rng.below(24);
            let text = (0..count).map(|_| PARTS[rng.below(PARTS.len())]);
            passes(&text.collect::<String>());
        }
    }

    #[test]
    fn what_follows_a_granted_tunnel_is_left_alone() {
        let mut scanner = Scanner::new(16 << 10, true);
        let head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
        let mut bytes = format!("{head}\n\n\n").into_bytes();
        assert_eq!(scanner.follow(&mut bytes), bytes.len());
        assert!(bytes.ends_with(b"\n\n\n"));
    }
}
