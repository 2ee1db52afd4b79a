//! Holds the size of expansions: what a user's build pays per traced function.
//! `cargo xtask macro-stats` shows the figures.

use std::io::Write;

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::quote;

use crate::{enrich, trace};

/// Counts tokens as the compiler's lexer does: `::` is one, a pair of delimiters is two.
fn count(tokens: TokenStream) -> usize {
    let of_tree = |tree: TokenTree| match tree {
        TokenTree::Group(group) => 2 + count(group.stream()),
        TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => 0,
        _ => 1,
    };
    tokens.into_iter().map(of_tree).sum()
}

#[track_caller]
fn check(what: &str, bare: TokenStream, expanded: TokenStream, most: usize) {
    let (bare, expanded) = (count(bare), count(expanded));
    let _ =
        writeln!(std::io::stderr(), "macro-stats: {what:<34} {expanded:>4} tokens (written: {bare}, budget: {most})");
    assert!(expanded <= most, "{what}: {expanded} tokens, the budget is {most}");
}

#[test]
fn expansions_stay_within_their_budget() {
    let three = quote! {
        async fn ask(model: &str, turns: u32, query: String) -> Result<u32, Error> {
            call(model, turns, query).await
        }
    };
    let options = quote!(event_type = "model", event_name = "ask", session_id = id, metadata = { "a": turns });
    let sync = quote!(
        fn add(a: u32, b: u32) -> u32 {
            a + b
        }
    );
    let none = TokenStream::new;
    check("async, three arguments", three.clone(), trace::expand(none(), three.clone()), 350);
    check("async, three arguments, options", three.clone(), trace::expand(options, three), 350);
    check("sync, two arguments", sync.clone(), trace::expand(none(), sync), 300);
    let entry = quote!({ "llm.provider": "openai" });
    check("enrich_span, one entry", entry.clone(), enrich::expand(entry, &enrich::SPAN), 150);
}
