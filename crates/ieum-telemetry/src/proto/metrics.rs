//! Metrics.

use prost::{Message, Oneof};
use serde::{Deserialize, Serialize};

use super::json;
use super::{KeyValue, Resource, Scope};

/// An export of metrics.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsRequest {
    /// The metrics by who measured them.
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// The metrics of one service.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceMetrics {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The metrics by the part of the program.
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// The metrics of one part of a program.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeMetrics {
    /// The part.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// Its metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
}

/// One metric with its points.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    #[serde(default)]
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[serde(default)]
    #[prost(string, tag = "2")]
    pub description: String,
    /// Its unit.
    #[serde(default)]
    #[prost(string, tag = "3")]
    pub unit: String,
    /// Its points.
    #[serde(flatten)]
    #[prost(oneof = "Data", tags = "5, 7, 9, 10, 11")]
    pub data: Option<Data>,
}

/// The kinds of metrics.
#[derive(Clone, PartialEq, Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Data {
    /// What goes up and down.
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    /// What is counted.
    #[prost(message, tag = "7")]
    Sum(Sum),
    /// What is spread over buckets.
    #[prost(message, tag = "9")]
    Histogram(Histogram),
    /// What is spread over buckets that grow; counted and not read.
    #[prost(message, tag = "10")]
    ExponentialHistogram(Opaque),
    /// Quantiles; counted and not read.
    #[prost(message, tag = "11")]
    Summary(Opaque),
}

/// What goes up and down.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gauge {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberPoint>,
}

/// What is counted.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sum {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberPoint>,
    /// 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
    /// True if it only grows.
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

/// What is spread over buckets.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Histogram {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<HistogramPoint>,
    /// 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
}

/// Points that are only counted.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Opaque {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<Point>,
}

/// A point of which nothing is read.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct Point {}

/// One number at one time.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberPoint {
    /// Of what.
    #[serde(default)]
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// Since when it is counted.
    #[serde(default, with = "json::number")]
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// When it was read.
    #[serde(default, with = "json::number")]
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// The number.
    #[serde(flatten)]
    #[prost(oneof = "Number", tags = "4, 6")]
    pub value: Option<Number>,
}

/// A number.
#[derive(Clone, Copy, PartialEq, Oneof, Serialize, Deserialize)]
pub enum Number {
    /// With a fraction.
    #[serde(rename = "asDouble")]
    #[prost(double, tag = "4")]
    Double(f64),
    /// Whole.
    #[serde(rename = "asInt", with = "json::number")]
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

/// One histogram at one time.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HistogramPoint {
    /// Of what.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Since when it is counted.
    #[serde(with = "json::number")]
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// When it was read.
    #[serde(with = "json::number")]
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// How many there are.
    #[serde(with = "json::number")]
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// Their sum.
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    /// How many are in each bucket: one more than there are bounds.
    #[serde(with = "json::numbers")]
    #[prost(fixed64, repeated, tag = "6")]
    pub bucket_counts: Vec<u64>,
    /// The upper bounds of the buckets but the last.
    #[prost(double, repeated, tag = "7")]
    pub explicit_bounds: Vec<f64>,
}

impl MetricsRequest {
    /// How many points it has.
    pub fn points(&self) -> usize {
        let scopes = self.resource_metrics.iter().flat_map(|r| &r.scope_metrics);
        scopes.map(ScopeMetrics::points).sum()
    }
}

impl ScopeMetrics {
    /// How many points it has.
    pub fn points(&self) -> usize {
        let points = |metric: &Metric| match &metric.data {
            None => 0,
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Histogram(histogram)) => histogram.data_points.len(),
            Some(Data::ExponentialHistogram(opaque) | Data::Summary(opaque)) => {
                opaque.data_points.len()
            }
        };
        self.metrics.iter().map(points).sum()
    }
}
