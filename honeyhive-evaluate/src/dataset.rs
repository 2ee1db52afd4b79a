//! Cases to run: from a file of JSON lines, from the program, or from HoneyHive. Ids of the former are those that the
//! Python SDK makes of the same data, so runs of both can be compared.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use honeyhive_core::{__private::evaluation as calls, HoneyHiveTracer};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value as Json, ser::Formatter};
use sha2::{Digest, Sha256};

/// What ids begin with that HoneyHive did not give.
const EXTERNAL: &str = "EXT-";
/// Longest wait for a dataset.
const PATIENCE: Duration = Duration::from_secs(60);

/// One case of a dataset.
///
/// ```
/// use honeyhive_evaluate::Dataset;
/// use serde_json::json;
///
/// let sum = json!({ "id": "sum", "inputs": { "q": "1 + 1" }, "ground_truth": "2" });
/// let dataset = Dataset::of([sum, json!("1 + 2")]);
/// let [sum, other] = dataset.cases() else { panic!("two cases") };
/// assert_eq!((sum.id.as_str(), &sum.inputs["q"]), ("EXT-sum", &json!("1 + 1")));
/// assert_eq!((&other.inputs, &other.ground_truth), (&json!("1 + 2"), &None));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Case {
    /// Its id: the one it came with, else one made of its content.
    pub id: String,
    /// What the function gets.
    pub inputs: Json,
    /// What it should return, where that is known.
    pub ground_truth: Option<Json>,
}

impl Case {
    fn new(id: String, point: Json) -> Self {
        match point {
            Json::Object(mut fields) if fields.contains_key("inputs") => {
                let inputs = fields.remove("inputs").unwrap_or_default();
                Self { id, inputs, ground_truth: fields.remove("ground_truth").filter(|truth| !truth.is_null()) }
            }
            inputs => Self { id, inputs, ground_truth: None },
        }
    }
}

/// Cases to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    id: String,
    cases: Vec<Case>,
}

/// A dataset that cannot be read.
///
/// ```
/// let error = honeyhive_evaluate::Dataset::jsonl("no-such-file.jsonl").unwrap_err();
/// assert!(error.to_string().starts_with("dataset no-such-file.jsonl: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetError(String);

impl fmt::Display for DatasetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DatasetError {}

impl Dataset {
    /// Makes a dataset of JSON objects: `inputs` and `ground_truth`, as in HoneyHive's datapoints, and `id` if there
    /// is one. Any other value is the inputs.
    ///
    /// ```
    /// use honeyhive_evaluate::Dataset;
    /// use serde_json::json;
    ///
    /// let dataset = Dataset::of([json!({ "inputs": { "q": "1 + 1" }, "ground_truth": "2" })]);
    /// assert_eq!(dataset.cases()[0].ground_truth, Some(json!("2")));
    /// assert!(dataset.id().starts_with("EXT-"));
    /// ```
    pub fn of(points: impl IntoIterator<Item = Json>) -> Self {
        let points: Vec<Json> = points.into_iter().collect();
        let id = external_id(&python_json(&Json::Array(points.clone())));
        let case = |(at, point): (usize, Json)| Case::new(own_id(at, &point), point);
        Self { id, cases: points.into_iter().enumerate().map(case).collect() }
    }

    /// Reads a file with one JSON value on each line; empty lines are left out.
    ///
    /// ```
    /// use honeyhive_evaluate::Dataset;
    ///
    /// # let path = std::env::temp_dir().join(format!("honeyhive-doctest-{}.jsonl", std::process::id()));
    /// # let lines = [r#"{ "inputs": { "q": "1 + 1" }, "ground_truth": "2" }"#, r#"{ "inputs": { "q": "1 + 2" } }"#];
    /// # std::fs::write(&path, lines.join("\n"))?;
    /// let dataset = Dataset::jsonl(&path)?;
    /// assert_eq!(dataset.cases().len(), 2);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has no case, or a line is no JSON; the message names the line.
    pub fn jsonl(path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let shown = path.as_ref().display();
        let text =
            fs::read_to_string(path.as_ref()).map_err(|error| DatasetError(format!("dataset {shown}: {error}")))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let points: Result<Vec<Json>, _> = lines
            .map(|(at, line)| {
                serde_json::from_str(line)
                    .map_err(|error| DatasetError(format!("dataset {shown}, line {}: {error}", at + 1)))
            })
            .collect();
        Self::of(points?).filled(&shown)
    }

    /// Reads a dataset that is kept in HoneyHive, in at most a minute. A run over it is shown there as a run of this
    /// dataset.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use honeyhive_evaluate::Dataset;
    ///
    /// let tracer = honeyhive_core::HoneyHiveTracer::init().build()?;
    /// let dataset = Dataset::honeyhive(&tracer, "66b2f1a0c9e77c0012345678").await?;
    /// println!("{} cases", dataset.cases().len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the tracer has no project key, the server cannot be reached or refuses, there is no such dataset or
    /// nothing in it, or one of its datapoints cannot be read.
    pub async fn honeyhive(tracer: &HoneyHiveTracer, id: &str) -> Result<Self, DatasetError> {
        let points = calls::dataset(tracer, id, PATIENCE).await.map_err(|error| DatasetError(error.to_string()))?;
        let case = |(at, point): (usize, Json)| {
            let given = point["id"].as_str().map(str::to_owned);
            Case::new(given.unwrap_or_else(|| own_id(at, &point)), point)
        };
        Self { id: id.to_owned(), cases: points.into_iter().enumerate().map(case).collect() }.filled(&id)
    }

    /// A dataset without a case is a mistake in what it was read from.
    fn filled(self, from: &dyn fmt::Display) -> Result<Self, DatasetError> {
        match self.cases.is_empty() {
            true => Err(DatasetError(format!("dataset {from}: there is no case in it"))),
            false => Ok(self),
        }
    }

    /// Returns whether HoneyHive knows it: runs name other datasets in their metadata.
    pub(crate) fn is_honeyhives(&self) -> bool {
        !self.id.starts_with(EXTERNAL)
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the cases.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

/// Returns the id of a case that HoneyHive does not know.
fn own_id(index: usize, point: &Json) -> String {
    let given = [&point["id"], &point["datapoint_id"]].into_iter().filter_map(Json::as_str).find(|id| !id.is_empty());
    match given {
        Some(id) if id.starts_with(EXTERNAL) => id.to_owned(),
        Some(id) => format!("{EXTERNAL}{id}"),
        None => external_id(&format!("{}{index}", python_json(point))),
    }
}

fn external_id(content: &str) -> String {
    let hash = Sha256::digest(content);
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{EXTERNAL}{hex}")
}

/// Writes JSON as Python's `json.dumps(…, sort_keys=True)` does, which is what ids are made of.
fn python_json(value: &Json) -> String {
    let mut out = vec![];
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Python);
    match Sorted(value).serialize(&mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Serialises maps in the order of their keys, whatever features serde_json has.
struct Sorted<'a>(&'a Json);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Json::Object(fields) => sorted(fields, serializer),
            other => other.serialize(serializer),
        }
    }
}

fn sorted<S: Serializer>(fields: &Map<String, Json>, serializer: S) -> Result<S::Ok, S::Error> {
    let fields: BTreeMap<_, _> = fields.iter().collect();
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    for (key, value) in fields {
        map.serialize_entry(key, &Sorted(value))?;
    }
    map.end()
}

/// A space after commas and colons, and nothing but ASCII.
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    /// As Python shows it: `1e-05`, `1e+16`.
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let shown = format!("{value:?}");
        match shown.split_once('e') {
            Some((digits, exponent)) => {
                let exponent: i32 = exponent.parse().unwrap_or_default();
                write!(writer, "{digits}e{exponent:+03}")
            }
            None => writer.write_all(shown.as_bytes()),
        }
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            match (' '..='~').contains(&c) {
                true => writer.write_all(&[c as u8])?,
                false => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The ids are what the Python SDK (1.7.0) makes of the same data.
    #[test]
    fn ids_are_those_of_the_python_sdk() {
        let points = [
            json!({ "inputs": { "q": "Grüße 😀", "a": [1, 2.5, null, true] }, "ground_truth": "x\"y\n" }),
            json!({ "inputs": {}, "id": "mine" }),
        ];
        let dataset = Dataset::of(points);
        let ids: Vec<_> = dataset.cases().iter().map(|case| case.id.as_str()).collect();
        assert_eq!((dataset.id(), ids), ("EXT-f111f061b7a2f8f9", vec!["EXT-27c487a8c78a1cfe", "EXT-mine"]));
    }

    /// As `json.dumps(value, sort_keys=True)` of Python 3.11 writes it.
    #[test]
    fn numbers_and_texts_are_written_as_python_writes_them() {
        let value = json!([0.0001, 1e-5, 1.5e-7, 1e15, 1e16, 1.5e300, -2.0, "\u{7f}~ é"]);
        let mut out = vec![];
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Python)).unwrap();
        let expected = r#"[0.0001, 1e-05, 1.5e-07, 1000000000000000.0, 1e+16, 1.5e+300, -2.0, "\u007f~ \u00e9"]"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let path = std::env::temp_dir().join(format!("honeyhive-dataset-{}.jsonl", std::process::id()));
        let error = |text: &str| {
            fs::write(&path, text).unwrap();
            Dataset::jsonl(&path).unwrap_err().to_string()
        };
        assert!(error("{}\n\n{\n").contains("line 3: "));
        assert!(error("\n").ends_with("there is no case in it"));
        fs::write(&path, "{\"inputs\": {\"q\": 1}}\n{\"q\": 2}\n").unwrap();
        let dataset = Dataset::jsonl(&path).unwrap();
        assert_eq!(dataset.cases()[1].inputs, json!({ "q": 2 }));
        fs::remove_file(&path).unwrap();
        assert!(Dataset::jsonl(&path).is_err());
    }
}
