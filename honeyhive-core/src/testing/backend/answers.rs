//! What the fake server answers when it is asked: events that it received, and datasets that it was given.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use url::Url;

use super::{Reply, Request};

/// Datasets by id: datapoints, each with an `id`.
pub(super) type Datasets = BTreeMap<String, Vec<Json>>;

/// Returns path and query of a request.
pub(super) fn split(request: &Request) -> (String, Vec<(String, String)>) {
    let url = Url::parse("http://loopback").and_then(|base| base.join(request.path()));
    url.map(|url| (url.path().to_owned(), url.query_pairs().into_owned().collect())).unwrap_or_default()
}

/// `GET /v1/datasets?dataset_id=…`: their datapoints are ids only.
pub(super) fn datasets(datasets: &Datasets, query: &[(String, String)]) -> Reply {
    let asked = |id: &str| query.iter().any(|(key, value)| key == "dataset_id" && value == id);
    let found = datasets.iter().filter(|(id, _)| asked(id)).map(|(id, points)| {
        let ids: Vec<_> = points.iter().map(|point| &point["id"]).collect();
        json!({ "id": id, "name": id, "datapoints": ids })
    });
    Reply::json(200, json!({ "datasets": found.collect::<Vec<_>>() }).to_string())
}

/// `GET /v1/datapoints?datapoint_ids[]=…`
pub(super) fn datapoints(datasets: &Datasets, query: &[(String, String)]) -> Reply {
    let asked = |point: &&Json| query.iter().any(|(key, value)| key == "datapoint_ids[]" && point["id"] == *value);
    let found: Vec<_> = datasets.values().flatten().filter(asked).collect();
    Reply::json(200, json!({ "datapoints": found }).to_string())
}

/// `POST /v1/events/export`
pub(super) fn export<'a>(events: impl Iterator<Item = &'a Json>, body: &Json) -> Reply {
    let none = vec![];
    let filters = body["filters"].as_array().unwrap_or(&none);
    let found: Vec<_> = events.filter(|event| filters.iter().all(|filter| holds(event, filter))).collect();
    let number = |field: &str, default| body[field].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    let (limit, page) = (number("limit", 1_000), number("page", 1));
    let shown: Vec<_> = found.iter().skip(limit * page.saturating_sub(1)).take(limit).collect();
    Reply::json(200, json!({ "events": shown, "count": found.len() }).to_string())
}

fn holds(event: &Json, filter: &Json) -> bool {
    let (field, value) = (filter["field"].as_str().unwrap_or_default(), &filter["value"]);
    // Keys of metadata have dots in them.
    let found = match field.split_once('.') {
        Some((part, key)) => &event[part][key],
        None => &event[field],
    };
    let contains = || found.as_str().zip(value.as_str()).is_some_and(|(text, part)| text.contains(part));
    match filter["operator"].as_str() {
        Some("is") => found == value,
        Some("is not") => found != value,
        Some("contains") => contains(),
        Some("not contains") => !contains(),
        Some("greater than") => found.as_f64() > value.as_f64(),
        _ => false,
    }
}
