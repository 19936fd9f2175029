//! Regular expressions that users wrote for Go: what they match, and what Go says of those that do not compile.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::{Error, ErrorKind, parse::Parser};

/// Compiles with classes of ASCII characters, as `\w` means to Go; a pattern that names Unicode classes outright gets those.
/// An error is Go's sentence, as far as both languages know the same mistakes.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let build = |unicode| RegexBuilder::new(pattern).unicode(unicode).build();
    build(false).or_else(|_| build(true)).map_err(|error| match Parser::new().parse(pattern) {
        Err(syntax) => format!("error parsing regexp: {}", said(&syntax)),
        // Well-formed, but too large, or with a class that nobody knows.
        Ok(_) => format!("error parsing regexp: {}", error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ")),
    })
}

/// The mistake and the piece of the pattern that Go shows.
fn said(error: &Error) -> String {
    let pattern = error.pattern();
    let (start, end) = (error.span().start.offset, error.span().end.offset);
    let here = pattern.get(start..end).unwrap_or_default();
    let (problem, shown) = match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", pattern.get(start..).unwrap_or_default()),
        ErrorKind::UnsupportedLookAround => ("invalid or unsupported Perl syntax", here),
        ErrorKind::ClassRangeInvalid => ("invalid character class range", here),
        // The operator stands behind the place where its argument is missed.
        ErrorKind::RepetitionMissing => {
            let operator = pattern.get(start..).and_then(|rest| rest.split_inclusive(['*', '+', '?', '}']).next());
            ("missing argument to repetition operator", operator.unwrap_or_default())
        }
        ErrorKind::RepetitionCountInvalid => ("invalid repeat count", here),
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::EscapeUnrecognized | ErrorKind::UnsupportedBackreference => ("invalid escape sequence", here),
        kind => return format!("{kind}: `{here}`"),
    };
    format!("{problem}: `{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_compile_is_said_as_go_says_it() {
        for (pattern, want) in [
            ("a(b", "missing closing ): `a(b`"),
            ("a)b", "unexpected ): `a)b`"),
            ("app[", "missing closing ]: `[`"),
            ("^(?!log)", "invalid or unsupported Perl syntax: `(?!`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(a)\\1", "invalid escape sequence: `\\1`"),
        ] {
            assert_eq!(compile(pattern).unwrap_err(), format!("error parsing regexp: {want}"));
        }
        let large = compile("(a{1000}){1000}").unwrap_err();
        assert!(large.starts_with("error parsing regexp: ") && !large.contains('\n'), "{large}");
    }

    #[test]
    fn classes_are_of_ascii_unless_they_say_otherwise() {
        assert!(!compile("^\\w$").unwrap().is_match("é".as_bytes()));
        assert!(compile("^\\p{L}$").unwrap().is_match("é".as_bytes()));
    }
}
