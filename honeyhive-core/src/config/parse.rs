//! Checks of single settings: text in, value or a [`ConfigError`] that names the fix out.

use std::{
    cell::RefCell,
    fmt::Debug,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use url::Url;
use uuid::Uuid;

use super::{Bounded, Compression, Console, DEFAULT_SERVER_URL, Durability, Explicit, Protocol, alternates, units};
use crate::{ConfigError, export::keys::INGESTION_PREFIX, secret::Secret};

/// The environment: trimmed, with blank meaning absent. Gathers what is wrong, so that all of it is said at once.
pub(super) struct Env<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
    wrong: RefCell<Vec<ConfigError>>,
}

impl<'a> Env<'a> {
    pub(super) fn new(look_up: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { look_up, wrong: RefCell::default() }
    }

    pub(super) fn text(&self, variable: &str) -> Option<String> {
        let look_up =
            |name: &str| (self.look_up)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        look_up(variable).or_else(|| alternates(variable).iter().find_map(|name| look_up(name)))
    }

    /// Returns a value; what is wrong with it is told in the end.
    pub(super) fn keep<T>(&self, value: Result<T, ConfigError>) -> Option<T> {
        value.map_err(|error| self.wrong.borrow_mut().push(error)).ok()
    }

    /// Returns the last value if nothing was wrong, neither with it nor before.
    pub(super) fn all_good<T>(&self, last: Result<T, ConfigError>) -> Result<T, ConfigError> {
        let mut wrong = self.wrong.take();
        wrong.extend(last.as_ref().err().cloned());
        ConfigError::of_all(wrong).map_or(last, Err)
    }

    /// Returns what the code set, else what the variable says, if it says anything.
    pub(super) fn chosen<T>(
        &self,
        setting: &'static str,
        variable: &'static str,
        explicit: Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        explicit.or_else(|| {
            let parsed = parse(&self.text(variable)?);
            self.keep(parsed.map_err(|problem| ConfigError::new(setting, variable, problem)))
        })
    }

    /// Returns a switch.
    pub(super) fn flag(
        &self,
        setting: &'static str,
        variable: &'static str,
        explicit: Option<bool>,
        default: bool,
    ) -> bool {
        self.chosen(setting, variable, explicit, boolean).unwrap_or(default)
    }

    fn within<T: PartialOrd + Debug + Copy>(&self, rule: &Bounded<T>, chosen: Option<T>) -> T {
        let Bounded { setting, variable, default, least, most } = *rule;
        let value = chosen.unwrap_or(default);
        let range = || ConfigError::new(setting, variable, format!("must lie between {least:?} and {most:?}"));
        self.keep((least..=most).contains(&value).then_some(value).ok_or_else(range)).unwrap_or(default)
    }
}

/// Picks the key that traces, sessions and events are sent with, and the project key.
pub(super) fn keys(explicit: &Explicit, env: &Env<'_>) -> Result<(Option<Secret>, Option<Secret>), ConfigError> {
    let set = |explicit: &Option<Secret>, variable: &str| {
        let text = match explicit {
            Some(secret) => Some(secret.reveal().trim().to_owned()),
            None => env.text(variable),
        };
        text.filter(|text| !text.is_empty())
    };
    let project = set(&explicit.api_key, "HH_API_KEY");
    if let Some(text) = &project {
        sendable("api_key", "HH_API_KEY", text)?;
        if text.starts_with(INGESTION_PREFIX) {
            return Err(ConfigError::new(
                "api_key",
                "HH_API_KEY",
                "this is an ingestion key; pass it with `.ingestion_api_key(..)` or HH_INGESTION_API_KEY",
            ));
        }
        foreign("api_key", "HH_API_KEY", text)?;
    }
    let ingestion = set(&explicit.ingestion_api_key, "HH_INGESTION_API_KEY");
    if let Some(text) = &ingestion {
        sendable("ingestion_api_key", "HH_INGESTION_API_KEY", text)?;
        ingestion_shape(text)?;
    }
    Ok((ingestion.or(project.clone()).map(Secret::new), project.map(Secret::new)))
}

/// Checks a key that replaces another: a project key or an ingestion key.
pub(crate) fn replacement_key(text: String) -> Result<Secret, ConfigError> {
    let ingestion = text.trim().starts_with(INGESTION_PREFIX);
    let secret = Some(Secret::new(text));
    let explicit = match ingestion {
        true => Explicit { ingestion_api_key: secret, ..Explicit::default() },
        false => Explicit { api_key: secret, ..Explicit::default() },
    };
    let missing = || ConfigError::new("api_key", "", "the key is blank");
    keys(&explicit, &Env::new(&|_| None))?.0.ok_or_else(missing)
}

fn sendable(setting: &'static str, variable: &'static str, text: &str) -> Result<(), ConfigError> {
    match text.bytes().all(|b| (0x21..0x7f).contains(&b)) && !text.contains(['"', '\'']) {
        true => Ok(()),
        false => Err(ConfigError::new(
            setting,
            variable,
            "the key has a space, a quote, a line break or another character that no header can \
             carry; copy it again from HoneyHive's settings",
        )),
    }
}

fn foreign(setting: &'static str, variable: &'static str, text: &str) -> Result<(), ConfigError> {
    let looks_like = match text {
        text if text.contains("://") => "a URL",
        text if text.starts_with("sk-ant-") => "an Anthropic key",
        text if text.starts_with("sk-") => "an OpenAI key",
        text if text.starts_with("AIza") => "a Google key",
        text if text.starts_with("hh_fgdp_") => "a data plane key, which cannot write traces",
        _ => return Ok(()),
    };
    Err(ConfigError::new(setting, variable, format!("this looks like {looks_like}; use a HoneyHive project key")))
}

fn ingestion_shape(text: &str) -> Result<(), ConfigError> {
    let rest = text.strip_prefix(INGESTION_PREFIX).map(|rest| rest.split_once('_'));
    match rest {
        Some(Some((id, secret))) if id.len() == 24 && secret.len() == 64 => Ok(()),
        Some(_) => Err(ConfigError::new(
            "ingestion_api_key",
            "HH_INGESTION_API_KEY",
            "the key is incomplete; copy the whole of it (hh_ingst_<24 characters>_<64 characters>)",
        )),
        None => Err(ConfigError::new(
            "ingestion_api_key",
            "HH_INGESTION_API_KEY",
            "an ingestion key starts with hh_ingst_; a project key goes to `.api_key(..)` or HH_API_KEY",
        )),
    }
}

pub(super) fn session_id(text: &str) -> Result<Uuid, ConfigError> {
    Uuid::try_parse(text.trim()).map_err(|_| {
        ConfigError::new(
            "session_id",
            "",
            "not a UUID; leave it out and one is made, or pass one like \
             8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b",
        )
    })
}

pub(super) fn name(
    setting: &'static str,
    variable: &'static str,
    explicit: Option<String>,
    env: &Env<'_>,
) -> Option<String> {
    let text = explicit.or_else(|| env.text(variable))?.trim().to_owned();
    let good = match () {
        () if text.chars().any(char::is_control) => Err("contains a control character; remove it"),
        () if text.len() > 256 => Err("longer than 256 bytes; shorten it"),
        () => Ok(text),
    };
    let good = env.keep(good.map_err(|problem| ConfigError::new(setting, variable, problem)))?;
    (!good.is_empty()).then_some(good)
}

pub(super) fn server_url(explicit: Option<String>, env: &Env<'_>) -> Result<Url, ConfigError> {
    let text = explicit.or_else(|| env.text("HH_API_URL")).unwrap_or_else(|| DEFAULT_SERVER_URL.to_owned());
    let mut url = checked_url(&text).map_err(|problem| ConfigError::new("server_url", "HH_API_URL", problem))?;
    let path = url.path().trim_end_matches('/').trim_end_matches("/opentelemetry/v1/traces").to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Reads the address of an OTLP server: its base, to which `/v1/traces` is added, or the whole.
pub(crate) fn otlp_url(text: &str, may_be_plain: bool) -> Result<(Url, &'static str), ConfigError> {
    const PATH: &str = "/v1/traces";
    const PLAIN: &str = "plain http would send prompts readable to all; use https, or `Otlp::insecure` in a network that you \
                         trust";
    let wrong = |problem| ConfigError::new("otlp", "", problem);
    let mut url = well_formed(text, "http://localhost:4318").map_err(wrong)?;
    if !may_be_plain && is_plain(&url) {
        return Err(ConfigError::new("otlp", "", PLAIN));
    }
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(PATH).unwrap_or(path).to_owned();
    url.set_path(&base);
    Ok((url, PATH))
}

fn checked_url(text: &str) -> Result<Url, String> {
    let url = well_formed(text, "https://api.honeyhive.ai")?;
    match is_plain(&url) {
        true => {
            Err("plain http would send keys and prompts readable to all; use https (http is for loopback only)".into())
        }
        false => Ok(url),
    }
}

/// Whether everybody on the way can read what is sent.
fn is_plain(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

fn well_formed(text: &str, like: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|_| format!("not a URL; write it with its scheme, like {like}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("the scheme must be http or https, as in {like}"));
    }
    let problem = match () {
        () if !url.username().is_empty() || url.password().is_some() => {
            "a key in the URL would end up in logs; pass it with `.api_key(..)` or HH_API_KEY, or as a header"
        }
        () if url.query().is_some() || url.fragment().is_some() => {
            "must have no query and no fragment; give the base URL only"
        }
        () if url.port() == Some(0) => "port 0 is no port to connect to",
        () => return Ok(url),
    };
    Err(problem.to_owned())
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    word("protocol", &[("http/protobuf", Protocol::HttpProtobuf), ("http/json", Protocol::HttpJson)], text)
}

pub(super) fn console(text: &str) -> Result<Console, String> {
    let words = [("off", Console::Off), ("line", Console::Line), ("tree", Console::Tree), ("full", Console::Full)];
    word("console form", &words, text)
}

pub(super) fn compression(text: &str) -> Result<Compression, String> {
    word("compression", &[("gzip", Compression::Gzip), ("none", Compression::None)], text)
}

pub(super) fn durability(text: &str) -> Result<Durability, String> {
    let words = [
        ("memory", Durability::Memory),
        ("spill", Durability::Spill),
        ("journal", Durability::Journal),
        ("fsync", Durability::Fsync),
        ("sync", Durability::Sync),
    ];
    word("durability", &words, text)
}

/// Reads one of a few words, in any case; an error lists them.
fn word<T: Copy>(what: &str, words: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let mut legal = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        let last = legal.pop().unwrap_or_default();
        format!("unknown {what} {:?}: use {} or {last}", short(text), legal.join(", "))
    })
}

/// Finds the directory for spans that wait: as set, else where programs keep their state.
pub(super) fn spool_dir(explicit: Option<PathBuf>, env: &Env<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let home = env.text("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let set = explicit.or_else(|| env.text("HH_SPOOL_DIR").map(PathBuf::from));
    let Some(set) = set else {
        let state = env.text("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let state = state.or_else(|| home.map(|home| home.join(".local/state")));
        let state = state.or_else(|| env.text("LOCALAPPDATA").map(PathBuf::from));
        return Ok(state.map(|dir| dir.join("honeyhive/spool")));
    };
    let wrong = |problem: &str| ConfigError::new("spool_dir", "HH_SPOOL_DIR", problem);
    let expanded = match (set.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        (Ok(_), None) => return Err(wrong("~ needs HOME; write the whole path")),
        (Err(_), _) => set,
    };
    match expanded.parent() {
        _ if expanded.as_os_str().is_empty() => Ok(None),
        None => Err(wrong("the root of the file system is no place for spans; name a directory below it")),
        Some(_) if expanded == Path::new("..") || expanded == Path::new(".") => {
            Err(wrong("name a directory of its own, such as ./spool"))
        }
        // The program may change its directory later.
        Some(_) => Ok(Some(std::path::absolute(&expanded).unwrap_or(expanded))),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{:?} is neither true nor false", short(text))),
    }
}

/// Resolves a duration; the variable holds seconds, or says its unit.
pub(super) fn duration(rule: &Bounded<Duration>, explicit: Option<Duration>, env: &Env<'_>) -> Duration {
    env.within(rule, env.chosen(rule.setting, rule.variable, explicit, units::duration))
}

/// Resolves a size; the variable holds bytes, or says its unit.
pub(super) fn size<T: TryFrom<u64> + PartialOrd + Debug + Copy>(
    rule: &Bounded<T>,
    explicit: Option<T>,
    env: &Env<'_>,
) -> T {
    let size = |text: &str| units::bytes(text)?.try_into().map_err(|_| format!("{:?} is too large", short(text)));
    env.within(rule, env.chosen(rule.setting, rule.variable, explicit, size))
}

/// Resolves a count.
pub(super) fn count<T: FromStr + PartialOrd + Debug + Copy>(
    rule: &Bounded<T>,
    explicit: Option<T>,
    env: &Env<'_>,
) -> T {
    stated_count(rule, explicit, env).unwrap_or(rule.default)
}

/// Resolves a number that was set; none where it was not.
pub(super) fn stated_count<T: FromStr + PartialOrd + Debug + Copy>(
    rule: &Bounded<T>,
    explicit: Option<T>,
    env: &Env<'_>,
) -> Option<T> {
    let whole = |text: &str| text.parse().map_err(|_| format!("{:?} is not a whole number", short(text)));
    let chosen = env.chosen(rule.setting, rule.variable, explicit, whole)?;
    Some(env.within(rule, Some(chosen)))
}

/// Resolves a share of a whole.
pub(super) fn share(rule: &Bounded<f64>, explicit: Option<f64>, env: &Env<'_>) -> f64 {
    let number = |text: &str| text.parse().map_err(|_| format!("{:?} is not a number", short(text)));
    env.within(rule, env.chosen(rule.setting, rule.variable, explicit, number))
}

pub(super) fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
