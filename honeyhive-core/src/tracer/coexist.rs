//! Life beside other OpenTelemetry code in the process: a tracer keeps a provider of its own, unless it is
//! asked to be the global one or to listen to a provider that is there. Nobody's provider is replaced.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use once_cell::sync::OnceCell;
use opentelemetry::{
    Context, global,
    trace::{Span as _, SpanContext, TraceContextExt, TraceFlags, TraceState, Tracer},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, SpanProcessor},
};

use super::{HoneyHiveTracer, IdsForSdk, processor::Intake};
use crate::ConfigError;

/// How a tracer stands to the rest of OpenTelemetry in the process. Shown as a sentence.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::Integration;
///
/// assert_eq!(tracer.integration(), Integration::Own { foreign_global: false });
/// println!("{}", tracer.integration());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Integration {
    /// The tracer is disabled.
    Off,
    /// It has a provider of its own. What others make on theirs stays there.
    Own {
        /// Whether somebody else's provider is the global one.
        foreign_global: bool,
    },
    /// Its provider is the global one.
    Global,
    /// It also listens to a provider of somebody else's.
    Attached,
}

impl fmt::Display for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Tracing is disabled: nothing is recorded, and other OpenTelemetry code is not touched.",
            Self::Own { foreign_global: false } => {
                "honeyhive has a provider of its own, and none is global. Spans of `#[trace]` and of instrumentors that \
                 were given `tracer.provider()` arrive; code that asks for the global provider is not traced. \
                 `tracer.install_global()` would change that."
            }
            Self::Own { foreign_global: true } => {
                "honeyhive has a provider of its own beside the global one, which is somebody else's. Spans nest in each \
                 other and go each their own way, none twice. To see the other's spans in HoneyHive too, build its \
                 provider with `tracer.span_processor()`."
            }
            Self::Global => {
                "honeyhive's provider is the global one: spans of any OpenTelemetry instrumentation arrive. To send them \
                 elsewhere too, build the tracer with `.otlp(…)` or `.also(…)`."
            }
            Self::Attached => {
                "honeyhive listens to a provider of somebody else's through `tracer.span_processor()`: its spans go there \
                 and arrive here, once each, beside those of `#[trace]` and instrumentors."
            }
        })
    }
}

/// The tracer whose provider is the global one lives as long as that does.
static GLOBAL: OnceCell<HoneyHiveTracer> = OnceCell::new();

impl HoneyHiveTracer {
    /// Makes this tracer's provider the global one of OpenTelemetry, and W3C trace context the global
    /// propagator, for instrumentation that takes no provider.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// # let tracer = recorder.tracer();
    /// use opentelemetry::{global, trace::Tracer};
    ///
    /// tracer.install_global()?;
    /// global::tracer("a library").in_span("theirs", |_| ());
    /// assert_eq!(recorder.tree(), "tool theirs\n");
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When another provider is global already: replacing it would lose its spans.
    pub fn install_global(&self) -> Result<(), ConfigError> {
        let core = self.core();
        if !core.is_enabled() || self.is_global() {
            return Ok(());
        }
        if has_global() {
            let fix = "another OpenTelemetry provider is global; build that one with \
                       `.with_span_processor(tracer.span_processor())` instead, so that its spans go both ways";
            return Err(ConfigError::new("install_global", "", fix));
        }
        global::set_tracer_provider(self.provider().clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        let _ = GLOBAL.set(self.clone());
        Ok(())
    }

    /// Returns a processor for a provider of your own: its spans then come here too, with the session that is in
    /// scope as they start. They get this tracer's attributes (`honeyhive.session_id` and others), which its other
    /// processors see as well.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// # let tracer = recorder.tracer();
    /// use opentelemetry::trace::{Tracer, TracerProvider};
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    ///
    /// let yours = SdkTracerProvider::builder().with_span_processor(tracer.span_processor()).build();
    /// yours.tracer("a library").in_span("theirs", |_| ());
    /// assert_eq!(recorder.tree(), "tool theirs\n");
    /// ```
    pub fn span_processor(&self) -> impl SpanProcessor + 'static {
        self.core().attached.store(true, Ordering::Relaxed);
        Intake { core: Arc::clone(self.core()), keeps: Some(self.clone()) }
    }

    fn is_global(&self) -> bool {
        GLOBAL.get().is_some_and(|tracer| tracer.same_as(self))
    }

    /// Tells how this tracer stands to the rest of OpenTelemetry in the process.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// use honeyhive_core::Integration;
    ///
    /// tracer.install_global()?;
    /// assert_eq!(tracer.integration(), Integration::Global);
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    pub fn integration(&self) -> Integration {
        let core = self.core();
        match () {
            () if !core.is_enabled() => Integration::Off,
            () if self.is_global() => Integration::Global,
            () if core.attached.load(Ordering::Relaxed) => Integration::Attached,
            () => Integration::Own { foreign_global: has_global() },
        }
    }
}

/// Tells whether a provider is global. The API does not say; but under a parent that is not sampled a real one
/// gives a span with an id of its own, which it does not record, and the one that does nothing gives the parent's.
fn has_global() -> bool {
    let parent = SpanContext::new(
        IdsForSdk.new_trace_id(),
        IdsForSdk.new_span_id(),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    );
    let id = parent.span_id();
    let parent = Context::new().with_remote_span_context(parent);
    let tracer = global::tracer("honeyhive");
    let span = tracer.build_with_context(tracer.span_builder("is a provider global?"), &parent);
    span.span_context().span_id() != id
}
