//! Metrics of a case beside those that Traceloop's originals measured. The rules:
//!
//! - A point of ours stands for one of theirs if name and unit are the same and all attributes of theirs are among
//!   ours, which say more: an original writes the class of an error alone, ours also who failed.
//! - An address is left out: theirs is a URL, ours a host.
//! - The model is left out where the original has none, and of Bedrock: it keeps that in an object of all calls.
//! - Sums are compared, of times the number of values. Bounds are not: theirs are those of no unit.
//! - Choices: theirs are counted without and once more with the reason why they ended, ours with it.

use std::collections::BTreeMap;

use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use serde_json::{Value as Json, json};

use crate::{case::Case, compare::Difference};

/// One point: what it is of, and how much.
#[derive(Debug)]
pub(crate) struct Point {
    name: String,
    unit: String,
    attributes: BTreeMap<String, Json>,
    sum: f64,
}

const CHOICES: &str = "gen_ai.client.generation.choices";
const REASON: &str = "gen_ai.response.finish_reason";

impl Point {
    fn key(&self) -> String {
        let attributes: Vec<_> = self.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{} [{}] {}", self.name, self.unit, attributes.join(" "))
    }

    /// A choice without a reason is left out.
    fn counts(&self) -> bool {
        self.name != CHOICES || self.attributes.contains_key(REASON)
    }

    fn stands_for(&self, other: &Self) -> bool {
        let same = |(key, value): (&String, &Json)| self.attributes.get(key) == Some(value);
        self.name == other.name && self.unit == other.unit && other.attributes.iter().all(same)
    }
}

/// The points of the original.
pub(crate) fn expected(case: &Case) -> Vec<Point> {
    let metrics = case.metrics().into_iter().flat_map(|metric| {
        let points = metric["points"].as_array().cloned().unwrap_or_default();
        points.into_iter().map(move |point| (metric.clone(), point))
    });
    let compared = |(key, value): &(String, Json)| match key.as_str() {
        "server.address" => false,
        "gen_ai.response.model" => case.provider() != "bedrock" && value != "",
        _ => true,
    };
    let read = |(metric, point): (Json, Json)| {
        let is_time = point["sum"] == "<time>";
        let sum = ["value", "sum"].iter().find_map(|key| point[key].as_f64());
        let attributes = point["attributes"].as_object().cloned().unwrap_or_default();
        Point {
            name: metric["name"].as_str().unwrap().to_owned(),
            unit: metric["unit"].as_str().unwrap().to_owned(),
            attributes: attributes.into_iter().filter(compared).collect(),
            sum: if is_time { point["count"].as_f64() } else { sum }.unwrap(),
        }
    };
    metrics.map(read).filter(Point::counts).collect()
}

/// The points that a meter provider exported.
pub(crate) fn exported(all: &[ResourceMetrics]) -> Vec<Point> {
    let metrics = all.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(|scope| scope.metrics());
    metrics.flat_map(points).filter(Point::counts).collect()
}

fn points(metric: &Metric) -> Vec<Point> {
    macro_rules! read {
        ($data:expr, $sum:expr) => {
            $data
                .data_points()
                .map(|point| Point {
                    name: metric.name().to_owned(),
                    unit: metric.unit().to_owned(),
                    attributes: point.attributes().map(|kv| (kv.key.to_string(), plain(&kv.value))).collect(),
                    sum: $sum(point),
                })
                .collect()
        };
    }
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(data)) => {
            read!(data, |point: &opentelemetry_sdk::metrics::data::SumDataPoint<u64>| point.value() as f64)
        }
        AggregatedMetrics::U64(MetricData::Histogram(data)) => {
            read!(data, |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<u64>| point.sum() as f64)
        }
        AggregatedMetrics::F64(MetricData::Histogram(data)) => {
            read!(data, |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<f64>| point.count() as f64)
        }
        other => panic!("{other:?}"),
    }
}

fn plain(value: &opentelemetry::Value) -> Json {
    match value {
        opentelemetry::Value::Bool(value) => json!(value),
        opentelemetry::Value::I64(value) => json!(value),
        other => json!(other.as_str()),
    }
}

/// Tells what only one of the two measured, or measured otherwise.
pub(crate) fn compare(expected: &[Point], got: &[Point]) -> Vec<Difference> {
    let mut out = vec![];
    for theirs in expected {
        let sum: Option<f64> =
            got.iter().filter(|ours| ours.stands_for(theirs)).map(|ours| ours.sum).reduce(|a, b| a + b);
        if sum != Some(theirs.sum) {
            out.push(Difference { key: theirs.key(), expected: json!(theirs.sum), got: json!(sum) });
        }
    }
    for ours in got.iter().filter(|ours| !expected.iter().any(|theirs| ours.stands_for(theirs))) {
        out.push(Difference { key: ours.key(), expected: Json::Null, got: json!(ours.sum) });
    }
    out
}
