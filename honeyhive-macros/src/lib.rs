//! The macros of honeyhive for Rust: `#[trace]`, `enrich_span!` and `enrich_session!`.
//!
//! Users get them from the `honeyhive` crate, whose front page documents them. Each goes through
//! parse → model → expand: `args` knows syntax and keeps a span beside every value, `model` holds all
//! rules, `expand` only quotes. What is expanded is thin; everything that decides is in
//! `honeyhive::__private`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod budget;
mod crate_path;
mod diag;
mod enrich;
mod literal;
mod name;
mod trace;

use proc_macro::TokenStream;

/// Traces a function, a method, or the public methods of an `impl` block.
///
/// Each call becomes a span under the one that is current: with its arguments as inputs, its result
/// as output, and its error, panic or cancellation. Without a tracer the function runs untouched.
///
/// Works on sync and async functions, methods, `async fn` in traits, bodies of `#[async_trait]`, and
/// functions that return a future or a stream (the span then ends with it). A `const fn` cannot be
/// traced.
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `event_type = "model"` or `EventType::Model` | `model`, `tool`, `chain` or `session` | detected when the span ends |
/// | `event_name = "…"` | name of the span | the function's name; `Type::method` on an `impl` block |
/// | `skip(a, b)` | arguments that are not recorded | none |
/// | `inputs = false` | records no arguments | `true` |
/// | `outputs = false` | records no result | `true` |
/// | `err = Display`, `Debug` or `false` | how an `Err` is recorded, with `Display` also its sources; `false` treats it as a result | `Display` |
/// | `tracer = expr` | a `HoneyHiveTracer`, a `LazyTracer` or an `Option` of one | the enclosing span's, else the default tracer |
/// | `session_id = expr` | session of the span and of what it encloses | the one in scope, else the tracer's |
/// | `metadata = { "k": v }` | metadata of the event; may use the arguments | none |
/// | `config = { "k": v }` | config of the event; may use the arguments | none |
/// | `visibility = "ids"` or `Visibility::Ids` | what is inside sees of the span: `full`, `ids` or `hidden` | what the tracer says: `full` |
/// | `crate = path` | where the `honeyhive` crate is | `::honeyhive` |
///
/// On an `impl` block it traces the public methods, or all of a trait's. Of the arguments of a block
/// a method's own `#[trace(…)]` keeps those that it does not give itself; `#[trace(skip)]` leaves it out.
///
/// Arguments and results are recorded with `Serialize` if the type has it, else with `Debug`, else by
/// the name of the type; a generic function sees only the bounds that it writes. Arguments named like
/// a secret (`api_key`, `password`, `token`, `authorization`) are masked.
///
/// ```
/// use honeyhive::trace;
///
/// #[trace(event_type = "tool", skip(pool), metadata = { "limit": limit })]
/// async fn search(pool: &Pool, query: &str, limit: usize) -> Result<Vec<String>, Error> {
///     # let _ = pool;
///     Ok(vec![query.to_owned(); limit])
/// }
/// # struct Pool;
/// # type Error = std::fmt::Error;
///
/// struct Agent;
///
/// #[trace] // every public method: `Agent::answer`
/// impl Agent {
///     pub fn answer(&self, question: &str) -> String {
///         format!("You asked: {question}")
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn trace(args: TokenStream, item: TokenStream) -> TokenStream {
    trace::expand(args.into(), item.into()).into()
}

/// Writes to the span that is current, and returns whether it took what was written.
///
/// Without one, or without a tracer that records, nothing is evaluated.
///
/// ```
/// # use std::collections::BTreeMap;
/// use honeyhive::enrich_span;
///
/// # let (query, user) = ("capital of France?", BTreeMap::from([("plan", "free")]));
/// enrich_span!({ "llm.provider": "openai", "query.length": query.len(), "nested": { "a": [1, 2] } });
/// enrich_span!(metrics = { "score": 0.9 }, user_properties = user, error = "soft failure");
/// ```
///
/// A map alone is metadata; its values are maps, lists, `null`, and expressions. Namespaces: `metadata`, `metrics`, `feedback`, `inputs`, `outputs`,
/// `config`, `user_properties`, each a map or an expression; and `error`. Where the `honeyhive` crate has another name, that
/// comes first: `enrich_span!(crate = hh, { … })`.
#[proc_macro]
pub fn enrich_span(input: TokenStream) -> TokenStream {
    enrich::expand(input.into(), &enrich::SPAN).into()
}

/// Writes to the session that is current, in the background, and returns whether there was a tracer.
///
/// Takes what [`enrich_span!`] takes, except for `error`, which HoneyHive's session update has not.
///
/// ```
/// use honeyhive::enrich_session;
///
/// enrich_session!({ "channel": "web" }, feedback = { "rating": 5 });
/// ```
#[proc_macro]
pub fn enrich_session(input: TokenStream) -> TokenStream {
    enrich::expand(input.into(), &enrich::SESSION).into()
}
