//! LLM observability by attribute.

pub use honeyhive_core::*;
pub use honeyhive_macros::{enrich_session, enrich_span, trace};

pub use honeyhive_instrument as instrument;

#[doc(hidden)]
pub use honeyhive_core::private as __private;
