//! Descriptors from sets and by reflection, and rules that make no sense.

use std::collections::BTreeMap;

use ieum_grpc::descriptors::reflection::Fetch;
use ieum_grpc::transcode::{Settings, Transcoder};
use ieum_grpc::{Descriptors, Reader};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::support::{compile, test_set};

const SERVICES: [&str; 1] = ["test.v1.Things"];

fn services() -> Vec<String> {
    SERVICES.map(str::to_owned).to_vec()
}

/// The files of a set, as their own bytes.
fn files() -> BTreeMap<String, Vec<u8>> {
    #[derive(Clone, PartialEq, Message)]
    struct Set {
        #[prost(bytes = "vec", repeated, tag = "1")]
        file: Vec<Vec<u8>>,
    }
    let set = Set::decode(test_set().as_slice()).expect("a set");
    let name = |bytes: &Vec<u8>| {
        let file = FileDescriptorProto::decode(bytes.as_slice()).expect("a file");
        file.name().to_owned()
    };
    set.file
        .into_iter()
        .map(|bytes| (name(&bytes), bytes))
        .collect()
}

/// A field of the length-delimited kind.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(value.len() as u64, &mut bytes);
    bytes.extend(value);
    bytes
}

/// The questions in a body: field number and text.
fn questions(body: &[u8]) -> Vec<(u8, String)> {
    let mut reader = Reader::new(1 << 20);
    reader.push(body);
    let mut questions = Vec::new();
    while let Some((_, message)) = reader.next_message().expect("messages") {
        let text = String::from_utf8(message[2..].to_vec()).expect("UTF-8");
        questions.push((message[0] >> 3, text));
    }
    questions
}

fn file_answer(file: &[u8]) -> Vec<u8> {
    field(4, &field(1, file))
}

#[test]
fn reflection_asks_for_what_is_imported_until_nothing_is_missing() {
    let files = files();
    let mut fetch = Fetch::new(&services());
    assert_eq!(
        questions(&fetch.ask().expect("a question")),
        [(4, "test.v1.Things".to_owned())]
    );
    fetch
        .answered(&file_answer(&files["test.proto"]))
        .expect("a file");
    let mut asked = Vec::new();
    while let Some(body) = fetch.ask() {
        for (kind, file) in questions(&body) {
            assert_eq!(kind, 3);
            fetch.answered(&file_answer(&files[&file])).expect("a file");
            asked.push(file);
        }
    }
    // What protobuf itself defines is here already.
    assert_eq!(
        asked,
        [
            "google/api/annotations.proto",
            "httpbody.proto",
            "google/api/http.proto"
        ]
    );
    let descriptors = fetch.finish().expect("complete");
    Transcoder::new(descriptors, &services(), Settings::default()).expect("sensible rules");
}

#[test]
fn reflection_says_what_the_service_does_not_know() {
    let mut fetch = Fetch::new(&services());
    fetch.ask().expect("a question");
    let asked = field(2, &field(4, b"test.v1.Things"));
    let error = field(7, &[&[8, 5][..], &field(2, b"no such symbol")].concat());
    let error = fetch
        .answered(&[asked, error].concat())
        .expect_err("unknown");
    assert!(
        error
            .to_string()
            .contains("`test.v1.Things`: no such symbol"),
        "{error}"
    );
    assert!(fetch.answered(b"\xff").is_err());
    assert!(fetch.answered(b"").is_err());
}

#[test]
fn reflection_that_goes_in_circles_or_has_no_end_comes_to_one() {
    let file = |name: &str, import: &str| [field(1, name.as_bytes()), field(3, import.as_bytes())];
    // Each file imports the other one.
    let mut fetch = Fetch::new(&services());
    let mut rounds = 0;
    while fetch.ask().is_some() {
        rounds += 1;
        for (name, import) in [("a", "b"), ("b", "a")] {
            let answer = file_answer(&file(name, import).concat());
            fetch.answered(&answer).expect("known");
        }
    }
    assert_eq!(rounds, 1);
    let circle = fetch.finish().expect("files");
    assert!(circle.service("test.v1.Things").is_err());
    // Each file imports one more.
    let mut fetch = Fetch::new(&services());
    let mut files = 0..=Descriptors::MOST_FILES;
    let given_up = files.find(|number| {
        assert!(fetch.ask().is_some());
        let file = file(&number.to_string(), &(number + 1).to_string());
        fetch.answered(&file_answer(&file.concat())).is_err()
    });
    assert_eq!(given_up, Some(Descriptors::MOST_FILES));
}

#[test]
fn a_missing_file_is_named_with_who_imports_it() {
    let only = FileDescriptorSet {
        file: vec![FileDescriptorProto::decode(files()["test.proto"].as_slice()).expect("a file")],
    };
    let error = Descriptors::from_set(&only.encode_to_vec()).expect_err("incomplete");
    let error = error.to_string();
    assert!(
        error.contains("`google/api/annotations.proto`, which `test.proto` imports"),
        "{error}"
    );
}

#[test]
fn what_protobuf_itself_defines_may_be_missing() {
    let mut files = files();
    files.retain(|name, _| !name.starts_with("google/protobuf/"));
    let set: Vec<u8> = files.values().flat_map(|file| field(1, file)).collect();
    let descriptors = Descriptors::from_set(&set).expect("complete");
    Transcoder::new(descriptors, &services(), Settings::default()).expect("sensible rules");
}

#[test]
fn a_set_survives_being_written() {
    let once = Descriptors::from_set(&test_set()).expect("a set");
    let twice = Descriptors::from_set(&once.to_set()).expect("a set");
    Transcoder::new(twice, &services(), Settings::default()).expect("sensible rules");
}

#[test]
fn an_unknown_service_is_told_with_those_that_are_known() {
    let descriptors = Descriptors::from_set(&test_set()).expect("a set");
    let error = Transcoder::new(
        descriptors,
        &["test.v1.Nope".to_owned()],
        Settings::default(),
    );
    let error = error.expect_err("unknown").to_string();
    assert!(
        error.contains("`test.v1.Nope`") && error.contains("test.v1.Things"),
        "{error}"
    );
}

#[test]
fn what_is_no_set_is_refused() {
    assert!(Descriptors::from_set(b"\xff\xff").is_err());
    assert!(Descriptors::from_set(&vec![0; Descriptors::MOST_BYTES + 1]).is_err());
}

#[test]
fn rules_that_make_no_sense_are_refused_with_their_method() {
    for (file, why) in [
        ("no_field.proto", "`nope` is no field of `bad.Message`"),
        (
            "message_variable.proto",
            "not one value that a path can spell",
        ),
        (
            "repeated_variable.proto",
            "not one value that a path can spell",
        ),
        ("no_body.proto", "has the body `nope`"),
        ("bad_template.proto", "must be last"),
        ("conflict.proto", "answer the same requests: GET /v1/{a=*}"),
    ] {
        let descriptors = Descriptors::from_set(&compile("testdata/bad", file)).expect("a set");
        let made = Transcoder::new(
            descriptors,
            &["bad.Service".to_owned()],
            Settings::default(),
        );
        let error = made.expect_err(file).to_string();
        assert!(error.contains(why), "{file}: {error}");
        assert!(error.contains("bad.Service."), "{file}: {error}");
    }
}

#[test]
fn services_without_any_rule_are_refused() {
    let descriptors = Descriptors::from_set(&compile("testdata/bad", "none.proto")).expect("a set");
    let services = ["bad.Service".to_owned()];
    assert!(Transcoder::new(descriptors.clone(), &services, Settings::default()).is_err());
    let settings = Settings {
        unannotated: true,
        ..Settings::default()
    };
    assert!(Transcoder::new(descriptors, &services, settings).is_ok());
}
