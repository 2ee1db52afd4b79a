use std::time::Duration;

use super::{Compression, Config, Console, Durability, Explicit, Protocol};
use crate::{ConfigError, secret::Secret};

fn resolve(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    with(Explicit::default(), env)
}

fn with(explicit: Explicit, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::resolve(explicit, "prog", &|name| {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
    })
}

const INGESTION: &str =
    "hh_ingst_123456789012345678901234_1234567890123456789012345678901234567890123456789012345678901234";

#[test]
fn nothing_set_is_local_with_the_documented_defaults() {
    let config = resolve(&[]).unwrap();
    assert!(config.key.is_none());
    assert_eq!(config.source, "dev");
    assert_eq!(config.server_url.as_str(), "https://api.dp1.us.honeyhive.ai/");
    assert_eq!((config.session_name.as_str(), config.service_name.as_str()), ("prog", "prog"));
    assert_eq!(config.protocol, Protocol::HttpProtobuf);
    assert_eq!((config.batch_size, config.max_attributes, config.max_events), (512, 10_000, 128));
    assert_eq!((config.export_timeout, config.flush_interval), (Duration::from_secs(30), Duration::from_secs(1)));
    assert_eq!(config.local_dir.to_str(), Some("./.honeyhive"));
    assert_eq!(config.console, Console::Tree);
    assert!(!config.disabled);
}

#[test]
fn every_variable_has_an_effect() {
    let config = resolve(&[
        ("HH_API_KEY", " key \n"),
        ("HH_PROJECT", "p"),
        ("HH_SOURCE", "prod"),
        ("HH_API_URL", "http://127.0.0.1:8080/base/"),
        ("HH_SERVICE_NAME", "svc"),
        ("HH_OTLP_PROTOCOL", "http/json"),
        ("HH_EXPORT_TIMEOUT", "2.5"),
        ("HH_FLUSH_INTERVAL", "0.5"),
        ("HH_BATCH_SIZE", "7"),
        ("HH_QUEUE_BYTES", "70000"),
        ("HH_MAX_ATTRIBUTES", "99"),
        ("HH_MAX_EVENTS", "9"),
        ("HH_DISABLE_TRACING", "TRUE"),
        ("HH_SAMPLE_RATE", "0.25"),
        ("HH_LOCAL_DIR", "/x"),
        ("HH_CONSOLE", "line"),
        ("HH_COMPRESSION", "gzip"),
        ("HH_DURABILITY", "fsync"),
        ("HH_SPOOL_DIR", "/spool"),
        ("HH_SPOOL_BYTES", "2000000"),
        ("HH_SPOOL_AGE", "60"),
        ("HH_SPOOL_FREE_PERCENT", "5"),
        ("HH_BISECT_REFUSED", "yes"),
        ("HH_MAX_OPEN_SPANS", "7"),
        ("HH_KEEP_LOCAL", "1"),
        ("HH_CAPTURE_CONTENT", "false"),
    ])
    .unwrap();
    assert_eq!(config.key.unwrap().reveal(), "key");
    assert_eq!(config.project.as_deref(), Some("p"));
    assert_eq!(config.source, "prod");
    assert_eq!(config.server_url.as_str(), "http://127.0.0.1:8080/base");
    assert_eq!(config.service_name, "svc");
    assert_eq!(config.protocol, Protocol::HttpJson);
    assert_eq!(config.export_timeout, Duration::from_millis(2_500));
    assert_eq!(config.flush_interval, Duration::from_millis(500));
    assert_eq!((config.batch_size, config.queue_bytes), (7, 70_000));
    assert_eq!((config.max_attributes, config.max_events), (99, 9));
    assert!(config.disabled && !config.capture_content);
    assert_eq!(config.sample_rate, 0.25);
    assert_eq!(config.local_dir.to_str(), Some("/x"));
    assert_eq!(config.console, Console::Line);
    assert_eq!((config.compression, config.durability), (Some(Compression::Gzip), Durability::Fsync));
    assert_eq!(config.spool_dir.as_deref().and_then(|dir| dir.to_str()), Some("/spool"));
    assert_eq!(
        (config.spool_bytes, config.spool_age, config.spool_free.percent),
        (2_000_000, Duration::from_secs(60), 5)
    );
    assert_eq!((config.bisect_refused, config.max_open_spans, config.keep_local), (true, 7, true));
}

#[test]
fn the_spool_is_where_programs_keep_their_state() {
    for (env, expected) in [
        (&[("HOME", "/h")][..], Some("/h/.local/state/honeyhive/spool")),
        (&[("HOME", "/h"), ("XDG_STATE_HOME", "/state")], Some("/state/honeyhive/spool")),
        (&[("HOME", "/h"), ("XDG_STATE_HOME", "not/absolute")], Some("/h/.local/state/honeyhive/spool")),
        (&[("HOME", "/h"), ("HH_SPOOL_DIR", "~/mine")], Some("/h/mine")),
        (&[("LOCALAPPDATA", "/app")], Some("/app/honeyhive/spool")),
        (&[], None),
    ] {
        let config = resolve(env).unwrap();
        assert_eq!(config.spool_dir.as_deref().and_then(|dir| dir.to_str()), expected, "{env:?}");
    }
}

#[test]
fn code_beats_the_environment() {
    let explicit = Explicit {
        source: Some("code".into()),
        batch_size: Some(3),
        api_key: Some(Secret::new("code-key")),
        disabled: Some(false),
        ..Explicit::default()
    };
    let env = [("HH_SOURCE", "env"), ("HH_BATCH_SIZE", "junk"), ("HH_API_KEY", "env-key"), ("HH_DISABLE_TRACING", "1")];
    let config = with(explicit, &env).unwrap();
    assert_eq!((config.source.as_str(), config.batch_size, config.disabled), ("code", 3, false));
    assert_eq!(config.key.unwrap().reveal(), "code-key");
}

#[test]
fn the_ingestion_key_is_used_where_there_is_one() {
    let config = resolve(&[("HH_API_KEY", "project-key"), ("HH_INGESTION_API_KEY", INGESTION)]).unwrap();
    assert_eq!(config.key.unwrap().reveal(), INGESTION);
}

#[test]
fn deprecated_variables_are_alternates() {
    let config = resolve(&[("HONEYHIVE_API_KEY", "old"), ("HH_SERVER_URL", "https://old.example")]).unwrap();
    assert_eq!(config.key.unwrap().reveal(), "old");
    assert_eq!(config.server_url.host_str(), Some("old.example"));
}

#[test]
fn blank_means_absent() {
    let config = resolve(&[("HH_API_KEY", "  "), ("HH_PROJECT", ""), ("HH_BATCH_SIZE", " ")]).unwrap();
    assert!(config.key.is_none() && config.project.is_none());
    assert_eq!(config.batch_size, 512);
}

#[test]
fn wrong_values_are_errors_that_name_the_variable_and_the_fix() {
    let long = "x".repeat(300);
    for (variable, value, says) in [
        ("HH_API_KEY", "two\nlines", "no header can"),
        ("HH_API_KEY", "\u{feff}key", "no header can"),
        ("HH_API_KEY", "\"quoted\"", "a quote"),
        ("HH_API_KEY", "https://key@host", "looks like a URL"),
        ("HH_API_KEY", "sk-ant-abc", "an Anthropic key"),
        ("HH_API_KEY", "sk-abc", "an OpenAI key"),
        ("HH_API_KEY", INGESTION, "HH_INGESTION_API_KEY"),
        ("HH_INGESTION_API_KEY", "hh_ingst_short", "incomplete"),
        ("HH_INGESTION_API_KEY", "hh_ingst_short_secret", "incomplete"),
        ("HH_INGESTION_API_KEY", "plain", "HH_API_KEY"),
        ("HH_API_URL", "localhost:4318", "http or https"),
        ("HH_API_URL", "//host", "not a URL"),
        ("HH_API_URL", "ftp://host", "http or https"),
        ("HH_API_URL", "https://key@host/", "HH_API_KEY"),
        ("HH_API_URL", "http://example.com", "use https"),
        ("HH_API_URL", "https://h/?a=1", "no query"),
        ("HH_API_URL", "https://h/#f", "no fragment"),
        ("HH_API_URL", "https://h:99999", "not a URL"),
        ("HH_PROJECT", "a\u{0}b", "control character"),
        ("HH_SOURCE", &long, "shorten it"),
        ("HH_OTLP_PROTOCOL", "grpc", "http/protobuf or http/json"),
        ("HH_EXPORT_TIMEOUT", "0", "between 1ms and 600s"),
        ("HH_EXPORT_TIMEOUT", "NaN", "number of seconds"),
        ("HH_EXPORT_TIMEOUT", "-1", "number of seconds"),
        ("HH_EXPORT_TIMEOUT", "1e400", "number of seconds"),
        ("HH_EXPORT_TIMEOUT", "5 parsecs", "or one like `500ms`"),
        ("HH_FLUSH_INTERVAL", "1e9", "between 10ms and 3600s"),
        ("HH_BATCH_SIZE", "0", "between 1 and 10000"),
        ("HH_BATCH_SIZE", "4294967297", "between 1 and 10000"),
        ("HH_QUEUE_BYTES", "12", "between"),
        ("HH_QUEUE_BYTES", "64 MiBit", "or one like `64MiB`"),
        ("HH_QUEUE_BYTES", "99999999999G", "too large"),
        ("HH_MAX_ATTRIBUTES", "abc", "not a whole number"),
        ("HH_MAX_EVENTS", "-1", "not a whole number"),
        ("HH_DISABLE_TRACING", "maybe", "neither true nor false"),
        ("HH_SAMPLE_RATE", "all", "is not a number"),
        ("HH_SAMPLE_RATE", "2", "must lie between 0.0 and 1.0"),
        ("HH_API_URL", "https://h:0", "port 0"),
        ("HH_API_URL", "http://0.0.0.0:80", "use https"),
        ("HH_COMPRESSION", "zstd", "gzip or none"),
        ("HH_DURABILITY", "disk", "memory, spill, journal, fsync or sync"),
        ("HH_SPOOL_DIR", "/", "a directory below it"),
        ("HH_SPOOL_DIR", "..", "a directory of its own"),
        ("HH_SPOOL_DIR", "~/x", "needs HOME"),
        ("HH_SPOOL_BYTES", "1", "between 1048576 and"),
        ("HH_SPOOL_AGE", "0", "between 1s and"),
        ("HH_SPOOL_FREE_PERCENT", "99", "between 0 and 90"),
        ("HH_MAX_OPEN_SPANS", "0", "between 1 and"),
        ("HH_BISECT_REFUSED", "perhaps", "neither true nor false"),
        ("HH_KEEP_LOCAL", "perhaps", "neither true nor false"),
        ("HH_CONSOLE", "rainbow", "off, line, tree or full"),
    ] {
        let error = resolve(&[(variable, value)]).unwrap_err().to_string();
        assert!(error.contains(variable), "{variable}={value:?}: {error}");
        assert!(error.contains(says), "{variable}={value:?}: {error}");
        assert!(!error.contains("sk-a") && !error.contains("key@"), "leaks: {error}");
    }
    let explicit = Explicit { session_id: Some("not-a-uuid".into()), ..Explicit::default() };
    assert!(with(explicit, &[]).unwrap_err().to_string().contains("not a UUID"));
}

#[test]
fn sizes_and_durations_may_say_their_unit() {
    for (given, expected) in
        [("70000", 70_000), ("64MiB", 64 << 20), ("64 mb", 64_000_000), ("1g", 1 << 30), ("99KB", 99_000)]
    {
        assert_eq!(resolve(&[("HH_QUEUE_BYTES", given)]).unwrap().queue_bytes, expected, "{given}");
    }
    for (given, millis) in [("2.5", 2_500), ("500ms", 500), ("5 s", 5_000), ("1m 30s", 90_000), ("1e2", 100_000)] {
        let config = resolve(&[("HH_EXPORT_TIMEOUT", given)]).unwrap();
        assert_eq!(config.export_timeout, Duration::from_millis(millis), "{given}");
    }
    assert_eq!(resolve(&[("HH_SPOOL_AGE", "2d")]).unwrap().spool_age, Duration::from_secs(2 * 86_400));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let wrong =
        [("HH_API_URL", "localhost"), ("HH_CONSOLE", "rainbow"), ("HH_API_KEY", "sk-abc"), ("HH_BATCH_SIZE", "0")];
    let error = resolve(&wrong).unwrap_err().to_string();
    assert_eq!(error.lines().count(), wrong.len(), "{error}");
    assert!(wrong.iter().all(|(variable, _)| error.contains(variable)), "{error}");
}

#[test]
fn loopback_may_be_plain_http_and_urls_are_normalised_once() {
    for (given, expected) in [
        ("http://localhost:1/", "http://localhost:1/"),
        ("http://[::1]:4318", "http://[::1]:4318/"),
        ("https://h/opentelemetry/v1/traces", "https://h/"),
        ("https://h/a//", "https://h/a"),
    ] {
        assert_eq!(resolve(&[("HH_API_URL", given)]).unwrap().server_url.as_str(), expected);
    }
}

#[test]
fn no_debug_output_shows_the_key() {
    let config = resolve(&[("HH_API_KEY", "canary-key")]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn a_session_id_is_lower_cased() {
    let id = "8F14E45F-CEEA-467F-AB1E-2C3D4E5F6A7B";
    let explicit = Explicit { session_id: Some(id.into()), ..Explicit::default() };
    assert_eq!(with(explicit, &[]).unwrap().session_id.to_string(), id.to_lowercase());
}
