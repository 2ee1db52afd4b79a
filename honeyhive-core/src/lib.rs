//! The runtime of honeyhive for Rust: tracers, spans, sessions, and their way to HoneyHive, to any
//! OpenTelemetry backend, or to a local directory.
//!
//! Users depend on the `honeyhive` crate, which re-exports this one. It knows no model provider, no
//! attribute convention of theirs and no client library.
//!
//! In reading order: [`HoneyHiveTracer`] and [`TracerBuilder`], [`Span`], [`Session`], [`Value`],
//! [`propagation`], [`Exporter`] and [`Report`], [`testing`].

mod api;
mod attr;
mod attributes;
mod clock;
mod config;
mod console;
mod context;
mod default;
mod diag;
mod door;
mod ending;
mod enrich;
mod error;
mod event;
mod event_query;
mod export;
mod forest;
mod hold;
mod init;
mod instrumented;
mod live;
mod new_event;
mod private;
pub mod propagation;
mod record;
mod seal;
mod secret;
mod session;
mod sheet;
mod span;
mod span_kind;
mod span_record;
mod start;
mod status;
#[cfg(unix)]
mod stderr;
mod stream;
pub mod testing;
mod thread;
mod tracer;
mod update;
mod value;
mod wire;

pub use self::attr::Bucket;
pub use self::config::{Compression, Console, DEFAULT_LOCAL_DIR, DEFAULT_SERVER_URL, Durability, Protocol, Setting};
pub use self::context::{ContextGuard, current_tracer};
pub use self::default::{default_tracer, set_default_tracer};
pub use self::enrich::current_event_id;
pub use self::error::ConfigError;
pub use self::event::{EventType, UnknownEventType};
pub use self::event_query::{Event, EventPage, EventQuery, Operator};
#[cfg(all(unix, feature = "signal-hook"))]
pub use self::export::flush_on_signals;
pub use self::export::{
    Also, Batch, Checked, CheckedDirectory, Exporter, Exporting, Forwarded, Health, OtelExporter, Otlp, Report,
    RequestError, Sent, store,
};
pub use self::hold::Visibility;
pub use self::init::{Guard, init};
pub use self::instrumented::InContext;
pub use self::new_event::NewEvent;
pub use self::session::Session;
pub use self::span::{Instrumented, Span, SpanBuilder, SpanGuard};
pub use self::span_kind::SpanKind;
pub use self::span_record::{SpanEvent, SpanRecord};
pub use self::status::Status;
pub use self::stream::TraceStream;
pub use self::tracer::builder::TracerBuilder;
pub use self::tracer::coexist::Integration;
pub use self::tracer::{HoneyHiveTracer, LazyTracer};
pub use self::update::EventUpdate;
pub use self::value::{MASK, MAX_DEPTH, MAX_TEXT_BYTES, MAX_VALUE_BYTES, MAX_WIDTH, Value};

/// What the macros expand to; it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::private::*;
}
