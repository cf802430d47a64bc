//! Which formats are written into outgoing messages.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One format, by its name in OpenTelemetry's `OTEL_PROPAGATORS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Propagator {
    /// W3C Trace Context: `traceparent` and `tracestate`.
    TraceContext,
    /// B3 as one header.
    B3,
    /// B3 as several headers.
    B3Multi,
}

/// The formats that are written; W3C alone by default. All of them are always read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Vec<Propagator>", into = "Vec<Propagator>")]
#[schemars(with = "Vec<Propagator>")]
pub struct Propagators {
    /// [`Propagator::TraceContext`].
    pub w3c: bool,
    /// [`Propagator::B3`].
    pub b3: bool,
    /// [`Propagator::B3Multi`].
    pub b3_multi: bool,
}

impl Propagators {
    const NONE: Self = Self {
        w3c: false,
        b3: false,
        b3_multi: false,
    };

    const fn with(mut self, propagator: Propagator) -> Self {
        match propagator {
            Propagator::TraceContext => self.w3c = true,
            Propagator::B3 => self.b3 = true,
            Propagator::B3Multi => self.b3_multi = true,
        }
        self
    }
}

impl Default for Propagators {
    fn default() -> Self {
        Self::NONE.with(Propagator::TraceContext)
    }
}

impl From<Vec<Propagator>> for Propagators {
    fn from(list: Vec<Propagator>) -> Self {
        list.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<Propagators> for Vec<Propagator> {
    fn from(set: Propagators) -> Self {
        let all = [
            (set.w3c, Propagator::TraceContext),
            (set.b3, Propagator::B3),
            (set.b3_multi, Propagator::B3Multi),
        ];
        all.into_iter()
            .filter_map(|(on, propagator)| on.then_some(propagator))
            .collect()
    }
}

/// The syntax of `OTEL_PROPAGATORS`: names with commas between them, or `none`. `baggage`, a part of
/// OpenTelemetry's default, is no trace context; it passes like any other header.
impl FromStr for Propagators {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .try_fold(Self::NONE, |set, name| match name {
                "tracecontext" => Ok(set.with(Propagator::TraceContext)),
                "b3" => Ok(set.with(Propagator::B3)),
                "b3multi" => Ok(set.with(Propagator::B3Multi)),
                "baggage" | "none" => Ok(set),
                other => Err(format!(
                    "`{other}` is no propagator: use tracecontext, b3, b3multi or none"
                )),
            })
    }
}
