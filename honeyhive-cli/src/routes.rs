//! Where the proxy forwards to: the known services, those that the environment names, and those that were
//! asked for. A base URL that the environment sets already is forwarded to, not replaced.

use honeyhive_instrument::gateway::{Route, RouteError};

/// Route, the variable that may name its URL, and what that URL ends with.
const FROM_ENVIRONMENT: [(&str, &str, &str); 4] = [
    ("openai", "OPENAI_BASE_URL", "/v1"),
    ("anthropic", "ANTHROPIC_BASE_URL", ""),
    ("google", "GOOGLE_GEMINI_BASE_URL", ""),
    ("azure", "AZURE_OPENAI_ENDPOINT", ""),
];

/// Returns the routes. Of one name the last one counts: one that was asked for, else the environment's.
pub(crate) fn all(asked: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Route>, String> {
    let mut routes = Route::known();
    let mut put = |route: Route| {
        routes.retain(|known| known.name() != route.name());
        routes.push(route);
    };
    for (name, from, suffix) in FROM_ENVIRONMENT {
        if let Some(url) = variable(from).filter(|url| !url.is_empty()) {
            let url = url.trim_end_matches('/');
            put(Route::new(name, url.strip_suffix(suffix).unwrap_or(url))
                .map_err(|error| format!("{from}: {error}"))?);
        }
    }
    for route in asked {
        let (name, url) =
            route.split_once('=').ok_or("a route is NAME=URL, such as groq=https://api.groq.com/openai")?;
        put(Route::new(name, url).map_err(|error: RouteError| format!("--route: {error}"))?);
    }
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str], pairs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let variable =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let asked: Vec<_> = asked.iter().map(|route| (*route).to_owned()).collect();
        Ok(all(&asked, &variable)?.iter().map(|route| format!("{route:?}")).collect())
    }

    #[test]
    fn the_environment_and_what_was_asked_for_win() {
        let routes = names(
            &["groq=https://api.groq.com/openai", "anthropic=http://127.0.0.1:9"],
            &[
                ("OPENAI_BASE_URL", "https://gateway.example/openai/v1/"),
                ("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com"),
            ],
        )
        .unwrap()
        .join("\n");
        for expected in ["gateway.example", "me.openai.azure.com", "api.groq.com", "127.0.0.1", "generativelanguage"] {
            assert!(routes.contains(expected), "{expected} in {routes}");
        }
        assert!(!routes.contains("api.openai.com") && !routes.contains("api.anthropic.com"), "{routes}");
    }

    #[test]
    fn what_is_no_route_is_an_error() {
        assert!(names(&["groq"], &[]).unwrap_err().contains("NAME=URL"));
        assert!(names(&[], &[("OPENAI_BASE_URL", "nonsense")]).unwrap_err().starts_with("OPENAI_BASE_URL: "));
    }
}
