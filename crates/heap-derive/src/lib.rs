//! `#[derive(Trace)]` and `#[derive(Share)]` for `heap-api`, which re-exports
//! them and documents the traits.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Fields, GenericParam, Generics, Lifetime, LifetimeParam, Type,
    WherePredicate, parse_macro_input,
};

/// Derives `heap_api::Trace`.
///
/// The type may have one lifetime parameter, the heap lifetime. It must not
/// implement `Drop`; a type without handles that wants to says
/// `#[trace(leaf)]`, and must then be `Send + 'static`.
#[proc_macro_derive(Trace, attributes(trace))]
pub fn derive_trace(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_trace(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Derives `heap_api::Share`: every field must be `Share`.
#[proc_macro_derive(Share)]
pub fn derive_share(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand_share(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Whether the type said `#[trace(leaf)]`.
fn is_leaf(input: &DeriveInput) -> Result<bool, Error> {
    let mut leaf = false;
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("trace")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("leaf") {
                leaf = true;
                Ok(())
            } else {
                Err(meta.error("unknown option; `#[trace(leaf)]` is the only one"))
            }
        })?;
    }
    Ok(leaf)
}

/// Refuses `#[trace(...)]` on fields and variants, where it would be ignored and
/// nobody would notice.
fn only_on_types(data: &Data) -> Result<(), Error> {
    let in_variants = match data {
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.attrs).collect(),
        _ => Vec::new(),
    };
    let fields = variants(data)?.into_iter().flat_map(|(_, fields)| fields);
    let mut attributes = in_variants.into_iter().chain(fields.flat_map(|field| &field.attrs));
    match attributes.find(|attribute| attribute.path().is_ident("trace")) {
        Some(misplaced) => Err(Error::new(
            misplaced.span(),
            "`#[trace(...)]` is for whole types, not for fields and variants",
        )),
        None => Ok(()),
    }
}

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

fn expand_trace(input: &DeriveInput) -> Result<TokenStream, Error> {
    let name = &input.ident;
    let leaf = is_leaf(input)?;
    only_on_types(&input.data)?;
    let variants = variants(&input.data)?;

    let lifetimes: Vec<&Lifetime> = input.generics.lifetimes().map(|l| &l.lifetime).collect();
    if let Some(extra) = lifetimes.get(1) {
        return Err(Error::new(
            extra.span(),
            "a heap object has one lifetime, that of the heap's handles",
        ));
    }
    if leaf && let Some(lifetime) = lifetimes.first() {
        return Err(Error::new(lifetime.span(), "a leaf holds no handles and has no lifetime"));
    }

    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let bounds = trace_bounds(&input.generics);
    let any_region = Lifetime::new("'__gc", Span::call_site());
    let region = lifetimes.first().copied().unwrap_or(&any_region);
    let at = in_region(input, &Lifetime::new("'__at", Span::call_site()));

    let generic = input.generics.type_params().next().is_some();
    let mut needs_trace = Vec::new();
    let mut region_checks = Vec::new();
    let mut arms = Vec::new();
    for (variant, fields) in &variants {
        let path = variant.map_or_else(|| quote!(#name), |variant| quote!(#name::#variant));
        let names: Vec<_> = (0..fields.len()).map(|i| format_ident!("field_{i}")).collect();
        let pattern = match fields {
            Fields::Named(named) => {
                let idents = named.named.iter().map(|f| &f.ident);
                quote!(#path { #(#idents: #names),* })
            }
            Fields::Unnamed(_) => quote!(#path(#(#names),*)),
            Fields::Unit => quote!(#path),
        };
        let types: Vec<_> = fields.iter().map(|f| &f.ty).collect();
        needs_trace.extend(types.iter().map(|ty| quote!(<#ty as ::heap_api::Trace>::NEEDS_TRACE)));
        // Without type parameters the types can be named as they are, at their
        // own place in the source: a field that is not `Trace` is then reported
        // once.
        let checks = names.iter().zip(&types).map(|(field, ty)| match generic {
            true => quote_spanned!(ty.span()=> infer_region::<#region, '_, _>(#field);),
            false => quote!(of_one_region::<#region, #ty>();),
        });
        region_checks.push(quote!(#pattern => { #(#checks)* }));
        arms.push(quote! {
            #pattern => { #(<#types as ::heap_api::Trace>::trace(#names, __tracer);)* }
        });
    }
    let body =
        if arms.is_empty() { quote!(match *self {}) } else { quote!(match self { #(#arms)* }) };

    if leaf {
        // A leaf's fields need not be traceable: it is `'static` data.
        return Ok(quote! {
            // SAFETY: `'static` data that is `Send` holds no handle (handles are
            // not `Send`) and may be dropped on any thread; both are checked
            // below.
            #[automatically_derived]
            unsafe impl #impl_generics ::heap_api::Trace for #name #type_generics
            where #(#bounds,)* #name #type_generics: ::core::marker::Send + 'static
            {
                type At<'__at> = #name #type_generics;
                const NEEDS_TRACE: bool = false;
                #[inline(always)]
                fn trace(&self, _: &mut ::heap_api::Tracer) {}
            }
        });
    }

    let one_region = one_region_check(input, region, &bounds, &region_checks);
    Ok(quote! {
        // SAFETY: every field of every variant reports its handles; `At` replaces
        // the one lifetime and the type parameters' own, and thereby every region
        // in the fields (checked below); there is no `Drop` (checked below); drop
        // glue is that of the fields.
        #[automatically_derived]
        unsafe impl #impl_generics ::heap_api::Trace for #name #type_generics
        where #(#bounds,)*
        {
            type At<'__at> = #at;
            const NEEDS_TRACE: bool = false #(|| #needs_trace)*;
            #[inline]
            #[allow(unused_variables, reason = "a type without fields has nothing to trace")]
            fn trace(&self, __tracer: &mut ::heap_api::Tracer) {
                #body
            }
        }

        const _: () = {
            // Two implementations apply to a type that implements `Drop`: its
            // destructor could reach neighbours that were freed before it. Wrap
            // what must be dropped in a field of its own that holds no handles.
            trait HeapObjectsMustNotImplementDrop {}
            #[allow(drop_bounds, reason = "exactly the types with a destructor of their own")]
            impl<T: ::core::ops::Drop + ?Sized> HeapObjectsMustNotImplementDrop for T {}
            #[automatically_derived]
            impl #impl_generics HeapObjectsMustNotImplementDrop for #name #type_generics
            #where_clause {}
        };

        #one_region
    })
}

/// Checks that every field is of the region that the type is of: a type without
/// a lifetime has no handles, and one with a lifetime has no `'static` ones.
///
/// Otherwise a handle could go to another thread with its object, in a region
/// that is not that thread's, and from there into another heap.
///
/// The check looks at the type in its own region, so that type parameters are
/// `P::At<'gc>`, of which [`Trace`](derive_trace) says that they are of `'gc`.
/// Behind `&mut`, so that no region is shortened to fit.
fn one_region_check(
    input: &DeriveInput,
    region: &Lifetime,
    bounds: &[TokenStream],
    arms: &[TokenStream],
) -> TokenStream {
    let name = &input.ident;
    let (_, type_generics, _) = input.generics.split_for_impl();
    let mut generics = input.generics.clone();
    if generics.lifetimes().next().is_none() {
        let any = LifetimeParam::new(region.clone());
        generics.params.insert(0, GenericParam::Lifetime(any));
    }
    let (impl_generics, ..) = generics.split_for_impl();
    let this = in_region(input, region);
    let body =
        if arms.is_empty() { quote!(match *this {}) } else { quote!(match this { #(#arms)* }) };
    quote! {
        const _: () = {
            fn of_one_region<'__gc, F: ::heap_api::Trace<At<'__gc> = F>>() {}
            #[allow(dead_code, reason = "for generic types")]
            fn infer_region<'__gc, '__borrow: '__borrow, F>(_: &'__borrow mut F)
            where
                F: ::heap_api::Trace<At<'__gc> = F>,
            {
                of_one_region::<'__gc, F>();
            }
            #[allow(dead_code, reason = "never called: its type check is the point")]
            trait FieldsAreOfOneRegion<'__gc, This> {
                fn check(this: &mut This);
            }
            // A trait's method, so that fields can say `Self`.
            #[automatically_derived]
            impl #impl_generics FieldsAreOfOneRegion<#region, #this> for #name #type_generics
            where #(#bounds,)*
            {
                #[allow(unused_variables, reason = "not every check looks at its field")]
                fn check(this: &mut #this) {
                    #body
                }
            }
        };
    }
}

/// The type with `region` for its lifetime and its parameters' types in that
/// region.
fn in_region(input: &DeriveInput, region: &Lifetime) -> TokenStream {
    let name = &input.ident;
    if input.generics.params.is_empty() {
        return quote!(#name);
    }
    let arguments = input.generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(_) => quote!(#region),
        GenericParam::Type(param) => {
            let ident = &param.ident;
            quote!(<#ident as ::heap_api::Trace>::At<#region>)
        }
        GenericParam::Const(param) => {
            let ident = &param.ident;
            quote!(#ident)
        }
    });
    quote!(#name<#(#arguments),*>)
}

/// The bounds of an implementation of `Trace`: the type's own; that the
/// parameters are `Trace`; and whatever the type asks of a parameter, of the
/// parameter in any region.
fn trace_bounds(generics: &Generics) -> Vec<TokenStream> {
    let own = generics.lifetimes().next().map(|own| &own.lifetime);
    let mut bounds = Vec::new();
    let also_at = |ident: &syn::Ident, asked: TokenStream| {
        let asked = rename_lifetime(asked, own);
        quote!(for<'__at> <#ident as ::heap_api::Trace>::At<'__at>: #asked)
    };
    for param in generics.type_params() {
        let ident = &param.ident;
        bounds.push(quote!(#ident: ::heap_api::Trace));
        if !param.bounds.is_empty() {
            bounds.push(also_at(ident, param.bounds.to_token_stream()));
        }
    }
    for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        bounds.push(quote!(#predicate));
        if let WherePredicate::Type(predicate) = predicate
            && let Type::Path(path) = &predicate.bounded_ty
            && let Some(param) = generics.type_params().find(|p| path.path.is_ident(&p.ident))
        {
            bounds.push(also_at(&param.ident, predicate.bounds.to_token_stream()));
        }
    }
    bounds
}

/// The tokens with `'__at` in the place of `own`.
fn rename_lifetime(tokens: TokenStream, own: Option<&Lifetime>) -> TokenStream {
    let Some(own) = own else { return tokens };
    let mut after_tick = false;
    let renamed = tokens.into_iter().map(|token| {
        let lifetime = std::mem::replace(
            &mut after_tick,
            matches!(&token, TokenTree::Punct(tick) if tick.as_char() == '\''),
        );
        match token {
            TokenTree::Ident(ident) if lifetime && ident == own.ident => {
                TokenTree::Ident(proc_macro2::Ident::new("__at", ident.span()))
            }
            TokenTree::Group(group) => {
                let inner = rename_lifetime(group.stream(), Some(own));
                TokenTree::Group(Group::new(group.delimiter(), inner))
            }
            other => other,
        }
    });
    renamed.collect()
}

fn expand_share(input: &DeriveInput) -> Result<TokenStream, Error> {
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let predicates = where_clause.map(|clause| clause.predicates.iter().collect::<Vec<_>>());
    let mut bounds: Vec<TokenStream> =
        predicates.into_iter().flatten().map(|p| quote!(#p)).collect();
    for param in input.generics.type_params() {
        let ident = &param.ident;
        bounds.push(quote!(#ident: ::heap_api::Share));
    }
    let types: Vec<_> =
        variants(&input.data)?.into_iter().flat_map(|(_, f)| f.iter().map(|f| &f.ty)).collect();
    let checks = types.iter().map(|ty| quote!(assert_share::<#ty>();));
    Ok(quote! {
        // SAFETY: every field is `Share`, checked below.
        #[automatically_derived]
        unsafe impl #impl_generics ::heap_api::Share for #name #type_generics
        where #(#bounds,)* {}

        const _: () = {
            fn assert_share<T: ::heap_api::Share + ?Sized>() {}
            #[allow(dead_code, reason = "never called: its type check is the point")]
            trait FieldsAreShare {
                fn check();
            }
            #[automatically_derived]
            impl #impl_generics FieldsAreShare for #name #type_generics
            where #(#bounds,)*
            {
                fn check() {
                    #(#checks)*
                }
            }
        };
    })
}
