//! Where the proxy forwards to: the known services, those that the environment names, and those that were
//! asked for. A base URL that the environment sets already is forwarded to, not replaced.

use honeyhive_instrument::gateway::{Route, RouteError};

/// Returns the routes. Of one name the last one counts: one that was asked for, else the environment's.
pub(crate) fn all(asked: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Route>, String> {
    let mut routes = Route::known();
    let mut put = |route: Route| {
        routes.retain(|known| known.name() != route.name());
        routes.push(route);
    };
    let mut named: Vec<(&str, &str, String)> = vec![];
    // Whatever a variable says that a child is given anew is where to forward to.
    for (name, from) in Route::all_variables() {
        let Some(url) = variable(from).filter(|url| !url.is_empty()) else { continue };
        if let Some((_, first, _)) = named.iter().find(|(known, _, other)| *known == name && *other != url) {
            return Err(format!("{first} and {from} name different services; unset one of them"));
        }
        put(Route::from_base_url(name, &url).map_err(|error| format!("{from}: {error}"))?);
        named.push((name, from, url));
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
    fn the_older_variable_counts_and_two_that_differ_are_an_error() {
        let older = ("OPENAI_API_BASE", "https://mine.example/v1");
        let routes = names(&[], &[older]).unwrap().join("\n");
        assert!(routes.contains("mine.example") && !routes.contains("api.openai.com"), "{routes}");
        let error = names(&[], &[older, ("OPENAI_BASE_URL", "https://other.example/v1")]).unwrap_err();
        assert!(error.contains("OPENAI_BASE_URL and OPENAI_API_BASE"), "{error}");
        for (name, variable) in Route::all_variables() {
            let routes = names(&[], &[(variable, "https://mine.example")]).unwrap().join("\n");
            assert!(routes.contains(name) && routes.contains("mine.example"), "{variable}: {routes}");
        }
    }

    #[test]
    fn what_is_no_route_is_an_error() {
        assert!(names(&["groq"], &[]).unwrap_err().contains("NAME=URL"));
        assert!(names(&[], &[("OPENAI_BASE_URL", "nonsense")]).unwrap_err().starts_with("OPENAI_BASE_URL: "));
    }
}
