//! Cleaning a prompt as pipelines do whose text encoders were trained on text from the web.

/// Reads HTML's escapes twice, makes each run of white space one space and leaves none at either end.
pub(super) fn clean(text: &str) -> String {
    let text = unescape(&unescape(text));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The named escapes that text on the web is full of; HTML knows two thousand more.
const NAMED: [(&str, char); 8] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("hellip", '\u{2026}'),
    ("mdash", '\u{2014}'),
];

/// The longest escape that is looked for, in bytes.
const LONGEST: usize = 10;

fn unescape(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(LONGEST).position(|b| b == b';');
        match end.and_then(|end| Some((escaped(&after[..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &after[end + 1..];
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn escaped(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    code.ok().and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn escapes_and_white_space() {
        assert_eq!(clean("  a \n\t b&nbsp;c "), "a b c");
        assert_eq!(clean("1 &amp;lt; 2 &#38; &#x41;&#66;"), "1 < 2 & AB");
        assert_eq!(clean("a & b &unknown; &; &#; &"), "a & b &unknown; &; &#; &");
        assert_eq!(clean("&\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9};"), "&\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9};");
        assert_eq!(clean(""), "");
    }
}
