//! `#[derive(Signature)]`: a struct of marked fields as the task of one LM call.
//!
//! ```text
//!   struct Answer { #[input] .., #[output] .. }
//!      ├─ AnswerInput, AnswerOutput     its two halves, as structs
//!      ├─ IntoFields, FromFields        for all three
//!      ├─ Signature                     the run-time form, made once
//!      └─ From                          joined from the halves, parted into them, an Example
//! ```
//!
//! Reading the struct ([`Declared::read`]) and writing code ([`Declared::expand`]) are apart: everything that can be
//! wrong is found in the first.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Field, LitStr, Path, Type, Visibility};

use crate::attrs::{self, Errors};

/// Names that no field can have: the chat form ends an answer with `[[ ## completed ## ]]`.
const RESERVED: [&str; 1] = ["completed"];

/// The code for one struct.
pub(crate) fn derive(input: &DeriveInput) -> syn::Result<TokenStream> {
    Ok(Declared::read(input)?.expand())
}

/// Which half a field belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Input,
    Output,
}

impl Half {
    /// The word in names and messages.
    fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A field that can be written out.
struct Part<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    half: Half,
    /// The doc comments, for the halves' own documentation.
    docs: Vec<&'a Attribute>,
    description: String,
    prefix: Option<LitStr>,
}

impl Part<'_> {
    /// The name in prompts and data files.
    fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

/// A struct without mistakes.
struct Declared<'a> {
    krate: Path,
    ident: &'a Ident,
    vis: &'a Visibility,
    instruction: String,
    parts: Vec<Part<'a>>,
}

impl<'a> Declared<'a> {
    /// Reads the struct and finds every mistake in it.
    fn read(input: &'a DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let krate = attrs::item_crate(&input.attrs, "signature", &mut errors);
        let parts = match &input.data {
            Data::Struct(data) => match &data.fields {
                syn::Fields::Named(fields) => {
                    fields.named.iter().filter_map(|field| read_field(field, &mut errors)).collect()
                }
                syn::Fields::Unnamed(_) => {
                    errors
                        .at(&data.fields, "the fields of a signature have names: write `{ name: Type, .. }`");
                    Vec::new()
                }
                syn::Fields::Unit => Vec::new(),
            },
            _ => {
                errors.at(
                    &input.ident,
                    "a signature is a struct: write `struct` with `#[input]` and `#[output]` fields",
                );
                Vec::new()
            }
        };
        if !input.generics.params.is_empty() {
            errors.at(
                &input.generics,
                "a signature has no generic parameters: write out the types of its fields, `String` for text",
            );
        }
        if let Data::Struct(data) = &input.data {
            check_halves(&input.ident, &data.fields, &mut errors);
        }
        check_prefixes(&parts, &mut errors);
        errors.finish()?;
        let instruction = attrs::doc(&input.attrs);
        Ok(Self { krate, ident: &input.ident, vis: &input.vis, instruction, parts })
    }

    /// Everything that the derive adds.
    fn expand(&self) -> TokenStream {
        let all: Vec<&Part<'_>> = self.parts.iter().collect();
        let input = self.expand_half(Half::Input);
        let output = self.expand_half(Half::Output);
        let whole = self.expand_fields(self.ident, &all);
        let signature = self.expand_signature();
        let conversions = self.expand_conversions();
        quote!(#input #output #whole #signature #conversions)
    }

    fn half(&self, half: Half) -> Vec<&Part<'_>> {
        self.parts.iter().filter(|part| part.half == half).collect()
    }

    fn half_ident(&self, half: Half) -> Ident {
        match half {
            Half::Input => format_ident!("{}Input", self.ident),
            Half::Output => format_ident!("{}Output", self.ident),
        }
    }

    /// `struct XInput { .. }` with its field conversions.
    fn expand_half(&self, half: Half) -> TokenStream {
        let (ident, vis) = (self.half_ident(half), self.vis);
        let parts = self.half(half);
        let doc = format!("The {} fields of [`{}`].", half.word(), self.ident);
        let members = parts.iter().map(|part| {
            let (name, ty) = (part.ident, part.ty);
            let docs = if part.docs.is_empty() {
                let doc = match part.description.as_str() {
                    "" => format!("The {} `{}`.", half.word(), part.name()),
                    description => description.to_owned(),
                };
                quote!(#[doc = #doc])
            } else {
                let docs = &part.docs;
                quote!(#(#docs)*)
            };
            quote!(#docs #vis #name: #ty)
        });
        let fields = self.expand_fields(&ident, &parts);
        quote! {
            #[doc = #doc]
            #[derive(::std::clone::Clone, ::std::fmt::Debug, ::std::cmp::PartialEq)]
            #vis struct #ident {
                #(#members,)*
            }

            #fields
        }
    }

    /// `IntoFields` and `FromFields` for a struct of these fields.
    fn expand_fields(&self, ident: &Ident, parts: &[&Part<'_>]) -> TokenStream {
        let krate = &self.krate;
        let names: Vec<String> = parts.iter().map(|part| part.name()).collect();
        let idents: Vec<&Ident> = parts.iter().map(|part| part.ident).collect();
        let types: Vec<&Type> = parts.iter().map(|part| part.ty).collect();
        quote! {
            #[automatically_derived]
            impl #krate::IntoFields for #ident {
                fn into_fields(self) -> #krate::Fields {
                    #krate::Fields::new()
                        #(.with(#names, <#types as #krate::FieldValue>::into_value(self.#idents)))*
                }
            }

            #[automatically_derived]
            #[allow(unused_variables)]
            impl #krate::FromFields for #ident {
                fn from_fields(fields: &#krate::Fields) -> ::std::result::Result<Self, #krate::FieldsError> {
                    ::std::result::Result::Ok(Self {
                        #(#idents: #krate::Fields::typed::<#types>(fields, #names)?,)*
                    })
                }
            }
        }
    }

    /// `Signature` for the struct.
    fn expand_signature(&self) -> TokenStream {
        let (krate, ident, instruction) = (&self.krate, self.ident, &self.instruction);
        let (input, output) = (self.half_ident(Half::Input), self.half_ident(Half::Output));
        let specs = |half| {
            let specs = self.half(half).into_iter().map(|part| self.expand_spec(part));
            quote!(::std::vec::Vec::from([#(#specs),*]))
        };
        let (inputs, outputs) = (specs(Half::Input), specs(Half::Output));
        let name = ident.unraw().to_string();
        quote! {
            #[automatically_derived]
            impl #krate::Signature for #ident {
                type Input = #input;
                type Output = #output;

                fn spec() -> &'static ::std::sync::Arc<#krate::SignatureSpec> {
                    static SPEC: ::std::sync::LazyLock<::std::sync::Arc<#krate::SignatureSpec>> =
                        ::std::sync::LazyLock::new(|| {
                            ::std::sync::Arc::new(#krate::SignatureSpec::derived(
                                ::std::string::String::from(#name),
                                #instruction,
                                #inputs,
                                #outputs,
                            ))
                        });
                    &SPEC
                }
            }
        }
    }

    /// A `FieldSpec`.
    fn expand_spec(&self, part: &Part<'_>) -> TokenStream {
        let (krate, ty, name) = (&self.krate, part.ty, part.name());
        // The span makes rustc point at the field's type when no field can be of it.
        let field_type = quote_spanned!(ty.span()=> <#ty as #krate::FieldValue>::field_type());
        let mut spec = quote!(#krate::FieldSpec::new(#name, #field_type));
        if !part.description.is_empty() {
            let description = &part.description;
            spec.extend(quote!(.described(#description)));
        }
        match &part.prefix {
            None => spec,
            Some(prefix) => {
                quote!(#krate::FieldSpec { prefix: ::std::string::String::from(#prefix), ..#spec })
            }
        }
    }

    /// The conversions between the struct, its halves and an `Example`.
    fn expand_conversions(&self) -> TokenStream {
        let (krate, ident) = (&self.krate, self.ident);
        let (input, output) = (self.half_ident(Half::Input), self.half_ident(Half::Output));
        let idents = |half| self.half(half).into_iter().map(|part| part.ident).collect::<Vec<_>>();
        let (inputs, outputs) = (idents(Half::Input), idents(Half::Output));
        quote! {
            #[automatically_derived]
            #[allow(unused_variables)]
            impl ::std::convert::From<(#input, #output)> for #ident {
                fn from((input, output): (#input, #output)) -> Self {
                    Self { #(#inputs: input.#inputs,)* #(#outputs: output.#outputs,)* }
                }
            }

            #[automatically_derived]
            impl ::std::convert::From<#ident> for (#input, #output) {
                fn from(whole: #ident) -> Self {
                    (#input { #(#inputs: whole.#inputs,)* }, #output { #(#outputs: whole.#outputs,)* })
                }
            }

            #[automatically_derived]
            impl ::std::convert::From<#ident> for #krate::Example {
                fn from(whole: #ident) -> Self {
                    let (input, output) = <(#input, #output)>::from(whole);
                    Self {
                        inputs: #krate::IntoFields::into_fields(input),
                        labels: #krate::IntoFields::into_fields(output),
                    }
                }
            }
        }
    }
}

/// Reads one field; `None` when it belongs to no half.
fn read_field<'a>(field: &'a Field, errors: &mut Errors) -> Option<Part<'a>> {
    let ident = field.ident.as_ref()?;
    if RESERVED.contains(&ident.unraw().to_string().as_str()) {
        errors.at(
            ident,
            format_args!(
                "the name `{}` is reserved: it marks the end of an answer in prompts",
                ident.unraw()
            ),
        );
    }
    let input = attrs::single(&field.attrs, "input", errors).map(|attr| (attr, Half::Input));
    let output = attrs::single(&field.attrs, "output", errors).map(|attr| (attr, Half::Output));
    let (attr, half) = match (input, output) {
        (Some(marked), None) | (None, Some(marked)) => marked,
        (None, None) => {
            errors.at(ident, "mark this field with `#[input]` or `#[output]`");
            return None;
        }
        (Some(_), Some((attr, _))) => {
            errors.at(attr, "a field is an input or an output, not both: keep one of the two attributes");
            return None;
        }
    };
    let (mut description, mut prefix) = (None, None);
    attrs::keys(attr, &["desc", "prefix"], errors, |key, meta| {
        let text = attrs::text(key, meta)?;
        if key == "desc" {
            description = Some(text.value());
        } else {
            check_prefix(&text)?;
            prefix = Some(text);
        }
        Ok(())
    });
    // A description is a phrase within a line.
    let description = description.unwrap_or_else(|| attrs::doc(&field.attrs));
    let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Part { ident, ty: &field.ty, half, docs: attrs::docs(&field.attrs), description, prefix })
}

/// A prefix stands before a colon at the beginning of a line.
fn check_prefix(prefix: &LitStr) -> syn::Result<()> {
    let text = prefix.value();
    if text.is_empty() || text.trim() != text || text.contains(|c: char| c == ':' || c.is_control()) {
        let message = "a prefix is one line with something in it, without `:` and white space around it";
        return Err(syn::Error::new(prefix.span(), message));
    }
    Ok(())
}

/// There are fields, and one of them at least is an output. Fields without a mark have an error already.
fn check_halves(ident: &Ident, fields: &syn::Fields, errors: &mut Errors) {
    let marked = |name| fields.iter().any(|field| field.attrs.iter().any(|attr| attr.path().is_ident(name)));
    if fields.is_empty() {
        errors.at(ident, "a signature has fields: write at least one `#[output]` field");
    } else if matches!(fields, syn::Fields::Named(_)) && marked("input") && !marked("output") {
        errors.at(ident, "there is no output: mark at least one field with `#[output]`");
    }
}

/// Plain answers are told apart by the name or the prefix that begins a line, in any case: no two outputs share one.
fn check_prefixes(parts: &[Part<'_>], errors: &mut Errors) {
    let outputs: Vec<&Part<'_>> = parts.iter().filter(|part| part.half == Half::Output).collect();
    let heads = |part: &Part<'_>| {
        let prefix = part.prefix.as_ref().map_or_else(|| part.name().replace('_', " "), LitStr::value);
        [part.name().to_lowercase(), prefix.to_lowercase()]
    };
    for (i, part) in outputs.iter().enumerate() {
        let own = heads(part);
        let Some(other) =
            outputs.iter().take(i).find(|other| heads(other).iter().any(|head| own.contains(head)))
        else {
            continue;
        };
        let message = format!(
            "in an answer this output reads like `{}`: give it another name or `#[output(prefix = \"..\")]`",
            other.name()
        );
        match &part.prefix {
            Some(prefix) => errors.at(prefix, message),
            None => errors.at(part.ident, message),
        }
    }
}
