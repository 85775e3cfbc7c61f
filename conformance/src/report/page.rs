//! What all pages share.

use super::Counts;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// A text inside of HTML or XML. Control characters and what is no character, which XML does not have, become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A whole page that needs nothing but itself.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n\
         <body>\n{body}\n<script>\n{SCRIPT}</script></body></html>\n"
    )
}

/// The bar of verdicts, and what its colours are.
pub(super) fn verdict_bar(counts: Counts) -> String {
    let total = counts.total().max(1) as f64;
    let parts = [
        ("identical", "identical", counts.identical),
        ("within", "within bound", counts.within),
        ("unsupported", "unsupported", counts.unsupported),
        ("expected-failure", "expected failures", counts.expected),
        ("failed", "failed", counts.failed),
    ];
    let mut bar = String::from("<div class=\"bar\" role=\"img\" aria-label=\"cases by verdict\">");
    let mut legend = String::from("<ul class=\"legend\">");
    for (class, label, count) in parts {
        if count == 0 {
            continue;
        }
        let width = 100.0 * count as f64 / total;
        bar.push_str(&format!(
            "<span class=\"v-{class}\" style=\"width:{width:.3}%\" title=\"{count} {label}\"></span>"
        ));
        legend.push_str(&format!("<li><i class=\"v-{class}\"></i><b>{}</b> {label}</li>", thousands(count)));
    }
    format!("{bar}</div>{legend}</ul>")
}

/// `12345` as `12,345`.
pub(super) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A share of the bound in few characters.
pub(super) fn share(share: f64) -> String {
    match share {
        0.0 => "0".to_owned(),
        s if s >= 1e6 => "\u{221e}".to_owned(),
        s if s >= 10.0 => format!("{s:.0}"),
        s if s >= 0.0995 => format!("{s:.2}"),
        s if s >= 0.00095 => format!("{s:.3}"),
        s => format!("{s:.0e}"),
    }
}

/// Seconds in few characters.
pub(super) fn seconds(s: f64) -> String {
    match s {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.1} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} \u{b5}s", s * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(
            [0.0, 1e-5, 0.0123, 0.5, 12.3, f64::MAX].map(share),
            ["0", "1e-5", "0.012", "0.50", "12", "\u{221e}"]
        );
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a b=\"c\">&\u{1}\u{ffff}"), "&lt;a b=&quot;c&quot;&gt;&amp;  ");
    }
}
