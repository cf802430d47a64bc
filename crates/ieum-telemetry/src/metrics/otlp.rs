//! From families to OTLP: cumulative, since the process began to count.

use super::exposition::{Family, Kind, Sample};
use crate::proto::{
    Data, Gauge, Histogram, HistogramPoint, KeyValue, Metric, Number, NumberPoint, Sum,
};

/// The families as metrics, counted from `since` and read at `now`, in nanoseconds since 1970.
pub fn to_otlp(families: &[Family], since: u64, now: u64) -> Vec<Metric> {
    let filled = families.iter().filter(|family| !family.samples.is_empty());
    let metric = |family: &Family| Metric {
        name: family.name.clone(),
        description: family.help.clone(),
        unit: family.unit.clone(),
        data: Some(data(family, since, now)),
    };
    filled.map(metric).collect()
}

fn data(family: &Family, since: u64, now: u64) -> Data {
    let points = |suffix: &str, since| {
        let samples = family.samples.iter().filter(|s| s.suffix == suffix);
        samples.map(|sample| point(sample, since, now)).collect()
    };
    match family.kind {
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: points("", 0),
        }),
        Kind::Counter => Data::Sum(Sum {
            data_points: points("_total", since),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: histograms(&family.samples, since, now),
            aggregation_temporality: CUMULATIVE,
        }),
    }
}

fn point(sample: &Sample, since: u64, now: u64) -> NumberPoint {
    NumberPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: since,
        time_unix_nano: now,
        value: Some(number(sample.value)),
    }
}

/// Whole numbers stay whole, as far as a double can hold them exactly.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it was checked to be whole and small"
)]
fn number(value: f64) -> Number {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        Number::Int(value as i64)
    } else {
        Number::Double(value)
    }
}

fn attributes(labels: &[(String, String)]) -> Vec<KeyValue> {
    let labels = labels.iter().filter(|(name, _)| name != "le");
    labels
        .map(|(name, value)| KeyValue::new(name.as_str(), value.as_str()))
        .collect()
}

/// One point per set of labels. The buckets of the text count everything below their bound; those of
/// OTLP only what is in them.
fn histograms(samples: &[Sample], since: u64, now: u64) -> Vec<HistogramPoint> {
    let mut points: Vec<HistogramPoint> = Vec::new();
    for sample in samples {
        let attributes = attributes(&sample.labels);
        let known = points
            .iter()
            .position(|point| point.attributes == attributes);
        let at = known.unwrap_or_else(|| {
            points.push(HistogramPoint {
                attributes,
                start_time_unix_nano: since,
                time_unix_nano: now,
                ..HistogramPoint::default()
            });
            points.len() - 1
        });
        let point = &mut points[at];
        match sample.suffix.as_str() {
            "_sum" => point.sum = Some(sample.value),
            "_count" => point.count = count(sample.value),
            "_bucket" => {
                let below: u64 = point.bucket_counts.iter().sum();
                point
                    .bucket_counts
                    .push(count(sample.value).saturating_sub(below));
                let bound = sample.labels.iter().find(|(name, _)| name == "le");
                let bound = bound.and_then(|(_, bound)| bound.parse().ok());
                point
                    .explicit_bounds
                    .extend(bound.filter(|bound: &f64| bound.is_finite()));
            }
            _ => {}
        }
    }
    points
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and positive"
)]
const fn count(value: f64) -> u64 {
    value as u64
}

const CUMULATIVE: i32 = 2;

#[cfg(test)]
mod tests {
    use super::super::exposition::parse;
    use super::*;

    #[test]
    fn buckets_are_counted_apart_and_counters_since_the_start() {
        let text = "# TYPE r counter\nr_total{a=\"b\"} 3\n# TYPE t histogram\nt_sum 5.5\nt_count 6\n\
                    t_bucket{le=\"1.0\"} 2\nt_bucket{le=\"2.0\"} 5\nt_bucket{le=\"+Inf\"} 6\n# EOF\n";
        let metrics = to_otlp(&parse(text).expect("correct"), 10, 20);
        let Some(Data::Sum(sum)) = &metrics[0].data else {
            panic!("a sum: {metrics:?}");
        };
        assert_eq!(sum.data_points[0].value, Some(Number::Int(3)));
        assert_eq!(sum.data_points[0].start_time_unix_nano, 10);
        let Some(Data::Histogram(histogram)) = &metrics[1].data else {
            panic!("a histogram: {metrics:?}");
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.bucket_counts, [2, 3, 1]);
        assert_eq!(point.explicit_bounds, [1.0, 2.0]);
        assert_eq!((point.count, point.sum), (6, Some(5.5)));
    }
}
