//! Settings in words, for people who look for what is wrong. Never a key.

use super::{Config, alternates};
use crate::HoneyHiveTracer;

/// A setting as it came out.
///
/// ```
/// let tracer = honeyhive_core::HoneyHiveTracer::init().project("my-agent").disabled(true).build()?;
/// let settings = tracer.settings();
/// let find = |variable| settings.iter().find(|setting| setting.variables().contains(&variable)).unwrap();
/// assert_eq!(find("HH_PROJECT").value(), "my-agent");
/// assert_eq!(find("OTEL_SERVICE_NAME").variable(), "HH_SERVICE_NAME");
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    variable: &'static str,
    value: String,
}

impl Setting {
    /// Returns the variable that it can be set with.
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns all variables that it can be set with.
    pub fn variables(&self) -> Vec<&'static str> {
        let further: &[&str] = if self.variable == "HH_API_KEY" { &["HH_INGESTION_API_KEY"] } else { &[] };
        let names = std::iter::once(self.variable).chain(further.iter().copied());
        names.chain(alternates(self.variable).iter().copied()).collect()
    }

    /// Returns its value in words; of a key only whether there is one.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl HoneyHiveTracer {
    /// Returns the settings that code, environment and defaults came to. No key is among them.
    ///
    /// ```
    /// # let tracer = honeyhive_core::HoneyHiveTracer::init().api_key("s3cret").disabled(true).build()?;
    /// assert!(tracer.settings().iter().any(|it| it.variable() == "HH_API_KEY" && it.value() == "set (6 characters)"));
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    pub fn settings(&self) -> Vec<Setting> {
        describe(self.config())
    }
}

fn describe(config: &Config) -> Vec<Setting> {
    let none = || "none".to_owned();
    let key = config.key.as_ref().map(|key| format!("set ({} characters)", key.reveal().len()));
    let pairs = [
        ("HH_API_KEY", key.unwrap_or_else(none)),
        ("HH_API_URL", config.server_url.to_string()),
        ("HH_PROJECT", config.project.clone().unwrap_or_else(none)),
        ("HH_SOURCE", config.source.clone()),
        ("HH_SERVICE_NAME", config.service_name.clone()),
        ("HH_OTLP_PROTOCOL", format!("{:?}", config.protocol)),
        ("HH_COMPRESSION", config.compression.map_or("by address".to_owned(), |it| format!("{it:?}").to_lowercase())),
        ("HH_EXPORT_TIMEOUT", format!("{:?}", config.export_timeout)),
        ("HH_FLUSH_INTERVAL", format!("{:?}", config.flush_interval)),
        ("HH_BATCH_SIZE", config.batch_size.to_string()),
        ("HH_QUEUE_BYTES", config.queue_bytes.to_string()),
        ("HH_DURABILITY", format!("{:?}", config.durability).to_lowercase()),
        ("HH_SPOOL_DIR", config.spool_dir.as_ref().map_or_else(none, |dir| dir.display().to_string())),
        ("HH_SPOOL_BYTES", config.spool_bytes.to_string()),
        ("HH_SPOOL_AGE", format!("{:?}", config.spool_age)),
        ("HH_SPOOL_FREE_PERCENT", config.spool_free.percent.to_string()),
        ("HH_BISECT_REFUSED", config.bisect_refused.to_string()),
        ("HH_KEEP_LOCAL", config.keep_local.to_string()),
        ("HH_LOCAL_DIR", config.local_dir.display().to_string()),
        ("HH_CONSOLE", format!("{:?}", config.console).to_lowercase()),
        ("HH_CAPTURE_CONTENT", config.capture_content.to_string()),
        ("HH_MAX_ATTRIBUTES", config.max_attributes.to_string()),
        ("HH_MAX_EVENTS", config.max_events.to_string()),
        ("HH_MAX_OPEN_SPANS", config.max_open_spans.to_string()),
        ("HH_DISABLE_TRACING", config.disabled.to_string()),
        ("HH_SAMPLE_RATE", config.sample_rate.to_string()),
    ];
    pairs.into_iter().map(|(variable, value)| Setting { variable, value }).collect()
}
