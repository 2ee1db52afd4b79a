//! What a traced function is, decided: all rules of `#[trace]` are here.

use proc_macro2::{Span, TokenStream};
use syn::{
    AngleBracketedGenericArguments, Attribute, Expr, FnArg, GenericArgument, Ident, Pat, PathArguments, ReturnType,
    Signature, Type, TypeParamBound, visit_mut::VisitMut,
};

use super::{
    args::{Args, Chosen, ErrForm, SKIP},
    item::{Function, type_name},
};
use crate::{crate_path::CratePath, diag::Errors, literal::Map};

/// How the body runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Sync,
    Async,
    Future { boxed: bool },
    Stream { boxed: bool },
}

/// A function to be traced.
pub(super) struct Traced<'a> {
    /// Path of the runtime.
    pub(super) runtime: TokenStream,
    pub(super) name: String,
    pub(super) event_type: Option<&'a Chosen>,
    pub(super) visibility: Option<&'a Chosen>,
    /// Every argument that has a name.
    pub(super) params: Vec<Param>,
    /// Arguments that are not recorded; `None` where no argument is.
    skipped: Option<&'a [Ident]>,
    pub(super) shape: Shape,
    pub(super) outputs: bool,
    pub(super) err: ErrForm,
    pub(super) tracer: Option<&'a Expr>,
    pub(super) session_id: Option<&'a Expr>,
    pub(super) maps: Vec<(&'static str, &'a Map)>,
    /// Type of a future's output or of a stream's items, where the return type says it and nothing else pins it down.
    pub(super) item: Option<Type>,
    /// Return type as an annotation, with `_` for what cannot be named there.
    pub(super) returns: Option<Type>,
}

/// A parameter, and the `#[cfg]`s that it is there under.
pub(super) struct Param {
    pub(super) ident: Ident,
    pub(super) cfgs: Vec<Attribute>,
    /// Whether it may be noticed when it is dropped.
    pub(super) drops: bool,
}

impl<'a> Traced<'a> {
    pub(super) fn new(args: &'a Args, function: &Function, owner: Option<&str>) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let sig = &function.sig;
        if let Some(constness) = &sig.constness {
            errors.at(
                constness.span,
                "a `const fn` runs at compile time and cannot be traced; remove `const` or #[trace]",
            );
        }
        if let Some(word) = &args.left_out {
            errors.at(word.span(), SKIP);
        }
        let params = params(sig);
        for skipped in &args.skip {
            if !params.iter().any(|param| param.ident == *skipped) {
                errors.at(skipped.span(), unknown_param(skipped, &params));
            }
        }
        let record = args.inputs.as_ref().is_none_or(|inputs| inputs.value);
        if !record && let Some(first) = args.skip.first() {
            errors.at(first.span(), "`inputs = false` records no argument at all; remove `skip(…)`");
        }
        let output = ungrouped(&sig.output);
        let never = matches!(&output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)));
        let name = sig.ident.to_string().trim_start_matches("r#").to_owned();
        let traced = Self {
            runtime: CratePath::runtime(args.crate_path.as_ref()),
            name: match (&args.event_name, owner) {
                (Some(literal), _) => literal.value(),
                (None, Some(owner)) => format!("{owner}::{name}"),
                (None, None) => name,
            },
            event_type: args.event_type.as_ref(),
            visibility: args.visibility.as_ref(),
            params,
            skipped: record.then_some(&args.skip),
            shape: if sig.asyncness.is_some() { Shape::Async } else { shape(&output) },
            outputs: args.outputs.as_ref().is_none_or(|outputs| outputs.value) && !never,
            err: if never { ErrForm::Off } else { args.err.map(|(form, _)| form).unwrap_or_default() },
            tracer: args.tracer.as_ref(),
            session_id: args.session_id.as_ref(),
            maps: [("metadata", &args.metadata), ("config", &args.config)]
                .into_iter()
                .filter_map(|(bucket, map)| Some((bucket, map.as_ref()?)))
                .collect(),
            item: item(&output),
            returns: annotation(&output),
        };
        errors.or_value(Some(traced))
    }
}

impl Traced<'_> {
    /// Returns the arguments that are recorded.
    pub(super) fn captures(&self) -> impl Iterator<Item = &Param> {
        let is_recorded = |param: &&Param| self.skipped.is_some_and(|skipped| !skipped.contains(&param.ident));
        self.params.iter().filter(is_recorded)
    }

    /// Returns whether any value is captured.
    pub(super) fn probes(&self) -> bool {
        let result = self.outputs || self.err != ErrForm::Off;
        let entries = self.maps.iter().any(|(_, map)| map.has_expressions());
        result || entries || self.captures().next().is_some()
    }
}

/// Names every argument that can be recorded: each name that a pattern binds, but not `self`.
fn params(sig: &Signature) -> Vec<Param> {
    let mut params = vec![];
    for input in &sig.inputs {
        if let FnArg::Typed(typed) = input {
            let mut names = vec![];
            bound_names(&typed.pat, &mut names);
            let cfgs: Vec<Attribute> = typed.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect();
            let drops = !is_plain(&typed.ty);
            params.extend(names.into_iter().map(|ident| Param { ident, cfgs: cfgs.clone(), drops }));
        }
    }
    params
}

/// Returns whether a type is a reference or a number, as far as can be seen.
fn is_plain(ty: &Type) -> bool {
    let numbers =
        ["bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32", "u64", "usize"];
    matches!(ty, Type::Reference(_)) || numbers.contains(&type_name(ty).as_str())
}

fn bound_names(pat: &Pat, names: &mut Vec<Ident>) {
    match pat {
        Pat::Ident(ident) => names.push(ident.ident.clone()),
        Pat::Tuple(tuple) => tuple.elems.iter().for_each(|pat| bound_names(pat, names)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().for_each(|pat| bound_names(pat, names)),
        Pat::Struct(fields) => fields.fields.iter().for_each(|field| bound_names(&field.pat, names)),
        Pat::Slice(slice) => slice.elems.iter().for_each(|pat| bound_names(pat, names)),
        Pat::Reference(reference) => bound_names(&reference.pat, names),
        Pat::Paren(paren) => bound_names(&paren.pat, names),
        Pat::Type(typed) => bound_names(&typed.pat, names),
        // All cases of one bind the same names.
        Pat::Or(cases) => cases.cases.first().into_iter().for_each(|pat| bound_names(pat, names)),
        _ => {}
    }
}

fn unknown_param(name: &Ident, params: &[Param]) -> String {
    let known: Vec<String> = params.iter().map(|param| param.ident.to_string()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match known.is_empty() {
        true => format!("the function has no argument `{name}`, and none at all to skip"),
        false => crate::diag::choices("argument", &name.to_string(), &known),
    }
}

/// Returns the return type without the marks of a `macro_rules!` that it came through.
fn ungrouped(output: &ReturnType) -> ReturnType {
    struct Ungroup;
    impl VisitMut for Ungroup {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            while let Type::Group(group) = ty {
                *ty = (*group.elem).clone();
            }
            syn::visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut output = output.clone();
    Ungroup.visit_return_type_mut(&mut output);
    output
}

/// Tells by the return type how the body of a function runs that is not async.
fn shape(output: &ReturnType) -> Shape {
    let ReturnType::Type(_, ty) = output else { return Shape::Sync };
    classify(ty).unwrap_or(Shape::Sync)
}

fn classify(ty: &Type) -> Option<Shape> {
    match ty {
        Type::ImplTrait(opaque) => of_bounds(opaque.bounds.iter(), false),
        Type::Paren(paren) => classify(&paren.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            match last.ident.to_string().as_str() {
                "BoxFuture" | "LocalBoxFuture" => Some(Shape::Future { boxed: true }),
                "BoxStream" | "LocalBoxStream" => Some(Shape::Stream { boxed: true }),
                "Pin" => pinned(generic(&last.arguments)?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Looks into `Pin<Box<dyn …>>` and `Pin<Box<impl …>>`.
fn pinned(ty: &Type) -> Option<Shape> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    match (last.ident == "Box", generic(&last.arguments)?) {
        (true, Type::TraitObject(object)) => of_bounds(object.bounds.iter(), true),
        (true, Type::ImplTrait(opaque)) => of_bounds(opaque.bounds.iter(), true),
        _ => None,
    }
}

fn generics(arguments: &PathArguments) -> Option<&AngleBracketedGenericArguments> {
    match arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments),
        _ => None,
    }
}

fn generic(arguments: &PathArguments) -> Option<&Type> {
    generics(arguments)?.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn of_bounds<'b>(bounds: impl Iterator<Item = &'b TypeParamBound>, boxed: bool) -> Option<Shape> {
    bounds.into_iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last()?;
        // One that does not say of what is a trait of the user's.
        generics(&last.arguments)?;
        match last.ident.to_string().as_str() {
            "Future" => Some(Shape::Future { boxed }),
            "Stream" => Some(Shape::Stream { boxed }),
            _ => None,
        }
    })
}

/// Replaces what cannot be named inside the body.
struct Opaque;

impl VisitMut for Opaque {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            Type::ImplTrait(_) => *ty = syn::parse_quote!(_),
            _ => syn::visit_mut::visit_type_mut(self, ty),
        }
    }
}

/// Finds `T` in `impl Stream<Item = T>` and `impl Future<Output = T>`.
fn item(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, ty) = output else { return None };
    let Type::ImplTrait(opaque) = &**ty else { return None };
    let bounds = opaque.bounds.iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    });
    let arguments = bounds
        .filter(|last| last.ident == "Stream" || last.ident == "Future")
        .find_map(|last| generics(&last.arguments));
    let mut item = arguments?.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(of) if of.ident == "Item" || of.ident == "Output" => Some(of.ty.clone()),
        _ => None,
    })?;
    Opaque.visit_type_mut(&mut item);
    Some(item)
}

/// Makes the return type fit for an annotation inside the body. `None` for none and for `!`.
fn annotation(output: &ReturnType) -> Option<Type> {
    match output {
        ReturnType::Default => Some(Type::Tuple(syn::TypeTuple {
            attrs: vec![],
            paren_token: syn::token::Paren(Span::mixed_site()),
            elems: Default::default(),
        })),
        ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)) => None,
        ReturnType::Type(_, ty) => {
            let mut ty = (**ty).clone();
            Opaque.visit_type_mut(&mut ty);
            Some(ty)
        }
    }
}
