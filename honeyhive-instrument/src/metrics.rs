//! Metrics of model calls: what a convention measures, recorded by an OpenTelemetry meter. Conventions name
//! instruments and values; they know no meter.

use std::{collections::HashMap, sync::Arc};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider},
};

/// How values of an instrument add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// They are counted.
    Counter,
    /// They are sorted into buckets.
    Histogram,
}

/// An instrument, by the name that its convention gives it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Instrument {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit, as UCUM or as the convention has it.
    pub unit: &'static str,
    /// What it measures.
    pub description: &'static str,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

impl Instrument {
    /// Names an instrument; a counter has no buckets.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        unit: &'static str,
        description: &'static str,
        buckets: &'static [f64],
    ) -> Self {
        Self { name, kind, unit, description, buckets }
    }
}

/// Instruments as rows: `NAME = Kind "name", "unit", buckets, "description";`.
macro_rules! instruments {
    ($($name:ident = $kind:ident $key:literal, $unit:literal, $buckets:expr, $description:literal;)*) => {$(
        pub(super) static $name: $crate::metrics::Instrument = $crate::metrics::Instrument {
            name: $key,
            kind: $crate::metrics::Kind::$kind,
            unit: $unit,
            description: $description,
            buckets: $buckets,
        };
    )*};
}

pub(crate) use instruments;

/// Bounds for durations in seconds, of OpenTelemetry's GenAI conventions.
pub(crate) const SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Bounds for tokens, of the same.
pub(crate) const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What was measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Measure {
    /// By what.
    pub instrument: &'static Instrument,
    /// How much.
    pub value: f64,
    /// Of what.
    pub attributes: Vec<KeyValue>,
}

impl Measure {
    /// Says what was measured.
    pub fn new(instrument: &'static Instrument, value: f64, attributes: Vec<KeyValue>) -> Self {
        Self { instrument, value, attributes }
    }
}

/// Bounds for what calls cost; no convention has a name for it.
const DOLLARS: &[f64] = &[0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0];

instruments! {
    COST = Histogram "honeyhive.client.operation.cost", "USD", DOLLARS, "Cost of a model call in US dollars";
}

/// The cost of a call, with the attributes that the convention gives its other measures.
pub(crate) fn cost(total: f64, attributes: Vec<KeyValue>) -> Measure {
    Measure { instrument: &COST, value: total, attributes }
}

/// A meter and the instruments that were made with it.
#[derive(Clone)]
pub(crate) struct Meters(Arc<Inner>);

impl PartialEq for Meters {
    /// Two of one provider are still two: their instruments are their own.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

struct Inner {
    meter: Meter,
    made: std::sync::Mutex<HashMap<&'static str, Made>>,
}

#[derive(Clone)]
enum Made {
    Counter(Counter<f64>),
    /// Counts stay whole numbers.
    Whole(Counter<u64>),
    Histogram(Histogram<f64>),
    WholeHistogram(Histogram<u64>),
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    pub(crate) fn new(provider: &dyn MeterProvider, scope: String) -> Self {
        let scope = InstrumentationScope::builder(scope).with_version(env!("CARGO_PKG_VERSION")).build();
        Self(Arc::new(Inner { meter: provider.meter_with_scope(scope), made: std::sync::Mutex::default() }))
    }

    pub(crate) fn record(&self, measure: &Measure) {
        let Measure { instrument, value, attributes } = measure;
        // Whole and in range: counts of tokens, choices and errors.
        let whole = *value as u64;
        match self.made(instrument) {
            Made::Counter(counter) => counter.add(*value, attributes),
            Made::Whole(counter) => counter.add(whole, attributes),
            Made::Histogram(histogram) => histogram.record(*value, attributes),
            Made::WholeHistogram(histogram) => histogram.record(whole, attributes),
        }
    }

    fn made(&self, instrument: &'static Instrument) -> Made {
        let mut made = self.0.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        made.entry(instrument.name).or_insert_with(|| make(&self.0.meter, instrument)).clone()
    }
}

fn make(meter: &Meter, instrument: &'static Instrument) -> Made {
    let Instrument { name, kind, unit, description, buckets } = instrument;
    let is_fraction = matches!(*unit, "s" | "ms" | "USD");
    match (kind, is_fraction) {
        (Kind::Counter, true) => {
            Made::Counter(meter.f64_counter(*name).with_unit(*unit).with_description(*description).build())
        }
        (Kind::Counter, false) => {
            Made::Whole(meter.u64_counter(*name).with_unit(*unit).with_description(*description).build())
        }
        (Kind::Histogram, true) => {
            let histogram = meter.f64_histogram(*name).with_unit(*unit).with_description(*description);
            Made::Histogram(histogram.with_boundaries(buckets.to_vec()).build())
        }
        (Kind::Histogram, false) => {
            let histogram = meter.u64_histogram(*name).with_unit(*unit).with_description(*description);
            Made::WholeHistogram(histogram.with_boundaries(buckets.to_vec()).build())
        }
    }
}
