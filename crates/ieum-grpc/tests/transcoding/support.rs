//! A transcoder for `testdata/test.proto`, and one door per direction.

use std::sync::LazyLock;

use http::Method;
use ieum_grpc::Descriptors;
use ieum_grpc::transcode::{Found, Match, Settings, TranscodeError, Transcoder};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protox::Compiler;

/// Files compiled with all that they import.
pub(crate) fn compile(folder: &str, file: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    let own = format!("{root}/{folder}");
    // The annotation's proto has one home.
    let shared = format!("{root}/../../shop/proto");
    let mut compiler = Compiler::new([own, shared]).expect("folders");
    compiler.include_imports(true);
    compiler.open_file(file).expect("a proto that compiles");
    compiler.encode_file_descriptor_set()
}

/// Compiled once: every test looks at it.
pub(crate) fn test_set() -> Vec<u8> {
    static SET: LazyLock<Vec<u8>> = LazyLock::new(|| compile("testdata", "test.proto"));
    SET.clone()
}

pub(crate) fn transcoder(settings: Settings) -> Transcoder {
    let descriptors = Descriptors::from_set(&test_set()).expect("descriptors");
    Transcoder::new(descriptors, &["test.v1.Things".to_owned()], settings).expect("sensible rules")
}

/// A transcoder beside a look at the messages that it makes.
pub(crate) struct Door {
    pub(crate) transcoder: Transcoder,
    pool: DescriptorPool,
}

impl Door {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            transcoder: transcoder(settings),
            pool: DescriptorPool::decode(test_set().as_slice()).expect("descriptors"),
        }
    }

    pub(crate) fn find(&self, request: &str) -> (Match, Option<String>) {
        let (method, target) = request.split_once(' ').expect("a method and a target");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        match self.transcoder.find(&method, path) {
            Found::Call(found) => (found, query),
            other => panic!("{request}: {other:?}"),
        }
    }

    /// The text format of the message that a request becomes.
    pub(crate) fn request(&self, request: &str, body: &str) -> Result<String, TranscodeError> {
        let (found, query) = self.find(request);
        let bytes = self
            .transcoder
            .request(&found, query.as_deref(), body.as_bytes())?;
        Ok(self.message(&bytes).to_string())
    }

    pub(crate) fn refused(&self, request: &str, body: &str) -> TranscodeError {
        match self.request(request, body) {
            Err(error) => error,
            Ok(message) => panic!("{request} {body} became {message}"),
        }
    }

    /// The JSON that a message is answered as; the message is written in the text format.
    pub(crate) fn answer(&self, request: &str, message: &str) -> String {
        let kind = self
            .pool
            .get_message_by_name("test.v1.Everything")
            .expect("a message");
        let message = DynamicMessage::parse_text_format(kind, message).expect("a message's text");
        let (found, _) = self.find(request);
        let answer = self.transcoder.answer(&found, &message.encode_to_vec());
        let answer = answer.expect("an answer");
        assert_eq!(answer.media_type, "application/json");
        String::from_utf8(answer.body.to_vec()).expect("UTF-8")
    }

    fn message(&self, bytes: &[u8]) -> DynamicMessage {
        let kind = self
            .pool
            .get_message_by_name("test.v1.Everything")
            .expect("a message");
        DynamicMessage::decode(kind, bytes).expect("a message")
    }
}
