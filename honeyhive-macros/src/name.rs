//! The name under which a value is written, as a literal: a constant that the compiler would have to work out costs each
//! function of a program as much as half its span.

use honeyhive_names::is_secret;
use proc_macro2::TokenStream;
use quote::quote;

/// Quotes the name of an entry of a part of the event; `hh` is the path of the runtime.
pub(crate) fn quoted(hh: &TokenStream, bucket: &str, key: &str) -> TokenStream {
    let (attribute, secret) = (format!("honeyhive_{bucket}.{key}"), is_secret(key));
    quote!(&#hh::Name(#attribute, #secret))
}
