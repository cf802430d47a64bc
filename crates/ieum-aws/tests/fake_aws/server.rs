//! The fake's HTTP: reads requests, checks their signatures, answers as the services do.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use serde_json::{Value, json};

use super::state::State;

pub(super) const KEY: &str = "AKIDFAKE";
pub(super) const SECRET: &str = "s/cret+주";

/// A fake of both services at one endpoint. Its threads end with the test's process.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) state: Arc<State>,
    port: u16,
}

/// A request as it came.
struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// A code, and what it means.
pub(super) type Refusal = (&'static str, String);

impl Fake {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { state, port }
    }

    pub(super) fn url(&self, parameters: &str) -> ieum_base::EngineUrl {
        self.url_of("s%2Fcret%2B%EC%A3%BC", parameters)
    }

    pub(super) fn url_of(&self, secret: &str, parameters: &str) -> ieum_base::EngineUrl {
        let port = self.port;
        let url = format!("sqs://{KEY}:{secret}@127.0.0.1:{port}?scheme=http&{parameters}");
        url.parse().expect("a URL")
    }
}

fn serve(stream: &TcpStream, state: &State) {
    stream.set_nodelay(true).expect("an option");
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        if state.is_down() {
            return;
        }
        let is_sqs = request.headers.contains_key("x-amz-target");
        let answer = match check(&request) {
            Err(refusal) => Err(refusal),
            Ok(()) if is_sqs => sqs(&request, state),
            Ok(()) => sns(&request, state),
        };
        // What was done while it went down is not answered.
        if state.is_down() {
            return;
        }
        let (status, body) = match answer {
            Ok(body) => ("200 OK", body),
            Err((code, why)) if is_sqs => {
                let code = format!("com.amazonaws.sqs#{code}");
                (
                    "400 Bad Request",
                    json!({"__type": code, "message": why}).to_string(),
                )
            }
            Err((code, why)) => (
                "400 Bad Request",
                format!(
                    "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error>\
                     <Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error>\
                     <RequestId>1</RequestId></ErrorResponse>",
                    escape(&why)
                ),
            ),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    let headers: BTreeMap<String, String> = headers.collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line,
        headers,
        body,
    })
}

/// Signs the request again, by what its header says, and compares.
fn check(request: &Request) -> Result<(), Refusal> {
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    let given = header("authorization");
    let part = |name: &str| {
        let (_, rest) = given.split_once(name).unwrap_or_default();
        rest.split(',').next().unwrap_or_default().to_owned()
    };
    let credential = part("Credential=");
    let (key, scope) = credential.split_once('/').unwrap_or_default();
    if key != KEY {
        return Err((
            "InvalidClientTokenId",
            "The security token is invalid.".into(),
        ));
    }
    let signed = part("SignedHeaders=");
    for needed in ["content-type", "host", "x-amz-date"] {
        assert!(
            signed.split(';').any(|name| name == needed),
            "{needed} is not signed"
        );
    }
    let lines: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name)))
        .collect();
    let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    assert_eq!(request.line, "POST / HTTP/1.1");
    let canonical = format!("POST\n/\n\n{lines}\n{signed}\n{}", hash(&request.body));
    let date = header("x-amz-date");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hash(canonical.as_bytes())
    );
    let sign = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let first = format!("AWS4{SECRET}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| sign(&key, part));
    let service = if signed.contains("x-amz-target") {
        "sqs"
    } else {
        "sns"
    };
    let is_in_scope = scope.ends_with(&format!("/eu-west-1/{service}/aws4_request"));
    if hex(&sign(&key, &text)) == part("Signature=") && date.starts_with(&scope[..8]) && is_in_scope
    {
        return Ok(());
    }
    let why = "The request signature we calculated does not match".to_owned();
    Err(("SignatureDoesNotMatch", why))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sqs(request: &Request, state: &State) -> Result<String, Refusal> {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let target = &request.headers["x-amz-target"];
    let action = target.strip_prefix("AmazonSQS.").expect("SQS");
    state.called(action)?;
    let answer = state.sqs(action, &body)?;
    Ok(answer.map_or(String::new(), |answer| answer.to_string()))
}

fn sns(request: &Request, state: &State) -> Result<String, Refusal> {
    let text = std::str::from_utf8(&request.body).expect("UTF-8");
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let decode = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.expect("UTF-8").into_owned()
    };
    let form: BTreeMap<String, String> = pairs.map(|(n, v)| (decode(n), decode(v))).collect();
    let action = form["Action"].clone();
    state.called(&action)?;
    let result = state.sns(&action, &form)?;
    Ok(format!(
        "<{action}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><{action}Result>{result}\
         </{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
         </{action}Response>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
