//! Finding the quoted parts of a prompt.

use std::borrow::Cow;

/// What stands between double quotes, several parts joined by one space.
///
/// A straight quote closes with a straight one, a curly one with its partner; a quote that never closes is no quote.
pub(super) fn quoted(prompt: &str) -> Cow<'_, str> {
    let mut pairs = vec![('"', '"'), ('\u{201c}', '\u{201d}')];
    let mut parts = Vec::new();
    let mut rest = prompt;
    while let Some((opener, inside)) = next_quote(rest, &pairs) {
        match inside.split_once(opener.1) {
            Some((part, tail)) => {
                parts.push(part);
                rest = tail;
            }
            None => {
                // Its closer is nowhere ahead, so do not look for this kind again: a text of openers stays linear.
                pairs.retain(|pair| *pair != opener);
                rest = inside;
            }
        }
    }
    match parts.as_slice() {
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.join(" ")),
    }
}

/// The first opening quote of these kinds, and the text after it.
fn next_quote<'a>(text: &'a str, pairs: &[(char, char)]) -> Option<((char, char), &'a str)> {
    let (at, found) = text.char_indices().find(|(_, c)| pairs.iter().any(|pair| pair.0 == *c))?;
    let pair = pairs.iter().find(|pair| pair.0 == found)?;
    Some((*pair, &text[at + found.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn finds_what_is_quoted() {
        let cases = [
            ("a sign", ""),
            ("", ""),
            ("a sign says \"Open\"", "Open"),
            ("signs \"A\" and \u{201c}B c\u{201d}, \"\" end", "A B c "),
            ("\u{201c}it is \"in\" quotes\u{201d}", "it is \"in\" quotes"),
            ("an unclosed \"quote", ""),
            ("unclosed \u{201c}one, then \"two\"", "two"),
            ("5\" wide", ""),
            ("\"\u{1f3ac}\u{00e9}\"", "\u{1f3ac}\u{00e9}"),
        ];
        for (prompt, want) in cases {
            assert_eq!(quoted(prompt), want, "{prompt}");
        }
    }

    #[test]
    fn many_unclosed_quotes_take_no_quadratic_time() {
        let prompt = "\u{201c}".repeat(300_000);
        assert_eq!(quoted(&prompt), "");
    }
}
