//! `#[derive(Label)]`: an enum without data as a closed set of labels.
//!
//! A variant's label is its name in snake case, or the text in `#[label("..")]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, LitStr, Variant};

use crate::attrs::{self, Errors};

/// A variant and its label.
struct Labeled<'a> {
    ident: &'a Ident,
    text: String,
}

/// The implementation for one enum.
pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let krate = attrs::item_crate(&input.attrs, "label", &mut errors);
    let labels = match &input.data {
        Data::Enum(data) => {
            data.variants.iter().map(|variant| read_variant(variant, &mut errors)).collect::<Vec<_>>()
        }
        _ => {
            errors.at(&input.ident, "labels are an enum: write `enum` with one variant for each label");
            Vec::new()
        }
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "an enum of labels has no generic parameters: take them away");
    }
    if matches!(&input.data, Data::Enum(data) if data.variants.is_empty()) {
        errors.at(&input.ident, "there is no label: write at least one variant");
    }
    check_distinct(&labels, &mut errors);
    errors.finish()?;

    let (name, vis) = (&input.ident, &input.vis);
    let variants: Vec<_> = labels.iter().map(|label| label.ident).collect();
    let texts: Vec<_> = labels.iter().map(|label| label.text.as_str()).collect();
    Ok(quote! {
        #[automatically_derived]
        impl #name {
            /// Every label, in declared order.
            #vis const ALL: &'static [Self] = &[#(Self::#variants),*];

            /// The label's text, as it stands in prompts and data files.
            #[must_use]
            #vis fn as_str(&self) -> &'static str {
                match self {
                    #(Self::#variants => #texts,)*
                }
            }
        }

        #[automatically_derived]
        impl #krate::FieldValue for #name {
            fn field_type() -> #krate::FieldType {
                let labels = Self::ALL.iter().map(|label| ::std::string::String::from(label.as_str()));
                #krate::FieldType::Label(::std::iter::Iterator::collect(labels))
            }

            fn into_value(self) -> #krate::Value {
                #krate::Value::String(::std::string::String::from(self.as_str()))
            }

            fn from_value(value: &#krate::Value) -> ::std::result::Result<Self, #krate::ValueError> {
                match #krate::Value::as_str(value) {
                    #(::std::option::Option::Some(#texts) => ::std::result::Result::Ok(Self::#variants),)*
                    _ => ::std::result::Result::Err(#krate::ValueError::new(
                        &<Self as #krate::FieldValue>::field_type(),
                        value,
                    )),
                }
            }
        }
    })
}

fn read_variant<'a>(variant: &'a Variant, errors: &mut Errors) -> Labeled<'a> {
    if variant.ident == "ALL" {
        errors.at(&variant.ident, "`ALL` is the list of all labels: call this variant something else");
    }
    if !matches!(variant.fields, Fields::Unit) {
        errors
            .at(&variant.fields, "a label holds no data: take the fields away, or put them into a signature");
    }
    let given = attrs::single(&variant.attrs, "label", errors).and_then(|attr| read_text(attr, errors));
    let text = given.unwrap_or_else(|| snake_case(&variant.ident.unraw().to_string()));
    Labeled { ident: &variant.ident, text }
}

fn read_text(attr: &Attribute, errors: &mut Errors) -> Option<String> {
    let text = attr
        .parse_args::<LitStr>()
        .map_err(|error| syn::Error::new(error.span(), "write the label's text: `#[label(\"..\")]`"));
    let text = errors.check(text)?;
    let value = text.value();
    if value.trim().is_empty() || value.trim() != value || value.contains(char::is_control) {
        errors.at(&text, "a label's text is one line with something in it and no white space around it");
    }
    Some(value)
}

/// An error at every variant whose label an earlier variant has.
fn check_distinct(labels: &[Labeled<'_>], errors: &mut Errors) {
    for (i, label) in labels.iter().enumerate() {
        if let Some(first) = labels.iter().take(i).find(|other| other.text == label.text) {
            let message = format!(
                "the label `{}` is `{}` already: give this variant another text with `#[label(\"..\")]`",
                label.text, first.ident
            );
            errors.at(label.ident, message);
        }
    }
}

/// `BugReport` -> `bug_report`, `HTTPError` -> `http_error`, `Level2` -> `level2`.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    let mut before: Option<char> = None;
    for (i, &c) in chars.iter().enumerate() {
        let next_is_lower = chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        let begins_word = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || before.is_numeric() || (before.is_uppercase() && next_is_lower)
            });
        if begins_word {
            out.push('_');
        }
        out.extend(c.to_lowercase());
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_become_snake_case() {
        let check = |name, expect| assert_eq!(snake_case(name), expect);
        check("BugReport", "bug_report");
        check("Praise", "praise");
        check("HTTPError", "http_error");
        check("Level2", "level2");
        check("Level2High", "level2_high");
        check("A", "a");
        check("Snake_Case", "snake_case");
        check("Übung", "übung");
    }
}
