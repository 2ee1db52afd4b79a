//! What was annotated: a function or method with its body, or an `impl` block.

use proc_macro2::TokenStream;
use syn::{
    AttrStyle, Attribute, ImplItemFn, ItemImpl, Meta, Path, Signature, Token, Type, Visibility,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    token::Brace,
};

/// An item that can be traced.
pub(super) enum Item {
    Fn(Box<Function>),
    Impl(Box<ItemImpl>),
}

/// A function or method. The body stays tokens: it is the user's and is not looked at.
pub(super) struct Function {
    pub(super) attrs: Vec<Attribute>,
    /// Visibility, `default` and the like, as written.
    pub(super) prefix: TokenStream,
    pub(super) sig: Signature,
    /// The user's braces around the body.
    pub(super) brace: Brace,
    pub(super) body: TokenStream,
}

impl Function {
    pub(super) fn of_method(method: &ImplItemFn) -> Self {
        let vis = &method.vis;
        let statements = &method.block.stmts;
        Self {
            attrs: outer(method.attrs.iter().cloned()),
            prefix: quote::quote!(#vis),
            sig: method.sig.clone(),
            brace: method.block.brace_token,
            body: quote::quote!(#(#statements)*),
        }
    }
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        if is_impl(input) {
            let mut block: ItemImpl = input.parse()?;
            block.attrs.splice(0..0, attrs);
            return Ok(Self::Impl(Box::new(block)));
        }
        if let Some(what) = untraceable(input) {
            return Err(input.error(format!("#[trace] goes on a function or an `impl` block, not on {what}")));
        }
        let vis: Visibility = input.parse()?;
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            return Err(syn::Error::new(
                sig.ident.span(),
                format!("`{}` has no body to trace; put #[trace] on the implementation", sig.ident),
            ));
        }
        let block;
        let brace = syn::braced!(block in input);
        let attrs = outer(attrs.into_iter().chain(block.call(Attribute::parse_inner)?));
        Ok(Self::Fn(Box::new(Function { attrs, prefix: quote::quote!(#vis), sig, brace, body: block.parse()? })))
    }
}

/// Writes attributes from inside a body (`#![…]`) before the item.
fn outer(attrs: impl Iterator<Item = Attribute>) -> Vec<Attribute> {
    attrs.map(|attr| Attribute { style: AttrStyle::Outer, ..attr }).collect()
}

fn is_impl(input: ParseStream<'_>) -> bool {
    input.peek(Token![impl]) || (input.peek(Token![unsafe]) && input.peek2(Token![impl]))
}

/// Names an item that is neither a function nor an `impl` block.
fn untraceable(input: ParseStream<'_>) -> Option<&'static str> {
    let fork = input.fork();
    let _ = fork.parse::<Visibility>();
    match () {
        () if fork.peek(Token![struct]) => Some("a struct"),
        () if fork.peek(Token![enum]) => Some("an enum"),
        () if fork.peek(Token![trait]) => Some("a trait; put it on the implementation"),
        () if fork.peek(Token![mod]) => Some("a module"),
        () if fork.peek(Token![use]) => Some("a `use`"),
        () if fork.peek(Token![static]) => Some("a static"),
        () if fork.peek(Token![type]) => Some("a type alias"),
        () if fork.peek(Token![macro]) || fork.peek2(Token![!]) => Some("a macro"),
        () if fork.peek(Token![const])
            && !fork.peek2(Token![fn])
            && !fork.peek2(Token![unsafe])
            && !fork.peek2(Token![async]) =>
        {
            Some("a constant")
        }
        () => None,
    }
}

/// Removes a method's own `#[trace]`; that of another crate is none of ours. One that only may be there cannot be taken into
/// account.
pub(super) fn take_trace(attrs: &mut Vec<Attribute>, name_of_crate: &str) -> syn::Result<Option<Attribute>> {
    let is_ours = |path: &Path| {
        let mut names = path.segments.iter().rev().map(|segment| segment.ident.to_string());
        names.next().as_deref() == Some("trace")
            && names.next().is_none_or(|name| [name_of_crate, "honeyhive"].contains(&name.as_str()))
    };
    let perhaps = attrs.iter().find(|attr| attr.path().is_ident("cfg_attr") && may_bring(attr, is_ours));
    if let Some(perhaps) = perhaps {
        let message = "the `#[trace]` of the block does not see this one; take the method out of the block";
        return Err(syn::Error::new_spanned(perhaps, message));
    }
    let at = attrs.iter().position(|attr| is_ours(attr.path()));
    Ok(at.map(|at| attrs.remove(at)))
}

/// Returns whether a `#[cfg_attr(…)]` may bring such an attribute.
fn may_bring(attr: &Attribute, wanted: impl Fn(&Path) -> bool) -> bool {
    let metas = attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    metas.is_ok_and(|metas| metas.iter().skip(1).any(|meta| wanted(meta.path())))
}

/// Returns the last name of a type, without generics.
pub(super) fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default(),
        Type::Reference(reference) => type_name(&reference.elem),
        Type::Group(group) => type_name(&group.elem),
        other => quote::quote!(#other).to_string(),
    }
}
