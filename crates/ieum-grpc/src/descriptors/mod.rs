//! Descriptors: what the messages and methods of a service look like, known at run time.
//!
//! They come from a file that was committed with the configuration ([`Descriptors::from_set`]) or from
//! the service itself, by the reflection protocol ([`reflection`]). Both are bounded, since a service
//! may be wrong about itself.

pub mod reflection;

use std::collections::{BTreeSet, VecDeque};

use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor, ServiceDescriptor};
use prost_types::FileDescriptorProto;

use crate::status;

/// Files with everything that they import. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Descriptors {
    pool: DescriptorPool,
    /// What the details of a status may be, beside what is in the files.
    details: DescriptorPool,
}

/// Descriptors that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct DescriptorError {
    why: String,
}

impl DescriptorError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

impl Descriptors {
    /// The most bytes that a set may have.
    pub const MOST_BYTES: usize = 16 << 20;
    /// The most files that a set may have.
    pub const MOST_FILES: usize = 2_000;

    /// Reads a `google.protobuf.FileDescriptorSet` as `protoc --include_imports
    /// --descriptor_set_out` and `buf build` write it. What protobuf itself defines may be missing.
    ///
    /// # Errors
    /// Says which imported file is missing, or what else is wrong.
    pub fn from_set(bytes: &[u8]) -> Result<Self, DescriptorError> {
        if bytes.len() > Self::MOST_BYTES {
            let most = Self::MOST_BYTES >> 20;
            return Err(DescriptorError::new(format!(
                "the descriptors have more than {most} MiB"
            )));
        }
        let set = RawSet::decode(bytes);
        let set = set.map_err(|error| {
            DescriptorError::new(format!(
                "these are no descriptors (FileDescriptorSet): {error}"
            ))
        })?;
        Self::from_files(set.file)
    }

    /// From the files' own bytes, so that options of whatever kind are kept.
    pub(crate) fn from_files(files: Vec<Vec<u8>>) -> Result<Self, DescriptorError> {
        if files.len() > Self::MOST_FILES {
            let most = Self::MOST_FILES;
            return Err(DescriptorError::new(format!(
                "there are more than {most} files"
            )));
        }
        let mut names = BTreeSet::new();
        let mut imports = VecDeque::new();
        for bytes in &files {
            let file = read_file(bytes)?;
            imports.extend(
                file.dependency
                    .iter()
                    .map(|d| (d.clone(), file.name().to_owned())),
            );
            names.insert(file.name().to_owned());
        }
        let mut all = RawSet { file: files };
        while let Some((import, by)) = imports.pop_front() {
            if names.contains(&import) {
                continue;
            }
            let own = built_in(&import).ok_or_else(|| missing(&import, &by))?;
            let deeper = own.dependency.iter().map(|d| (d.clone(), import.clone()));
            imports.extend(deeper);
            all.file.push(own.encode_to_vec());
            names.insert(import);
        }
        let contradiction = |error: prost_reflect::DescriptorError| {
            DescriptorError::new(format!("the descriptors contradict themselves: {error}"))
        };
        let pool = DescriptorPool::decode(all.encode_to_vec().as_slice());
        Ok(Self {
            pool: pool.map_err(contradiction)?,
            details: status::known::pool().map_err(contradiction)?,
        })
    }

    /// The service with this full name.
    ///
    /// # Errors
    /// If there is none; says which there are.
    pub fn service(&self, name: &str) -> Result<ServiceDescriptor, DescriptorError> {
        self.pool.get_service_by_name(name).ok_or_else(|| {
            let known: Vec<_> = self
                .pool
                .services()
                .map(|s| s.full_name().to_owned())
                .collect();
            let known = match known.as_slice() {
                [] => "there are no services in them".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            DescriptorError::new(format!(
                "`{name}` is no service of the descriptors; {known}"
            ))
        })
    }

    /// The message with this full name, in the files or among those that details are made of.
    pub(crate) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        let own = self.pool.get_message_by_name(name);
        own.or_else(|| self.details.get_message_by_name(name))
    }

    /// The same as one set, as [`Descriptors::from_set`] reads it.
    pub fn to_set(&self) -> Vec<u8> {
        self.pool.encode_to_vec()
    }
}

pub(crate) fn read_file(bytes: &[u8]) -> Result<FileDescriptorProto, DescriptorError> {
    FileDescriptorProto::decode(bytes)
        .map_err(|error| DescriptorError::new(format!("a file's descriptor is damaged: {error}")))
}

/// The files of protobuf itself, which every implementation brings along.
pub(crate) fn built_in(name: &str) -> Option<FileDescriptorProto> {
    let file = DescriptorPool::global().get_file_by_name(name)?;
    Some(file.file_descriptor_proto().clone())
}

fn missing(import: &str, by: &str) -> DescriptorError {
    DescriptorError::new(format!(
        "the file `{import}`, which `{by}` imports, is missing (protoc adds it with --include_imports)"
    ))
}

/// `FileDescriptorSet` whose files stay as they are: prost's own messages forget extensions.
#[derive(Clone, PartialEq, Message)]
struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}
