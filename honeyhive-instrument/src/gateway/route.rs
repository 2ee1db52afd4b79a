//! Where a gateway forwards to, and by which name.

use std::fmt;

use url::Url;

/// A service that a gateway forwards to: requests to `/{name}/…` go to its URL.
///
/// ```
/// use honeyhive_instrument::gateway::Route;
///
/// let mut routes = Route::known();
/// assert_eq!(routes.iter().map(Route::name).collect::<Vec<_>>(), ["openai", "anthropic", "google"]);
/// routes.push(Route::new("groq", "https://api.groq.com/openai")?);
///
/// // What the variables of clients say already goes on to where they point.
/// let variable = |name: &str| (name == "AZURE_OPENAI_ENDPOINT").then_some("https://mine.openai.azure.com");
/// for (route, name) in Route::all_variables() {
///     if let Some(base_url) = variable(name) {
///         routes.push(Route::from_base_url(route, base_url)?);
///     }
/// }
/// assert_eq!(routes.last().map(Route::name), Some("azure"));
/// # Ok::<(), honeyhive_instrument::gateway::RouteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Route {
    pub(super) name: String,
    upstream: Url,
    /// What clients want at the end of a base URL.
    pub(super) suffix: &'static str,
    pub(super) variables: &'static [&'static str],
}

/// A URL that is none of a service.
///
/// ```
/// use honeyhive_instrument::gateway::Route;
///
/// let error = Route::new("groq", "api.groq.com").unwrap_err();
/// assert_eq!(error.to_string(), "the URL of route `groq` has to be http(s)://host[:port][/path]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError(String);

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RouteError {}

/// Name, URL, suffix and variables of the services that are known; Azure OpenAI has a URL for each resource.
const KNOWN: [(&str, Option<&str>, &str, &[&str]); 4] = [
    ("openai", Some("https://api.openai.com"), "/v1", &["OPENAI_BASE_URL", "OPENAI_API_BASE"]),
    ("anthropic", Some("https://api.anthropic.com"), "", &["ANTHROPIC_BASE_URL"]),
    ("google", Some("https://generativelanguage.googleapis.com"), "", &["GOOGLE_GEMINI_BASE_URL"]),
    ("azure", None, "", &["AZURE_OPENAI_ENDPOINT"]),
];

impl Route {
    /// Makes a route to any service: `Route::new("groq", "https://api.groq.com/openai")`.
    ///
    /// # Errors
    ///
    /// When the name is no plain word, or the URL is not one of HTTP without user, query and fragment.
    pub fn new(name: &str, upstream: &str) -> Result<Self, RouteError> {
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_plain {
            return Err(RouteError("the name of a route consists of letters, digits, `-` and `_`".to_owned()));
        }
        let wrong = || RouteError(format!("the URL of route `{name}` has to be http(s)://host[:port][/path]"));
        let upstream: Url = upstream.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let is_http = matches!(upstream.scheme(), "http" | "https") && upstream.has_host();
        let is_bare = upstream.username().is_empty()
            && upstream.password().is_none()
            && upstream.query().is_none()
            && upstream.fragment().is_none();
        if !is_http || !is_bare {
            return Err(wrong());
        }
        let known = KNOWN.iter().find(|(known, ..)| *known == name);
        let (suffix, variables) = known.map_or(("", [].as_slice()), |(_, _, suffix, variables)| (*suffix, *variables));
        Ok(Self { name: name.to_owned(), upstream, suffix, variables })
    }

    /// Makes a route from a base URL as clients of the service take it: with the ending that they want, such as
    /// the `/v1` of OpenAI's, or with one of its own, which is then kept as it is.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_base_url(name: &str, base_url: &str) -> Result<Self, RouteError> {
        let base_url = base_url.trim_end_matches('/');
        let mut route = Self::new(name, base_url)?;
        match base_url.strip_suffix(route.suffix) {
            Some(upstream) => Self::new(name, upstream),
            None => {
                route.suffix = "";
                Ok(route)
            }
        }
    }

    /// Returns the routes to OpenAI, Anthropic and Google AI.
    pub fn known() -> Vec<Self> {
        KNOWN.iter().filter_map(|(name, url, ..)| Self::new(name, (*url)?).ok()).collect()
    }

    /// Returns every variable from which clients read the base URL of a service, with the name of its route.
    pub fn all_variables() -> impl Iterator<Item = (&'static str, &'static str)> {
        KNOWN.iter().flat_map(|(name, _, _, variables)| variables.iter().map(|variable| (*name, *variable)))
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what follows the name of the route in a path.
    pub(super) fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix('/')?.strip_prefix(self.name.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Returns the address of a request; the host is always the route's.
    pub(super) fn url_for(&self, rest: &str, query: Option<&str>) -> Url {
        let mut url = self.upstream.clone();
        url.set_path(&format!("{}{rest}", self.upstream.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_on_the_host_of_their_route() {
        let route = Route::new("groq", "https://api.groq.com/openai/").unwrap();
        let url = |path: &str| route.rest_of(path).map(|rest| route.url_for(rest, Some("a=b")).to_string());
        assert_eq!(url("/groq/v1/chat").as_deref(), Some("https://api.groq.com/openai/v1/chat?a=b"));
        assert_eq!(url("/groq").as_deref(), Some("https://api.groq.com/openai?a=b"));
        for other in ["/groqy/v1", "/openai/v1", "//evil.example/groq", ""] {
            assert_eq!(url(other), None, "{other}");
        }
        for sly in ["/groq//evil.example/x", "/groq/@evil.example", "/groq/..//evil.example"] {
            assert!(url(sly).unwrap().starts_with("https://api.groq.com/"), "{sly}");
        }
    }

    #[test]
    fn base_urls_keep_their_ending() {
        for (base_url, suffix, whole) in [
            ("https://a.example/v1/", "/v1", "https://a.example/v1/models"),
            ("https://a.example/compat", "", "https://a.example/compat/models"),
        ] {
            let route = Route::from_base_url("openai", base_url).unwrap();
            assert_eq!(route.suffix, suffix);
            let rest = format!("{}/models", route.suffix);
            assert_eq!(route.url_for(&rest, None).as_str(), whole);
        }
    }

    #[test]
    fn a_bad_route_is_an_error() {
        for (name, url) in [
            ("a b", "https://a.example"),
            ("", "https://a.example"),
            ("a", "ftp://a.example"),
            ("a", "https://u:p@a.example"),
            ("a", "nothing"),
        ] {
            assert!(Route::new(name, url).is_err(), "{name} {url}");
        }
    }
}
