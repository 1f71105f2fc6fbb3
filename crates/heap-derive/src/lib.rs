//! `#[derive(Trace)]` and `#[derive(Share)]` for `heap-api`, which re-exports
//! them and documents the traits.
//!
//! The output is `unsafe impl`, so it must be sound whatever the program around it does: attribute
//! macros that change the item after the derive has seen it, type macros that expand to something
//! else each time, a crate that calls itself `core` or `heap_api`.
//!
//! * DR1: everything about a field is inferred from the field, which a pattern binds by
//!   reference. No token of its type is repeated, but in error messages.
//! * DR2: a method of the very trait that is implemented demands what the compiler has to check:
//!   by its own bounds (`assert_leaf`, `assert_no_drop`, `assert_skipped`), or by bounds on the same path as the
//!   implementation's, in a method of the implementation, under its bounds. Other names are there
//!   for convenience: whatever they mean, the check is complete without them. Each implementation
//!   has a method of its trait, so no other unsafe trait (`Send`, for example) can be implemented
//!   under our trait's name.
//! * DR3: a field is of the region that its type is of: a type without a lifetime has no
//!   handles, and one with a lifetime has no `'static` ones. Otherwise a handle could go to
//!   another thread with its object, in a region that is not that thread's, and from there
//!   into another heap. The check looks at the type in any region `'a`, so that type parameters
//!   are `P::At<'a>`, of which `Trace` says that they are of `'a`.
//! * DR4: `NEEDS_TRACE` is computed from the type's parameters: true if there is a lifetime,
//!   else if it is true of a type parameter. A type without a lifetime, whose parameters are the
//!   same in all regions (TA6), has fields that are the same in all regions, and by DR3 they
//!   are of every region: they hold no handle.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    BoundLifetimes, Data, DeriveInput, Error, Field, Fields, GenericParam, Generics, Lifetime,
    LitStr, Path, Type, TypeParamBound, WherePredicate, parse_macro_input, parse_quote,
};

/// Derives `heap_api::Trace` for a struct or an enum; every field must be `Trace`.
///
/// The type may have one lifetime parameter, the heap lifetime. It must not implement
/// `Drop`.
///
/// * `#[trace(leaf)]` on the type: it holds no handles. It may then implement `Drop`, and its
///   fields need not be `Trace`; it must be `Send + 'static`.
/// * `#[trace(own_kind)]` on the type: its objects have spans of their own also if they need not be
///   traced or dropped, so that a handle to any object knows them.
/// * `#[trace(skip)]` on a field: it holds no handles, and need not be `Trace`; it must be
///   `Send + 'static`.
/// * `#[trace(crate = "path")]` on the type: the path of this library's crate, where it is not
///   `::heap_api`. `derive(Share)` heeds it too.
#[proc_macro_derive(Trace, attributes(trace))]
pub fn derive_trace(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_trace(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Derives `heap_api::Share`: every field must be `Share`.
#[proc_macro_derive(Share, attributes(trace))]
pub fn derive_share(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_share(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// What `#[trace(...)]` says about a type.
struct Options {
    /// `leaf`: holds no handles, whatever its fields are.
    leaf: bool,
    /// `own_kind`: has spans of its own.
    own_kind: bool,
    /// The path of the library. Whatever it leads to, the checks are those of the trait that is
    /// implemented (DR2).
    library: Path,
}

impl Options {
    fn of(input: &DeriveInput) -> Result<Options, Error> {
        let mut options =
            Options { leaf: false, own_kind: false, library: parse_quote!(::heap_api) };
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident("trace")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("leaf") {
                    options.leaf = true;
                    Ok(())
                } else if meta.path.is_ident("own_kind") {
                    options.own_kind = true;
                    Ok(())
                } else if meta.path.is_ident("crate") {
                    let path: LitStr = meta.value()?.parse()?;
                    options.library = path.parse_with(Path::parse_mod_style)?;
                    Ok(())
                } else {
                    Err(meta.error(
                        "unknown option; a type may have `#[trace(leaf)]`, `#[trace(own_kind)]` and \
                         `#[trace(crate = \"path\")]`, a field `#[trace(skip)]`",
                    ))
                }
            })?;
        }
        Ok(options)
    }

    /// The constant that is not the default's.
    fn own_kind(&self) -> TokenStream {
        if self.own_kind {
            quote!(
                const OWN_KIND: bool = true;
            )
        } else {
            TokenStream::new()
        }
    }
}

/// Whether a field has `#[trace(skip)]`.
fn is_skipped(field: &Field) -> Result<bool, Error> {
    let mut skipped = false;
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("trace")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skipped = true;
                Ok(())
            } else {
                Err(meta.error("unknown option; a field may have `#[trace(skip)]`"))
            }
        })?;
    }
    Ok(skipped)
}

/// Refuses options where they would have no effect, and what can be explained better here than by
/// the compiler.
fn check_fields(input: &DeriveInput, options: &Options) -> Result<(), Error> {
    if let Data::Enum(data) = &input.data {
        let mut attributes = data.variants.iter().flat_map(|variant| &variant.attrs);
        if let Some(misplaced) = attributes.find(|attribute| attribute.path().is_ident("trace")) {
            return Err(Error::new(
                misplaced.span(),
                "`#[trace(...)]` is for types and fields, not for variants",
            ));
        }
    }
    let own = input.generics.lifetimes().next().map(|own| &own.lifetime);
    for field in variants(&input.data)?.into_iter().flat_map(|(_, fields)| fields) {
        let skipped = is_skipped(field)?;
        if skipped && options.leaf {
            return Err(Error::new(field.span(), "no field of a leaf is traced: none is skipped"));
        }
        if let Type::Reference(reference) = &field.ty
            && reference.lifetime.is_some()
            && reference.lifetime.as_ref() == own
            && !skipped
        {
            let (target, own) = (&reference.elem, &reference.lifetime);
            return Err(Error::new_spanned(
                &field.ty,
                format!(
                    "a heap object holds handles, not references: write `Gc<{}, {}>`",
                    own.to_token_stream(),
                    target.to_token_stream(),
                ),
            ));
        }
    }
    Ok(())
}

/// The name of each variant (of a struct: none) and its fields.
fn variants(data: &Data) -> Result<Vec<(Option<&syn::Ident>, &Fields)>, Error> {
    match data {
        Data::Struct(data) => Ok(vec![(None, &data.fields)]),
        Data::Enum(data) => Ok(data.variants.iter().map(|v| (Some(&v.ident), &v.fields)).collect()),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "a union does not say which of its fields is alive, so it cannot be traced",
        )),
    }
}

/// A `match` over the place `this` that does `visit` with every field of every variant (DR1).
///
/// `binding` is `ref` or `ref mut`: `visit` gets a reference to exactly the field, and no token of
/// the field's type is written. The patterns name every field, so a type that differs from what
/// the derive saw either does not compile or has each of its fields visited.
fn each_field(
    input: &DeriveInput,
    this: &TokenStream,
    binding: &TokenStream,
    visit: impl Fn(&Field, &Ident) -> TokenStream,
) -> Result<TokenStream, Error> {
    let name = &input.ident;
    let mut arms = Vec::new();
    for (variant, fields) in variants(&input.data)? {
        let path = variant.map_or_else(|| quote!(#name), |variant| quote!(#name::#variant));
        // Errors are shown at the field; names are resolved at the derive.
        let bound = fields.iter().enumerate().map(|(i, field)| {
            let span = Span::call_site().located_at(field.ty.span());
            Ident::new(&format!("__heap_field_{i}"), span)
        });
        let bound: Vec<Ident> = bound.collect();
        let members = fields.members();
        let visits = fields.iter().zip(&bound).map(|(field, name)| visit(field, name));
        arms.push(quote!(#path { #(#members: #binding #bound),* } => { #(#visits)* }));
    }
    Ok(quote!(match #this { #(#arms)* }))
}

/// The path, for errors that are shown at `place`. What it leads to stays as it is.
fn shown_at(path: &Path, place: Span) -> TokenStream {
    path.to_token_stream()
        .into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(place));
            token
        })
        .collect()
}

fn expand_trace(input: &DeriveInput) -> Result<TokenStream, Error> {
    let options = Options::of(input)?;
    check_fields(input, &options)?;
    let lifetimes: Vec<&Lifetime> = input.generics.lifetimes().map(|l| &l.lifetime).collect();
    if let Some(extra) = lifetimes.get(1) {
        return Err(Error::new(
            extra.span(),
            "a heap object has one lifetime, that of the heap's handles",
        ));
    }
    match (options.leaf, lifetimes.first()) {
        (true, Some(lifetime)) => {
            Err(Error::new(lifetime.span(), "a leaf holds no handles and has no lifetime"))
        }
        (true, None) => Ok(expand_leaf(input, &options)),
        (false, _) => expand_fields(input, &options),
    }
}

/// The implementation for a leaf: `'static` data, whose fields need not be `Trace`.
fn expand_leaf(input: &DeriveInput, options: &Options) -> TokenStream {
    let (own_kind, library) = (options.own_kind(), &options.library);
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let own = where_clause.iter().flat_map(|clause| &clause.predicates);
    quote! {
        // SAFETY: `'static` data that is `Send` holds no handle (handles are
        // not `Send`) and may be dropped on any thread; `assert_leaf`, of the
        // trait that is implemented here, asks for both (DR2).
        #[automatically_derived]
        unsafe impl #impl_generics #library::Trace for #name #type_generics
        where #(#own,)* Self: #library::LeafData
        {
            type At<'__at> = #name #type_generics;
            const NEEDS_TRACE: bool = false;
            #own_kind
            #[inline(always)]
            fn trace(&self, _: &mut #library::Tracer) {}
            fn check_fields<'__at>(_: &mut <Self as #library::Trace>::At<'__at>) {
                <Self as #library::Trace>::assert_leaf();
            }
        }
    }
}

/// The implementation for a type that holds what its fields hold.
fn expand_fields(input: &DeriveInput, options: &Options) -> Result<TokenStream, Error> {
    let (own_kind, library) = (options.own_kind(), &options.library);
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let bounds = trace_bounds(&input.generics, library)?;
    let at = in_region(input, &Lifetime::new("'__at", Span::call_site()), library);
    let needs_trace = needs_trace(&input.generics, library);
    let trace =
        each_field(input, &quote!(*self), &quote!(ref), |field, name| match is_skipped(field) {
            Ok(false) => {
                let library = shown_at(library, name.span());
                quote_spanned!(name.span()=> #library::Trace::trace(#name, __heap_tracer);)
            }
            _ => quote_spanned!(name.span()=> let _ = #name;),
        })?;
    let check =
        each_field(
            input,
            &quote!(*__heap_this),
            &quote!(ref mut),
            |field, name| match is_skipped(field) {
                Ok(false) => {
                    quote_spanned!(name.span()=> __heap_of_region::<'__at, '_, _>(#name);)
                }
                _ => {
                    let library = shown_at(library, name.span());
                    quote_spanned!(name.span()=> <Self as #library::Trace>::assert_skipped(#name);)
                }
            },
        )?;
    Ok(quote! {
        // SAFETY: every field of every variant reports its handles; `At` replaces
        // the one lifetime and the type parameters' own, and thereby every region
        // in the fields; there is no `Drop`; drop glue is that of the fields.
        // `check_fields` has the compiler check the last three (DR2, DR3).
        #[automatically_derived]
        unsafe impl #impl_generics #library::Trace for #name #type_generics
        where #(#bounds,)*
        {
            type At<'__at> = #at;
            const NEEDS_TRACE: bool = #needs_trace;
            #own_kind
            #[inline]
            fn trace(&self, __heap_tracer: &mut #library::Tracer) {
                #trace
            }
            // Behind `&mut`, so that no region is shortened to fit.
            fn check_fields<'__at>(
                __heap_this: &mut <Self as #library::Trace>::At<'__at>,
            ) {
                fn __heap_of_region<'__gc, '__borrow: '__borrow, __HeapField>(
                    _: &'__borrow mut __HeapField,
                ) where
                    __HeapField: #library::Trace<At<'__gc> = __HeapField>,
                {
                }
                <Self as #library::Trace>::assert_no_drop();
                #check
            }
        }

        // Two implementations apply to a type that implements `Drop`: its
        // destructor could reach neighbours that were freed before it. Wrap
        // what must be dropped in a field of its own that holds no handles.
        #[automatically_derived]
        impl #impl_generics #library::HeapObjectsMustNotImplementDrop for #name #type_generics
        #where_clause
        {
            type OwnDrop = ();
        }
    })
}

/// Whether the type may hold handles, from its parameters alone (DR4).
///
/// If it were computed from the fields' types, a type that holds itself through a `Box`, a `Vec`
/// or another type would need its own value.
fn needs_trace(generics: &Generics, library: &Path) -> TokenStream {
    if generics.lifetimes().next().is_some() {
        return quote!(true);
    }
    let parameters = generics.type_params().map(|param| &param.ident);
    quote!(false #(|| <#parameters as #library::Trace>::NEEDS_TRACE)*)
}

/// The type with `region` in place of its lifetime, and its type parameters in that region.
fn in_region(input: &DeriveInput, region: &Lifetime, library: &Path) -> TokenStream {
    let name = &input.ident;
    if input.generics.params.is_empty() {
        return quote!(#name);
    }
    let arguments = input.generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(_) => quote!(#region),
        GenericParam::Type(param) => {
            let ident = &param.ident;
            quote!(<#ident as #library::Trace>::At<#region>)
        }
        GenericParam::Const(param) => {
            let ident = &param.ident;
            quote!(#ident)
        }
    });
    quote!(#name<#(#arguments),*>)
}

/// The bounds of an implementation of `Trace` for a type that holds what its fields hold: the
/// type's own; that the parameters are `Trace`; and each bound on a parameter once more, on the
/// parameter in any region.
fn trace_bounds(generics: &Generics, library: &Path) -> Result<Vec<TokenStream>, Error> {
    let mut bounds = Vec::new();
    for param in generics.type_params() {
        let ident = &param.ident;
        bounds.push(quote!(#ident: #library::Trace));
        for bound in &param.bounds {
            bounds.extend(in_any_region(generics, library, None, &ident.to_token_stream(), bound)?);
        }
    }
    for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        bounds.push(quote!(#predicate));
        if let WherePredicate::Type(predicate) = predicate {
            let bounded = predicate.bounded_ty.to_token_stream();
            for bound in &predicate.bounds {
                let lifetimes = predicate.lifetimes.as_ref();
                bounds.extend(in_any_region(generics, library, lifetimes, &bounded, bound)?);
            }
        }
    }
    Ok(bounds)
}

/// A bound on a type, in any region: the lifetime and the type parameters are those of region
/// `'__at`. `None` where that cannot be expressed, or adds nothing.
fn in_any_region(
    generics: &Generics,
    library: &Path,
    lifetimes: Option<&BoundLifetimes>,
    bounded: &TokenStream,
    bound: &TypeParamBound,
) -> Result<Option<TokenStream>, Error> {
    let (own_lifetimes, bound) = match bound {
        TypeParamBound::Trait(bound) if bound.maybe.is_some() => {
            return Err(Error::new(
                bound.span(),
                "type parameters are sized; a handle on a slice is a `Gc<'gc, [T]>`",
            ));
        }
        TypeParamBound::Trait(bound) => {
            let path = &bound.path;
            (bound.lifetimes.as_ref(), path.to_token_stream())
        }
        other => (None, other.to_token_stream()),
    };
    let Some(bounded) = substitute(bounded.clone(), generics, library) else { return Ok(None) };
    let Some(bound) = substitute(bound, generics, library) else { return Ok(None) };
    // One list of lifetimes: they do not nest.
    let lifetimes = lifetimes.into_iter().chain(own_lifetimes).flat_map(|list| &list.lifetimes);
    Ok(Some(quote!(for<'__at #(, #lifetimes)*> #bounded: #bound)))
}

/// The tokens with the type parameters in region `'__at`, and `'__at` in the place of the
/// lifetime. `None` if a parameter's associated type is named, of which the trait is unknown here.
fn substitute(tokens: TokenStream, generics: &Generics, library: &Path) -> Option<TokenStream> {
    let own = generics.lifetimes().next().map(|own| &own.lifetime);
    let is_param = |ident: &Ident| generics.type_params().any(|param| param.ident == *ident);
    let mut after_tick = false;
    let mut out = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    // `a::T` is no parameter, nor is the name of an associated type, `T = u8`.
    let mut after_colons = 0;
    while let Some(token) = tokens.next() {
        let is_lifetime = std::mem::replace(
            &mut after_tick,
            matches!(&token, TokenTree::Punct(tick) if tick.as_char() == '\''),
        );
        let is_member = after_colons == 2;
        after_colons = match &token {
            TokenTree::Punct(colon) if colon.as_char() == ':' => after_colons + 1,
            _ => 0,
        };
        match token {
            TokenTree::Ident(ident) if is_lifetime => {
                let is_own = own.is_some_and(|own| own.ident == ident);
                let name = if is_own { Ident::new("__at", ident.span()) } else { ident };
                out.extend([TokenTree::Ident(name)]);
            }
            TokenTree::Ident(ident) if !is_member && is_param(&ident) => {
                let next = tokens.peek().map(ToString::to_string);
                match next.as_deref() {
                    Some(":") => return None,
                    Some("=") => out.extend([TokenTree::Ident(ident)]),
                    _ => out.extend(quote!(<#ident as #library::Trace>::At<'__at>)),
                }
            }
            TokenTree::Group(group) => {
                let inner = substitute(group.stream(), generics, library)?;
                out.extend([TokenTree::Group(Group::new(group.delimiter(), inner))]);
            }
            other => out.extend([other]),
        }
    }
    Some(out)
}

fn expand_share(input: &DeriveInput) -> Result<TokenStream, Error> {
    let library = Options::of(input)?.library;
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let own = where_clause.iter().flat_map(|clause| &clause.predicates);
    let parameters = input.generics.type_params().map(|param| &param.ident);
    let check = each_field(
        input,
        &quote!(*self),
        &quote!(ref),
        |_, name| quote_spanned!(name.span()=> __heap_is_share(#name);),
    )?;
    Ok(quote! {
        // SAFETY: every field is `Share`, which `check_fields` has the compiler check (DR2).
        #[automatically_derived]
        unsafe impl #impl_generics #library::Share for #name #type_generics
        where #(#own,)* #(#parameters: #library::Share,)*
        {
            fn check_fields(&self) {
                fn __heap_is_share<__HeapField: #library::Share + ?Sized>(_: &__HeapField) {}
                #check
            }
        }
    })
}
