//! `#[derive(Module)]`: `Visit` for a struct, field by field in declared order.
//!
//! The derive lists the predictors; what the program does is the user's `impl Module`. `#[module(skip)]` leaves a field
//! out, `#[module(frozen)]` keeps its predictors as they are.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Ident, Index, Member, Type, parse_quote_spanned};

use crate::attrs::{self, Errors};

/// How a field is visited.
#[derive(Clone, Copy, PartialEq)]
enum Visiting {
    Open,
    Frozen,
    Skipped,
}

/// The implementation for one struct.
pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let krate = attrs::item_crate(&input.attrs, "module", &mut errors);
    let Data::Struct(data) = &input.data else {
        errors.at(
            &input.ident,
            "a module is a struct: hold the alternatives in `Option` fields, or write `impl Visit` by hand",
        );
        return errors.finish().map(|()| TokenStream::new());
    };
    let fields: Vec<(&Field, Visiting)> =
        data.fields.iter().map(|field| (field, read_field(field, &mut errors))).collect();
    errors.finish()?;

    let mut generics = input.generics.clone();
    let parameters: Vec<Ident> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let mut calls = TokenStream::new();
    for (index, (field, visiting)) in fields.iter().enumerate() {
        let method = match visiting {
            Visiting::Open => format_ident!("field"),
            Visiting::Frozen => format_ident!("frozen_field"),
            Visiting::Skipped => continue,
        };
        let (member, name) = match &field.ident {
            Some(ident) => (Member::Named(ident.clone()), ident.unraw().to_string()),
            None => (Member::Unnamed(Index::from(index)), index.to_string()),
        };
        let ty = &field.ty;
        // A bound on a type that holds the struct itself would be looked for without end.
        if mentions(ty, &parameters) && !mentions(ty, std::slice::from_ref(&input.ident)) {
            let bound = parse_quote_spanned!(ty.span()=> #ty: #krate::Visit);
            generics.make_where_clause().predicates.push(bound);
        }
        // The span makes rustc point at the field's type when it cannot be visited.
        let value = quote_spanned!(ty.span()=> &self.#member);
        calls.extend(quote!(visitor.#method(#name, #value);));
    }

    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        #[allow(unused_variables)]
        impl #impl_generics #krate::Visit for #name #type_generics #where_clause {
            fn visit<'__visit>(&'__visit self, visitor: &mut #krate::Visitor<'__visit>) {
                #calls
            }
        }
    })
}

fn read_field(field: &Field, errors: &mut Errors) -> Visiting {
    let Some(attr) = attrs::single(&field.attrs, "module", errors) else { return Visiting::Open };
    let mut visiting = Visiting::Open;
    attrs::keys(attr, &["skip", "frozen"], errors, |key, meta| {
        attrs::flag(key, meta)?;
        if visiting != Visiting::Open {
            return Err(meta.error("a field is skipped or frozen, not both: keep one of the two"));
        }
        visiting = if key == "skip" { Visiting::Skipped } else { Visiting::Frozen };
        Ok(())
    });
    visiting
}

/// Whether one of `names` stands somewhere in `ty`.
fn mentions(ty: &Type, names: &[Ident]) -> bool {
    fn search(tokens: TokenStream, names: &[Ident]) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => names.contains(&ident),
            TokenTree::Group(group) => search(group.stream(), names),
            _ => false,
        })
    }
    search(ty.to_token_stream(), names)
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn type_parameters_are_found_at_any_depth() {
        let names = [format_ident!("M")];
        assert!(mentions(&parse_quote!(Vec<Option<Box<M>>>), &names));
        assert!(mentions(&parse_quote!((u8, [M; 2])), &names));
        assert!(!mentions(&parse_quote!(Predict<Main>), &names));
    }
}
