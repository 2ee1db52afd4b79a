//! The name under which a value is written, as a literal: constants that the compiler has to work out were a fifth of what
//! traced functions take to compile.

use honeyhive_names::is_secret;
use proc_macro2::TokenStream;
use quote::quote;

/// Quotes the name of an entry of a part of the event; `hh` is the path of the runtime.
pub(crate) fn quoted(hh: &TokenStream, bucket: &str, key: &str) -> TokenStream {
    let (attribute, secret) = (format!("honeyhive_{bucket}.{key}"), is_secret(key));
    quote!(&#hh::Name(#attribute, #secret))
}
