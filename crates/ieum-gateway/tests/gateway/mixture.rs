//! Under a mixture of everything that goes wrong, each answer is the answer to its request: callers
//! leave, send half, send two at once; upstreams break off, close, answer early, say too much.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::gateway;

/// Numbers that look random and are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed >> 27) ^ (mixed >> 40)) % sides
    }
}

/// A message's first line, its headers in lower case, and its body.
struct Message {
    first: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter_map(|h| h.split_once(": "));
        values.find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    Some(line.strip_suffix("\r\n")?.to_owned())
}

fn read_head(stream: &mut impl BufRead) -> Option<Message> {
    let first = line(stream)?;
    let mut headers = Vec::new();
    loop {
        match line(stream)? {
            end if end.is_empty() => break,
            header => headers.push(header.to_ascii_lowercase()),
        }
    }
    let body = Vec::new();
    Some(Message {
        first,
        headers,
        body,
    })
}

/// Reads the body; `None` if it broke off.
fn read_body(stream: &mut impl BufRead, message: &mut Message) -> Option<()> {
    let mut part = |stream: &mut dyn BufRead, length: usize| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).ok()?;
        message.body.extend_from_slice(&bytes);
        Some(())
    };
    let find = |name: &str| {
        let headers = message.headers.iter();
        let found = headers
            .filter_map(|h| h.split_once(": "))
            .find(|(n, _)| *n == name);
        found.map(|(_, value)| value.to_owned())
    };
    if let Some(length) = find("content-length") {
        return part(stream, length.parse().expect("a number"));
    }
    if find("transfer-encoding").is_none() {
        return Some(());
    }
    loop {
        let size = usize::from_str_radix(&line(stream)?, 16).expect("a chunk's size");
        if size == 0 {
            while !line(stream)?.is_empty() {}
            return Some(());
        }
        part(stream, size)?;
        assert_eq!(line(stream)?, "");
    }
}

/// Serves one connection: the token that a request's path ends with, as often as it likes.
fn fickle(stream: TcpStream, seed: u64) -> Option<()> {
    let mut dice = Dice(seed);
    let mut write = stream.try_clone().ok()?;
    let mut read = BufReader::new(stream);
    loop {
        let mut request = read_head(&mut read)?;
        let way = dice.roll(40);
        if way != 0 {
            read_body(&mut read, &mut request)?;
        }
        let token = request
            .first
            .split(' ')
            .nth(1)?
            .trim_start_matches('/')
            .to_owned();
        if request.body.len() >= token.len() {
            assert!(
                request.body.starts_with(token.as_bytes()),
                "a body went astray"
            );
        }
        let times = [0, 1, 3, 2000][dice.roll(4) as usize];
        let whole = token.repeat(times);
        let mut answer = match dice.roll(2) {
            0 => format!(
                "HTTP/1.1 200 OK\r\nx-token: {token}\r\nx-times: {times}\r\ncontent-length: {}\r\n\r\n{whole}",
                whole.len()
            ),
            _ => {
                let chunks = format!("{:x}\r\n{token}\r\n", token.len()).repeat(times);
                format!(
                    "HTTP/1.1 200 OK\r\nx-token: {token}\r\nx-times: {times}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
                )
            }
        };
        match way {
            1 => return None,
            2 => answer.truncate(answer.len() / 2),
            3 | 4 => answer.push_str(
                "HTTP/1.1 200 OK\r\nx-token: poison\r\nx-times: 0\r\ncontent-length: 0\r\n\r\n",
            ),
            5 | 6 => answer = answer.replacen("x-token", "connection: close\r\nx-token", 1),
            7 => std::thread::park_timeout(Duration::from_millis(150)),
            8..12 => answer.insert_str(0, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
            _ => {}
        }
        write.write_all(answer.as_bytes()).ok()?;
        if matches!(way, 2 | 5 | 6) {
            return None;
        }
        if way == 0 {
            read_body(&mut read, &mut request)?;
        }
    }
}

fn fickle_upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for (seed, stream) in (0..).zip(listener.incoming().map_while(Result::ok)) {
            std::thread::spawn(move || fickle(stream, seed));
        }
    });
    address
}

fn request_for(token: &str, dice: &mut Dice) -> String {
    let body = token.repeat(dice.roll(3000) as usize);
    match dice.roll(4) {
        0 => format!(
            "POST /{token} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        1 if !body.is_empty() => format!(
            "PUT /{token} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        _ => format!("GET /{token} HTTP/1.1\r\nHost: a\r\n\r\n"),
    }
}

/// Checks one answer; true if it came whole from the upstream, `None` if the connection ended.
fn check(read: &mut impl BufRead, token: &str) -> Option<bool> {
    let mut answer = read_head(read)?;
    let is_whole = read_body(read, &mut answer);
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.first.starts_with("HTTP/1.1 5") {
        assert!(body.contains(token), "not to {token}: {body}");
        return Some(false);
    }
    assert_eq!(answer.header("x-token"), Some(token), "{}", answer.first);
    let times: usize = answer.header("x-times")?.parse().expect("a number");
    let expected = token.repeat(times);
    assert!(expected.starts_with(&body), "not to {token}: {body}");
    is_whole?;
    assert_eq!(body.len(), expected.len());
    (answer.header("connection") != Some("close")).then_some(true)
}

/// One caller with one connection after the other; how many answers were whole.
fn caller(gateway: SocketAddr, name: u64, requests: u64) -> u64 {
    let (mut dice, mut whole, mut sent) = (Dice(name), 0, 0);
    while sent < requests {
        let mut write = TcpStream::connect(gateway).expect("connected");
        let patience = Some(Duration::from_secs(10));
        write.set_read_timeout(patience).expect("a timeout");
        let mut read = BufReader::new(write.try_clone().expect("cloned"));
        while sent < requests {
            let tokens: Vec<_> = (0..=dice.roll(2))
                .map(|n| format!("t{name}-{sent}-{n}."))
                .collect();
            sent += 1;
            let both: String = tokens
                .iter()
                .map(|token| request_for(token, &mut dice))
                .collect();
            let fate = dice.roll(12);
            let upto = if fate == 0 {
                both.len() / 2
            } else {
                both.len()
            };
            if write.write_all(&both.as_bytes()[..upto]).is_err() || fate == 0 {
                break;
            }
            if fate == 1 {
                let _ = read.read(&mut [0; 10]);
                break;
            }
            let answers = tokens.iter().map(|token| check(&mut read, token));
            let answers: Vec<_> = answers.take_while(Option::is_some).collect();
            whole += answers
                .iter()
                .filter(|answer| **answer == Some(true))
                .count() as u64;
            if answers.len() < tokens.len() {
                break;
            }
        }
    }
    whole
}

#[test]
fn each_answer_is_the_answer_to_its_request() {
    let world = gateway(&format!(
        "[gateway]\nthreads = 2\n[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\n\
         url = 'http://{}'\ntimeout = '120ms'\n",
        fickle_upstream()
    ));
    let address = world.handle.addr();
    let callers = (0..CALLERS).map(|n| std::thread::spawn(move || caller(address, n, REQUESTS)));
    let callers: Vec<_> = callers.collect();
    let whole = callers
        .into_iter()
        .map(|caller| caller.join().expect("no answer went astray"));
    let whole: u64 = whole.sum();
    let sent = CALLERS * REQUESTS;
    assert!(whole > sent / 3, "{whole} of {sent}");
}

const CALLERS: u64 = 12;
const REQUESTS: u64 = 40;
