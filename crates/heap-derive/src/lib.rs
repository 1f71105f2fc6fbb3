//! `#[derive(Trace)]` and `#[derive(Share)]` for `heap-api`, which re-exports
//! them and documents the traits.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Lifetime, parse_macro_input};

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
    let predicates = where_clause.map(|clause| clause.predicates.iter().collect::<Vec<_>>());
    let mut bounds: Vec<TokenStream> =
        predicates.into_iter().flatten().map(|p| quote!(#p)).collect();
    // The same type in another region: lifetimes and type parameters replaced.
    let at_arguments = input.generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(_) => quote!('__at),
        GenericParam::Type(param) => {
            let ident = &param.ident;
            quote!(<#ident as ::heap_api::Trace>::At<'__at>)
        }
        GenericParam::Const(param) => {
            let ident = &param.ident;
            quote!(#ident)
        }
    });
    let at = if input.generics.params.is_empty() {
        quote!(#name)
    } else {
        quote!(#name<#(#at_arguments),*>)
    };
    for param in input.generics.type_params() {
        let ident = &param.ident;
        bounds.push(quote!(#ident: ::heap_api::Trace));
        if !param.bounds.is_empty() {
            let own = &param.bounds;
            bounds.push(quote!(for<'__at> <#ident as ::heap_api::Trace>::At<'__at>: #own));
        }
    }

    let mut needs_trace = Vec::new();
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

    Ok(quote! {
        // SAFETY: every field of every variant reports its handles; `At` replaces
        // the one lifetime and the type parameters' own; there is no `Drop`
        // (checked below); drop glue is that of the fields.
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
    })
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
            #[automatically_derived]
            #[allow(dead_code, reason = "never called: its type check is the point")]
            fn fields_are_share #impl_generics () where #(#bounds,)* {
                #(#checks)*
            }
        };
    })
}
