//! Comparisons of texts by their words, as question answering has them since SQuAD.

use std::collections::BTreeMap;

/// The words that count: lower case, without ASCII punctuation and without the words `a`, `an` and `the`, in order.
///
/// As SQuAD's evaluation script does it: punctuation goes without a trace (`it's` is `its`, `U.S.` is `us`), then articles go,
/// then white space separates. Made for English; in other languages it only takes off case and punctuation.
///
/// ```
/// use teleprompt_core::metric::text;
/// assert_eq!(text::words("The  U.S. Senate, it's said"), ["us", "senate", "its", "said"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    let plain: String =
        text.chars().flat_map(char::to_lowercase).filter(|c| !c.is_ascii_punctuation()).collect();
    // An article is a whole run of letters and digits, whatever other sign stands beside it.
    let mut kept = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while !rest.is_empty() {
        let end = |inside: bool| rest.find(|c: char| c.is_alphanumeric() != inside).unwrap_or(rest.len());
        let run = end(true);
        let (word, after) = rest.split_at(if run > 0 { run } else { end(false) });
        kept.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        rest = after;
    }
    kept.split_whitespace().map(str::to_owned).collect()
}

/// Whether two texts have the same [`words`] in the same order.
pub fn same(said: &str, gold: &str) -> bool {
    words(said) == words(gold)
}

/// The harmonic mean of precision and recall over the [`words`] of both texts, each word counted as often as it stands; in
/// `[0, 1]`. Where either text has none, 1 if both have none, else 0 (SQuAD 2.0).
///
/// ```
/// use teleprompt_core::metric::text;
/// assert_eq!(text::f1("the red cat", "a red dog"), 0.5);
/// ```
pub fn f1(said: &str, gold: &str) -> f64 {
    let (said, gold) = (words(said), words(gold));
    if said.is_empty() || gold.is_empty() {
        return f64::from(u8::from(said.is_empty() && gold.is_empty()));
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &gold {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0usize;
    for word in &said {
        if let Some(n) = left.get_mut(word.as_str()).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    // 2 p r / (p + r), with p = common / said and r = common / gold.
    2.0 * common as f64 / (said.len() + gold.len()) as f64
}

/// Whether the [`words`] of `gold` stand in `said`, side by side and in order. A `gold` without any is nowhere but in a `said`
/// without any.
pub fn contains(said: &str, gold: &str) -> bool {
    let (said, gold) = (words(said), words(gold));
    if gold.is_empty() {
        return said.is_empty();
    }
    said.windows(gold.len()).any(|window| window == gold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_those_of_squad() {
        let check = |text: &str, expect: &str| assert_eq!(words(text).join(" "), expect, "{text}");
        check("The Cat", "cat");
        check("an apple a day", "apple day");
        check("theatre, another", "theatre another");
        check("A-team", "ateam");
        check("a–b", "–b");
        check("  \n", "");
        check("the", "");
        check("Äpfel & Öl", "äpfel öl");
    }

    #[test]
    fn f1_counts_words() {
        let check = |said: &str, gold: &str, expect: f64| {
            assert!((f1(said, gold) - expect).abs() < 1e-12, "{said} {gold}");
        };
        check("Paris", "paris.", 1.0);
        check("in Paris, France", "Paris", 0.5);
        check("x x x", "x x y", 2.0 / 3.0);
        check("the", "a", 1.0);
        check("the", "cat", 0.0);
        check("dog", "cat", 0.0);
    }

    #[test]
    fn contained_words_stand_side_by_side() {
        assert!(contains("It was Albert Einstein, in 1905.", "the Albert Einstein"));
        assert!(!contains("Albert and Einstein", "Albert Einstein"));
        assert!(!contains("concatenate", "cat"));
        assert!(!contains("a word", "the"));
    }

    proptest! {
        #[test]
        fn laws(a in "\\PC{0,30}", b in "\\PC{0,30}") {
            prop_assert!((0.0..=1.0).contains(&f1(&a, &b)));
            prop_assert_eq!(f1(&a, &b), f1(&b, &a));
            prop_assert_eq!(f1(&a, &a), 1.0);
            prop_assert!(same(&a, &a) && contains(&a, &a));
            prop_assert_eq!(words(&words(&a).join(" ")), words(&a));
            if same(&a, &b) {
                prop_assert!(contains(&a, &b) && f1(&a, &b) == 1.0);
            }
        }

        #[test]
        fn what_is_inside_is_contained(before in "[a-z ]{0,10}", gold in "[b-z]{1,5} [b-z]{1,5}", after in "[a-z ]{0,10}") {
            let said = format!("{before} {gold}, {after}");
            prop_assert!(contains(&said, &gold));
        }
    }
}
