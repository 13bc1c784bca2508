//! What the macros share: reading attributes and doc comments, and collecting errors.
//!
//! Every mistake becomes a [`syn::Error`] at the token it is about; [`Errors`] gathers them, so that one compilation
//! shows them all.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Token, parse_quote};

/// The errors found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds an error.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            None => self.0 = Some(error),
            Some(first) => first.combine(error),
        }
    }

    /// Adds an error at `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds the error of `result`, if it is one.
    pub(crate) fn check<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// All errors as one, or nothing.
    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// The attributes among `attrs` that are called `name`. More than one is an error at the second.
pub(crate) fn single<'a>(attrs: &'a [Attribute], name: &str, errors: &mut Errors) -> Option<&'a Attribute> {
    let mut found = attrs.iter().filter(|attr| attr.path().is_ident(name));
    let first = found.next();
    for again in found {
        errors.at(again, format_args!("duplicate attribute: write `#[{name}]` once"));
    }
    first
}

/// Reads the keys of an attribute such as `#[input(desc = "..")]`; without parentheses it has none.
///
/// `read` is called for each key that is among `known`, once; every other key is an error that lists them.
pub(crate) fn keys(
    attr: &Attribute,
    known: &[&str],
    errors: &mut Errors,
    mut read: impl FnMut(&str, &ParseNestedMeta<'_>) -> syn::Result<()>,
) {
    match &attr.meta {
        Meta::Path(_) => return,
        Meta::List(_) if attr.parse_args::<Lit>().is_err() => {}
        // `#[input("..")]`, `#[input = ".."]`
        _ => return errors.at(attr, takes(known)),
    }
    let mut seen: Vec<String> = Vec::new();
    let result = attr.parse_nested_meta(|meta| {
        let key = meta.path.get_ident().map(|ident| ident.unraw().to_string()).unwrap_or_default();
        if !known.contains(&key.as_str()) {
            return Err(meta.error(format_args!("unknown key: {}", takes(known))));
        }
        if seen.contains(&key) {
            return Err(meta.error(format_args!("duplicate key: write `{key}` once")));
        }
        read(&key, &meta)?;
        seen.push(key);
        Ok(())
    });
    errors.check(result);
}

/// What is said about every key that is wrong.
fn takes(known: &[&str]) -> String {
    let forms: Vec<String> = known.iter().map(|key| form(key)).collect();
    format!("this attribute takes {}", forms.join(", "))
}

/// A key as it is to be written.
fn form(key: &str) -> String {
    match key {
        "crate" => "`crate = path`".to_owned(),
        "desc" | "prefix" => format!("`{key} = \"..\"`"),
        flag => format!("`{flag}`"),
    }
}

fn value_error(key: &str, error: &syn::Error) -> syn::Error {
    syn::Error::new(error.span(), format_args!("write {}", form(key)))
}

/// The text after a key: `= ".."`.
pub(crate) fn text(key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    meta.value().and_then(|value| value.parse()).map_err(|error| value_error(key, &error))
}

/// Nothing after a key.
pub(crate) fn flag(key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.is_empty() || meta.input.peek(Token![,]) {
        return Ok(());
    }
    Err(meta.input.error(format_args!("write {} alone", form(key))))
}

/// The path after the key `crate`: `= path`.
fn crate_path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let path = meta.value().and_then(|value| value.call(Path::parse_mod_style));
    path.map_err(|error| value_error("crate", &error))
}

/// Where generated code finds its names: the facade crate, or what an attribute on the item itself says, such as
/// `#[signature(crate = path)]`.
pub(crate) fn item_crate(attrs: &[Attribute], name: &str, errors: &mut Errors) -> Path {
    let mut path = parse_quote!(::teleprompt);
    if let Some(attr) = single(attrs, name, errors) {
        keys(attr, &["crate"], errors, |_, meta| {
            path = crate_path(meta)?;
            Ok(())
        });
    }
    path
}

/// The arguments of `#[program_source(..)]`: nothing, or `crate = path`.
pub(crate) fn only_crate(args: TokenStream) -> syn::Result<()> {
    if args.is_empty() {
        return Ok(());
    }
    let parser = |input: syn::parse::ParseStream<'_>| {
        let key = input.call(Ident::parse_any)?;
        if key != "crate" {
            return Err(syn::Error::new(key.span(), format_args!("unknown key: {}", takes(&["crate"]))));
        }
        input.parse::<Token![=]>()?;
        input.call(Path::parse_mod_style)?;
        input.parse::<Option<Token![,]>>()?;
        Ok(())
    };
    syn::parse::Parser::parse2(parser, args)
}

/// The attributes that are doc comments.
pub(crate) fn docs(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("doc") && doc_text(attr).is_some()).collect()
}

/// The text of a doc comment: its lines without the indentation they share, nothing around them.
pub(crate) fn doc(attrs: &[Attribute]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for text in attrs.iter().filter_map(doc_text) {
        match text.split_once('\n') {
            None => lines.push(text),
            // `/** .. */` reads as if every line of it were a `/// ..`.
            Some((first, rest)) => {
                let rest = dedent(&unstarred(rest));
                lines.push(format!(" {}", first.trim()));
                lines.extend(rest.iter().map(|line| format!(" {line}")));
            }
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    dedent(&lines).join("\n").trim().to_owned()
}

/// The lines of a block comment without the star that each may begin with.
fn unstarred(text: &str) -> Vec<&str> {
    let starred = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('*'));
    let plain = |line| if starred { after_star(line) } else { line };
    text.lines().map(plain).collect()
}

fn after_star(line: &str) -> &str {
    line.trim_start().strip_prefix('*').unwrap_or(line)
}

fn doc_text(attr: &Attribute) -> Option<String> {
    match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// The lines without the spaces and tabs at the beginning that all but the empty ones share.
pub(crate) fn dedent(lines: &[impl AsRef<str>]) -> Vec<String> {
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let filled = lines.iter().map(AsRef::as_ref).filter(|line| !line.trim().is_empty());
    let shared = filled.map(indentation).min().unwrap_or(0);
    lines.iter().map(|line| line.as_ref().get(shared..).unwrap_or_default().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(attrs: TokenStream) -> String {
        let item: syn::DeriveInput = syn::parse2(quote::quote!(#attrs struct X;)).unwrap();
        doc(&item.attrs)
    }

    #[test]
    fn doc_comments_keep_their_lines_and_lose_shared_indentation() {
        assert_eq!(read("/// One.\n///\n/// - a\n///   b\n".parse().unwrap()), "One.\n\n- a\n  b");
        assert_eq!(read("/** One.\n * Two.\n */".parse().unwrap()), "One.\nTwo.");
        assert_eq!(read("/** One.\n    Two.\n      - a\n*/".parse().unwrap()), "One.\nTwo.\n  - a");
        assert_eq!(read("#[doc(hidden)] #[doc = \" x \"]".parse().unwrap()), "x");
        assert_eq!(read(TokenStream::new()), "");
    }

    #[test]
    fn only_indentation_that_all_lines_share_is_taken_away() {
        assert_eq!(dedent(&["    a", "", "      b"]), ["a", "", "  b"]);
        assert_eq!(dedent(&["a", "  b"]), ["a", "  b"]);
        assert_eq!(dedent(&["\ta", " \u{3000}b"]), ["a", "\u{3000}b"]);
    }
}
