//! House rules that no lint knows: sizes, top comments, who may import whom, what docs may not say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Outcome, root};

const MOST_LINES: usize = 500;
const MOST_FUNCTION_LINES: usize = 60;
const MOST_README_LINES: usize = 150;
const SOURCES: [&str; 9] = [
    "src",
    "honeyhive-core/src",
    "honeyhive-macros/src",
    "honeyhive-names/src",
    "honeyhive-instrument/src",
    "honeyhive-route/src",
    "honeyhive-evaluate/src",
    "honeyhive-cli/src",
    "xtask/src",
];

pub(crate) fn run() -> Outcome {
    let mut faults = vec![];
    for folder in SOURCES {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            check_source(&name, &text, &mut faults);
        }
    }
    check_readme(&mut faults);
    check_fixtures(&mut faults);
    match faults.is_empty() {
        true => {
            println!("tidy: ok");
            Ok(())
        }
        false => Err(format!("{} faults\n  {}", faults.len(), faults.join("\n  "))),
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut out = vec![];
    for path in fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
        match path.is_dir() {
            true => out.extend(rust_files(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => out.push(path),
            false => {}
        }
    }
    out.sort();
    out
}

fn check_source(name: &str, text: &str, faults: &mut Vec<String>) {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let is_test = name.ends_with("tests.rs");
    if product.lines().count() > MOST_LINES && !is_test {
        faults.push(format!("{name}: {} lines, at most {MOST_LINES}", product.lines().count()));
    }
    if !is_test && !text.starts_with("//!") {
        faults.push(format!("{name}: no comment at the top"));
    }
    for (line, length) in functions(product) {
        if length > MOST_FUNCTION_LINES && !is_test {
            faults.push(format!("{name}:{line}: a function of {length} lines, at most {MOST_FUNCTION_LINES}"));
        }
    }
    let imports = |what: &str| product.lines().any(|line| line.contains("crate::") && line.contains(what));
    if name.contains("/provider") && imports("convention") {
        faults.push(format!("{name}: a provider must not know conventions"));
    }
    if name.contains("/convention") && imports("provider::") {
        faults.push(format!("{name}: a convention must not know providers"));
    }
    for (number, line) in product.lines().enumerate() {
        let word = ["TODO", "FIXME", "XXX"].iter().find(|word| line.contains(&format!("// {word}")));
        if let Some(word) = word {
            faults.push(format!("{name}:{}: {word}", number + 1));
        }
    }
}

/// Finds functions and their lengths by indentation, which rustfmt keeps.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = vec![];
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let is_fn = code.split_whitespace().take(4).any(|word| word == "fn") && !code.starts_with("//");
        // One of a trait may have no body.
        if is_fn && !code.ends_with(';') {
            let end = lines[start..].iter().position(|line| line.len() == indent + 1 && line.trim() == "}");
            out.extend(end.map(|length| (start + 1, length + 1)));
        }
    }
    out
}

fn check_readme(faults: &mut Vec<String>) {
    let lines = fs::read_to_string(root().join("README.md")).unwrap_or_default().lines().count();
    if lines == 0 || lines > MOST_README_LINES {
        faults.push(format!("README.md: {lines} lines, at most {MOST_README_LINES}"));
    }
}

/// Every provider has a folder of fixtures.
fn check_fixtures(faults: &mut Vec<String>) {
    for path in rust_files(&root().join("honeyhive-instrument/src/provider")) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let fixtures = root().join("honeyhive-instrument/fixtures").join(name);
        if text.contains("impl Provider for") && !fixtures.is_dir() {
            faults.push(format!("no fixture folder for the provider {name}"));
        }
    }
}
