//! The reflection protocol: a server says what it serves (`grpc.reflection.v1` and `v1alpha`, whose
//! messages are the same on the wire).
//!
//! [`Fetch`] decides what is to be asked and keeps what was answered; who calls brings the questions
//! there and the answers back. A server answers with the file of a service and mostly with all that
//! it imports; what is still missing is asked for by its name in the next round.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use super::{DescriptorError, Descriptors, built_in, read_file};
use crate::Prefix;

/// The methods that may answer, the newer one first. Who does not know it says `UNIMPLEMENTED`.
pub const METHODS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The descriptors of some services on their way here.
#[derive(Debug)]
pub struct Fetch {
    services: BTreeSet<String>,
    /// Files that are imported and not here.
    wanted: BTreeSet<String>,
    asked: BTreeSet<String>,
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl Fetch {
    /// Of these services, by their full names.
    pub fn new(services: &[String]) -> Self {
        Self {
            services: services.iter().cloned().collect(),
            wanted: BTreeSet::new(),
            asked: BTreeSet::new(),
            files: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// The body of the next call: questions as length-prefixed messages. `None` if nothing is
    /// missing any more. Each question is answered by one message for [`Fetch::answered`].
    pub fn ask(&mut self) -> Option<Vec<u8>> {
        let symbols = std::mem::take(&mut self.services);
        let files = std::mem::take(&mut self.wanted);
        let questions = symbols.into_iter().map(Question::FileContainingSymbol);
        let questions = questions.chain(files.iter().cloned().map(Question::FileByFilename));
        let mut body = Vec::new();
        for question in questions {
            let request = Request {
                question: Some(question),
            };
            let length = u32::try_from(request.encoded_len()).ok()?;
            let prefix = Prefix {
                is_compressed: false,
                length,
            };
            body.extend(prefix.write());
            body.extend(request.encode_to_vec());
        }
        self.asked.extend(files);
        (!body.is_empty()).then_some(body)
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// The server does not know what was asked for, answered something else, or too much.
    pub fn answered(&mut self, message: &[u8]) -> Result<(), DescriptorError> {
        let answer = Response::decode(message);
        let answer = answer.map_err(|error| {
            DescriptorError::new(format!("the answer of the reflection is damaged: {error}"))
        })?;
        let asked = answer.original_request.and_then(|request| request.question);
        match answer.answer {
            Some(Answer::Files(files)) => {
                for bytes in files.file_descriptor_proto {
                    self.keep(bytes)?;
                }
                Ok(())
            }
            Some(Answer::Error(error)) => {
                let asked = asked.map_or("what was asked for".to_owned(), |q| q.to_string());
                Err(DescriptorError::new(format!(
                    "the service's reflection does not know {asked}: {}",
                    error.error_message
                )))
            }
            None => Err(DescriptorError::new(
                "the service's reflection answered nothing",
            )),
        }
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<(), DescriptorError> {
        let file = read_file(&bytes)?;
        self.bytes += bytes.len();
        let fits =
            self.bytes <= Descriptors::MOST_BYTES && self.files.len() < Descriptors::MOST_FILES;
        if !fits {
            return Err(DescriptorError::new(
                "the service's descriptors are too large",
            ));
        }
        let name = file.name().to_owned();
        self.wanted.remove(&name);
        self.files.entry(name).or_insert(bytes);
        for import in file.dependency {
            let is_known = self.files.contains_key(&import)
                || self.asked.contains(&import)
                || built_in(&import).is_some();
            if !is_known {
                self.wanted.insert(import);
            }
        }
        Ok(())
    }

    /// All that was asked for, once [`Fetch::ask`] has no more questions.
    ///
    /// # Errors
    /// Says which file is missing, or what else is wrong.
    pub fn finish(self) -> Result<Descriptors, DescriptorError> {
        Descriptors::from_files(self.files.into_values().collect())
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FileByFilename(name) => write!(f, "the file `{name}`"),
            Self::FileContainingSymbol(name) => write!(f, "`{name}`"),
        }
    }
}

/// `ServerReflectionRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(oneof = "Question", tags = "3, 4")]
    question: Option<Question>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Question {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
}

/// `ServerReflectionResponse`.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "2")]
    original_request: Option<Request>,
    #[prost(oneof = "Answer", tags = "4, 7")]
    answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Answer {
    #[prost(message, tag = "4")]
    Files(Files),
    #[prost(message, tag = "7")]
    Error(Failure),
}

/// `FileDescriptorResponse`.
#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file_descriptor_proto: Vec<Vec<u8>>,
}

/// `ErrorResponse`.
#[derive(Clone, PartialEq, Message)]
struct Failure {
    #[prost(int32, tag = "1")]
    error_code: i32,
    #[prost(string, tag = "2")]
    error_message: String,
}
