//! Deliberate differences from the originals, each with its reason. A difference that a row explains is
//! counted as deviating, any other as a mismatch.

use crate::{case::Case, compare::Difference};

/// A deliberate difference.
pub struct Deviation {
    pub name: &'static str,
    pub reason: &'static str,
    convention: &'static str,
    applies: fn(&Case, &Difference) -> bool,
}

pub const DEVIATIONS: &[Deviation] = &[];

/// A difference with the deviation that explains it.
pub struct Explained {
    pub difference: Difference,
    pub deviation: Option<&'static str>,
}

pub fn explain(case: &Case, convention: &str, differences: Vec<Difference>) -> Vec<Explained> {
    let row = |difference: &Difference| {
        let found = DEVIATIONS.iter().find(|row| row.convention == convention && (row.applies)(case, difference));
        found.map(|row| row.name)
    };
    differences.into_iter().map(|difference| Explained { deviation: row(&difference), difference }).collect()
}
