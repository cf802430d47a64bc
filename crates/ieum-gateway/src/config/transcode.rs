//! `transcode = { … }` of a route: services of gRPC, offered as HTTP with JSON.

use std::path::{Path, PathBuf};

use ieum_base::{ByteSize, HumanDuration};
use ieum_grpc::transcode::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Services of gRPC, offered as HTTP with JSON by their `google.api.http` annotations.
///
/// What is left of a request's path after `strip-prefix` or `rewrite` is matched with the templates of
/// the annotations. What the services look like is read from `descriptors`, a file that `protoc
/// --include_imports --descriptor_set_out` or `buf build` wrote, or asked of the service itself
/// (`reflection = true`).
///
/// ```toml
/// [[gateway.routes]]
/// name = "users-json"
/// path = "/api/users"
/// strip-prefix = "/api/users"
/// auth = "jwt"
/// transcode = { service = "users", descriptors = "users.binpb", services = ["shop.users.v1.Users"] }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TranscodeConfig {
    /// The service that answers, by its name in the registry. Either this or `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The fixed address that answers: `http://` or `https://`, host and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The services of gRPC that are offered, by their full names: `shop.users.v1.Users`. Required;
    /// 1 to 64.
    #[schemars(length(min = 1, max = 64))]
    pub services: Vec<String>,
    /// A file with a `google.protobuf.FileDescriptorSet`, relative to the configuration file. Either
    /// this or `reflection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<PathBuf>,
    /// Whether the service is asked for its descriptors (`grpc.reflection.v1`, or `v1alpha`). Until it
    /// has answered, requests are refused with 503; later the last descriptors that made sense stay in
    /// use. Default false.
    pub reflection: bool,
    /// How often the service is asked for its descriptors again, beside each change of its instances;
    /// drawn from 0.8 to 1.2 of it. Only with `reflection`. Default `1m`; `1s` to `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<HumanDuration>,
    /// Whether methods without an annotation answer `POST /package.Service/Method` with the message as
    /// the body. Default false.
    pub unannotated: bool,
    /// Whether answers have the fields whose value is the default: `0`, `""`, `false`, `[]`. Default
    /// true, as grpc-gateway does: who reads JSON without the `.proto` cannot know what an absent field
    /// means.
    pub print_defaults: bool,
    /// Whether unknown fields of a body are dropped instead of refused. Default false.
    pub ignore_unknown_fields: bool,
    /// Whether unknown parameters of a query are dropped instead of refused. Default false.
    pub ignore_unknown_parameters: bool,
    /// Parameters in a query. Default 100; 1 to 10,000.
    #[schemars(range(min = 1, max = 10000))]
    pub most_parameters: usize,
    /// Levels of objects and arrays in a body. Default 64; 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub deepest: usize,
    /// Values in a body. What becomes a message counts as 16, since it takes so much more memory.
    /// Default 100,000; 1 to 10,000,000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub most_values: usize,
    /// The largest message, in both directions. Default: `gateway.limits.message`; `1B` to `64MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message: Option<ByteSize>,
}

impl Default for TranscodeConfig {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            service: None,
            url: None,
            services: Vec::new(),
            descriptors: None,
            reflection: false,
            refresh: None,
            unannotated: settings.unannotated,
            print_defaults: settings.prints_defaults,
            ignore_unknown_fields: settings.ignores_unknown_fields,
            ignore_unknown_parameters: settings.ignores_unknown_parameters,
            most_parameters: settings.most_parameters,
            deepest: settings.deepest,
            most_values: settings.most_values,
            max_message: None,
        }
    }
}

impl TranscodeConfig {
    /// How often descriptors are asked for when nothing is configured.
    pub(crate) const REFRESH: HumanDuration = HumanDuration::from_secs(60);

    /// How requests and answers are translated.
    pub(crate) const fn settings(&self) -> Settings {
        Settings {
            unannotated: self.unannotated,
            prints_defaults: self.print_defaults,
            ignores_unknown_fields: self.ignore_unknown_fields,
            ignores_unknown_parameters: self.ignore_unknown_parameters,
            most_parameters: self.most_parameters,
            deepest: self.deepest,
            most_values: self.most_values,
        }
    }

    /// Takes a relative path of the descriptors from `folder`.
    pub(super) fn relative_to(&mut self, folder: &Path) {
        if let Some(path) = &mut self.descriptors {
            *path = folder.join(&*path);
        }
    }
}
