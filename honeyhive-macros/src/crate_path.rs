//! Where the `honeyhive` crate is, for those who have it under another name: `crate = path`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    LitStr, Path,
    parse::{Parse, ParseStream},
};

#[derive(Clone)]
pub(crate) struct CratePath(Path);

impl Parse for CratePath {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(LitStr) {
            return input.call(Path::parse_mod_style).map(Self);
        }
        let literal: LitStr = input.parse()?;
        let message = format!("write the path without quotes: `crate = {}`", literal.value());
        Err(syn::Error::new(literal.span(), message))
    }
}

impl CratePath {
    /// Returns the name under which the crate is known.
    pub(crate) fn name(&self) -> String {
        self.0.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
    }

    /// Quotes the path of the runtime of the macros.
    pub(crate) fn runtime(path: Option<&Self>) -> TokenStream {
        match path {
            Some(Self(path)) => quote!(#path::__private),
            None => quote!(::honeyhive::__private),
        }
    }
}
