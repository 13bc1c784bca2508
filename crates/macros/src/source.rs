//! `#[program_source]`: the text of an `impl` block, kept in the program for instruction proposers to read.
//!
//! What is kept is the block as written: doc comments, header in one line, body with its line breaks and comments,
//! without the indentation that all lines share. The body's text comes from the compiler. Where it cannot be had or is
//! not the same code (the block was made by another macro), the tokens are written out instead.

use proc_macro2::{Delimiter, Group, Literal, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Generics, Token, Type, WhereClause};

use crate::attrs;

/// The block with `fn source` added.
pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let ImplBlock { attrs, header, body } = syn::parse2(item)?;
    let trees: Vec<TokenTree> = body.stream().into_iter().collect();
    let own = trees.windows(2).find_map(|pair| match pair {
        [TokenTree::Ident(keyword), TokenTree::Ident(name)] if keyword == "fn" && name == "source" => {
            Some(name)
        }
        _ => None,
    });
    if let Some(name) = own {
        return Err(syn::Error::new(
            name.span(),
            "`#[program_source]` writes `source`: take this function away, or the attribute",
        ));
    }
    let text = Literal::string(&text(&attrs, &header, &body));
    let tokens = body.stream();
    let mut extended = Group::new(
        Delimiter::Brace,
        quote! {
            #tokens

            fn source(&self) -> ::std::option::Option<&str> {
                ::std::option::Option::Some(#text)
            }
        },
    );
    extended.set_span(body.span());
    Ok(quote!(#(#attrs)* #header #extended))
}

/// An `impl` of a trait: the attributes, all tokens up to the braces, and the braces.
struct ImplBlock {
    attrs: Vec<Attribute>,
    header: TokenStream,
    body: Group,
}

impl Parse for ImplBlock {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        const EXPECTED: &str = "`#[program_source]` stands on a block `impl Module for YourProgram { .. }`";
        let attrs = input.call(Attribute::parse_outer)?;
        check_header(&input.fork()).map_err(|error| syn::Error::new(error.span(), EXPECTED))?;
        let mut trees: Vec<TokenTree> = input.parse::<TokenStream>()?.into_iter().collect();
        match trees.pop() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                Ok(Self { attrs, header: trees.into_iter().collect(), body })
            }
            last => Err(syn::Error::new_spanned(last, EXPECTED)),
        }
    }
}

/// Reads `impl<..> Trait for Type where ..` up to the braces.
fn check_header(input: ParseStream<'_>) -> syn::Result<()> {
    input.parse::<Option<Token![unsafe]>>()?;
    input.parse::<Token![impl]>()?;
    if input.peek(Token![<]) {
        input.parse::<Generics>()?;
    }
    let first = input.parse::<Type>()?;
    if !input.peek(Token![for]) {
        return Err(syn::Error::new_spanned(first, "no trait"));
    }
    input.parse::<Token![for]>()?;
    input.parse::<Type>()?;
    input.parse::<Option<WhereClause>>()?;
    Ok(())
}

/// The text of the whole block.
fn text(attrs: &[Attribute], header: &TokenStream, body: &Group) -> String {
    let mut out = String::new();
    for comment in attrs::docs(attrs).into_iter().filter_map(comment_text) {
        out.push_str(&comment);
        out.push('\n');
    }
    write_line(&mut out, header.clone(), &mut None);
    out.push(' ');
    out.push_str(&body_text(body).unwrap_or_else(|| body.to_token_stream().to_string()));
    out
}

/// A doc comment as written; nothing for one that is written as an attribute.
fn comment_text(attr: &Attribute) -> Option<String> {
    let text = attr.pound_token.spans.first()?.source_text()?;
    text.starts_with('/').then_some(text)
}

/// The body as written, without shared indentation; `None` where the compiler's text is not these tokens.
fn body_text(body: &Group) -> Option<String> {
    let text = body.span().source_text()?;
    let parsed: TokenStream = text.parse().ok()?;
    if !same(parsed, body.to_token_stream()) {
        return None;
    }
    // The first line begins inside the header's line: the indentation is that of the others.
    match text.split_once('\n') {
        None => Some(text),
        Some((first, rest)) => {
            let lines: Vec<&str> = rest.lines().map(str::trim_end).collect();
            Some(format!("{}\n{}", first.trim_end(), attrs::dedent(&lines).join("\n")))
        }
    }
}

/// Whether two streams are the same code, wherever they come from.
fn same(left: TokenStream, right: TokenStream) -> bool {
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    loop {
        let equal = match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(TokenTree::Group(left)), Some(TokenTree::Group(right))) => {
                left.delimiter() == right.delimiter() && same(left.stream(), right.stream())
            }
            (Some(TokenTree::Ident(left)), Some(TokenTree::Ident(right))) => left == right,
            (Some(TokenTree::Punct(left)), Some(TokenTree::Punct(right))) => {
                left.as_char() == right.as_char()
            }
            (Some(TokenTree::Literal(left)), Some(TokenTree::Literal(right))) => {
                left.to_string() == right.to_string()
            }
            _ => false,
        };
        if !equal {
            return false;
        }
    }
}

/// Writes tokens in one line, with a space wherever there is any white space between two of them.
fn write_line(out: &mut String, tokens: TokenStream, before: &mut Option<TokenTree>) {
    for token in tokens {
        if before.as_ref().is_some_and(|before| apart(before, &token)) {
            out.push(' ');
        }
        match &token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{ ", " }"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                out.push_str(open);
                write_line(out, group.stream(), &mut None);
                out.push_str(close);
            }
            other => out.push_str(&other.to_string()),
        }
        *before = Some(token);
    }
}

/// Whether white space stands between two neighbours. Where their places are unknown (line 0), it is taken to.
fn apart(before: &TokenTree, after: &TokenTree) -> bool {
    let (end, start) = (before.span().end(), after.span().start());
    let touching = end == start && end.line != 0;
    let joint = matches!(before, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint);
    !touching && !joint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(source: &str) -> String {
        let ImplBlock { attrs, header, body } = syn::parse_str(source).unwrap();
        text(&attrs, &header, &body)
    }

    #[test]
    fn the_header_is_one_line_and_the_body_as_written() {
        let source = "impl<M: Module>  Module\n    for Twice<M>\n    where M: 'static {\n        type X = u8; // why\n\n        fn f() {\n            1\n        }\n    }";
        assert_eq!(
            kept(source),
            "impl<M: Module> Module for Twice<M> where M: 'static {\n    type X = u8; // why\n\n    fn f() {\n        1\n    }\n}"
        );
    }

    #[test]
    fn a_block_of_another_macro_is_written_from_its_tokens() {
        let body: TokenStream = "{ type X = u8; }".parse().unwrap();
        let other: TokenStream = "{ type X = $t; }".parse().unwrap();
        assert!(same(body.clone(), body.clone()));
        assert!(!same(body, other));
    }
}
