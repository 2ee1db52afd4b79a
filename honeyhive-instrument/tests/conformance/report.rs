//! Counts per operation and convention, as a table for people and as JSON.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value as Json, json};

use crate::{
    case::Case,
    deviations::{self, Explained},
};

#[derive(Default)]
struct Count {
    cases: usize,
    identical: usize,
    deviating: usize,
}

impl Count {
    fn mismatched(&self) -> usize {
        self.cases - self.identical - self.deviating
    }
}

type Group = (String, String, bool, &'static str);

#[derive(Default)]
pub(crate) struct Report {
    groups: BTreeMap<Group, Count>,
    differences: Vec<Json>,
    lines: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, case: &Case, convention: &'static str, differences: Vec<Explained>) {
        let group = (case.provider().to_owned(), case.operation().to_owned(), case.streaming(), convention);
        let count = self.groups.entry(group).or_default();
        count.cases += 1;
        match differences.iter().all(|explained| explained.deviation.is_some()) {
            true if differences.is_empty() => count.identical += 1,
            true => count.deviating += 1,
            false => {}
        }
        for Explained { difference, deviation } in differences {
            if deviation.is_none() {
                self.lines.push(format!(
                    "{} {convention} {}\n    expected {}\n    got      {}",
                    case.name(),
                    difference.key,
                    short(&difference.expected),
                    short(&difference.got)
                ));
            }
            self.differences.push(json!({
                "case": case.name(), "convention": convention, "key": difference.key,
                "expected": difference.expected, "got": difference.got, "deviation": deviation,
            }));
        }
    }

    /// Names the groups of one operation and convention with too few identical cases.
    pub(crate) fn below(&self, least: f64) -> Vec<String> {
        let mut merged: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for ((provider, operation, _, convention), count) in &self.groups {
            let sums = merged.entry(format!("{provider} {operation} {convention}")).or_default();
            sums.0 += count.identical;
            sums.1 += count.cases - count.deviating;
        }
        let poor = |(identical, cases): (usize, usize)| (identical as f64) < least * cases as f64;
        merged.into_iter().filter(|(_, sums)| poor(*sums)).map(|(name, (i, n))| format!("{name}: {i}/{n}")).collect()
    }

    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            let _ = writeln!(out, "mismatch: {line}");
        }
        let _ = writeln!(
            out,
            "\n{:<44} {:<14} {:>9} {:>9} {:>10}",
            "operation", "convention", "identical", "deviating", "mismatched"
        );
        for ((provider, operation, streaming, convention), count) in &self.groups {
            let name = format!("{provider}/{operation}{}", if *streaming { " (streaming)" } else { "" });
            let identical = format!("{}/{}", count.identical, count.cases);
            let _ = writeln!(
                out,
                "{name:<44} {convention:<14} {identical:>9} {:>9} {:>10}",
                count.deviating,
                count.mismatched()
            );
        }
        let used = |name: &str| self.differences.iter().filter(|d| d["deviation"] == name).count();
        for row in deviations::all() {
            let _ = writeln!(out, "deviation `{}` ({} differences): {}", row.name, used(row.name), row.reason);
        }
        out
    }

    pub(crate) fn json(&self) -> String {
        let operations: Vec<_> = self.groups.iter().map(|((provider, operation, streaming, convention), count)| json!({
            "provider": provider, "operation": operation, "streaming": streaming, "convention": convention,
            "cases": count.cases, "identical": count.identical, "deviating": count.deviating, "mismatched": count.mismatched(),
        })).collect();
        format!("{:#}\n", json!({ "operations": operations, "mismatches": self.differences }))
    }
}

fn short(json: &Json) -> String {
    json.to_string().chars().take(400).collect()
}
