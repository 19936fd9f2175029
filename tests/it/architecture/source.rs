//! A Rust file as words: enough of the language to find paths, and what is only there for tests.

/// A word of the language and the line that it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// A file without its comments, and without what is only compiled for tests.
#[derive(Debug)]
pub(super) struct Source {
    tokens: Vec<Token>,
    modules: Vec<(String, bool)>,
    lines: usize,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let all = tokens(text);
        let (mut kept, mut modules, mut lines, mut at) = (Vec::new(), Vec::new(), text.lines().count(), 0);
        while at < all.len() {
            let is_test = starts(&all[at..], &["#", "[", "cfg", "(", "test", ")", "]"]);
            let end = if is_test { end_of_item(&all, at + 7) } else { at + 1 };
            for place in at..end {
                if starts(&all[place..], &["mod"]) && starts(&all[(place + 2).min(all.len())..], &[";"]) {
                    modules.push((all[place + 1].text.clone(), is_test));
                }
            }
            if is_test {
                lines -= 1 + all[end - 1].line - all[at].line;
            } else {
                kept.push(all[at].clone());
            }
            at = end;
        }
        Self { tokens: kept, modules, lines }
    }

    /// The modules that it declares and does not hold, and whether they are only there for tests.
    pub(super) fn modules(&self) -> Vec<(String, bool)> {
        self.modules.clone()
    }

    /// How many lines it has, without test modules.
    pub(super) fn length(&self) -> usize {
        self.lines
    }

    /// Whether these words follow each other somewhere; on which line first.
    pub(super) fn find(&self, words: &[&str]) -> Option<usize> {
        (0..self.tokens.len()).find(|at| starts(&self.tokens[*at..], words)).map(|at| self.tokens[at].line)
    }

    /// All string literals.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| token.text.as_str()).filter(|text| text.starts_with('"'))
    }

    /// All paths of more than one name, with groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
    pub(super) fn paths(&self) -> Vec<(Vec<String>, usize)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            if is_name(&self.tokens[at].text) && starts(&self.tokens[at + 1..], &[":", ":"]) {
                at = self.path(at, &[], &mut found).max(at + 1);
            } else {
                at += 1;
            }
        }
        found
    }

    /// Reads the path at `at`, which goes on from `before`; returns where it ends.
    fn path(&self, mut at: usize, before: &[String], found: &mut Vec<(Vec<String>, usize)>) -> usize {
        let mut path = before.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        while let Some(token) = self.tokens.get(at) {
            if token.text == "{" {
                return self.group(at + 1, &path, found);
            }
            if !is_name(&token.text) && token.text != "*" {
                break;
            }
            path.push(token.text.clone());
            at += 1;
            if !starts(&self.tokens[at..], &[":", ":"]) {
                break;
            }
            at += 2;
        }
        found.push((path, line));
        at
    }

    fn group(&self, mut at: usize, before: &[String], found: &mut Vec<(Vec<String>, usize)>) -> usize {
        while let Some(token) = self.tokens.get(at) {
            match token.text.as_str() {
                "}" => return at + 1,
                text if is_name(text) || text == "{" || text == "*" => {
                    // After `as` stands no path.
                    let end = self.path(at, before, found);
                    at = if starts(&self.tokens[end..], &["as"]) { end + 2 } else { end };
                }
                _ => at += 1,
            }
        }
        at
    }
}

/// Where the item ends that begins at `at`: at its semicolon or closing brace.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return at,
            _ => {}
        }
    }
    at
}

fn starts(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, string literals with their quotes, and single characters; neither comments nor spaces.
fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let length = length_of(rest, first);
        let (token, after) = rest.split_at(length);
        let is_comment = token.starts_with("//") || token.starts_with("/*");
        if !is_comment && !first.is_whitespace() {
            let raw = token.starts_with('r') && token.ends_with(['"', '#']);
            let text = if raw { token.trim_start_matches(['r', '#']).trim_end_matches('#') } else { token };
            found.push(Token { text: text.to_owned(), line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

fn length_of(rest: &str, first: char) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    let hashes = rest[1.min(rest.len() - first.len_utf8() + 1)..].chars().take_while(|c| *c == '#').count();
    if first == 'r' && rest[1 + hashes..].starts_with('"') {
        return until(&format!("\"{}", "#".repeat(hashes)), 2 + hashes);
    }
    match first {
        '"' => escaped(rest, '"'),
        // A character, or else a lifetime, of which the quote is a word of its own.
        '\'' if rest[1..].starts_with('\\') || rest[1..].chars().nth(1) == Some('\'') => escaped(rest, '\''),
        _ if is_name(rest) => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
        _ => first.len_utf8(),
    }
}

/// The length of a literal between these quotes.
fn escaped(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::read(text).paths().into_iter().map(|(path, line)| format!("{line} {}", path.join("::"))).collect()
    }

    #[test]
    fn paths_are_found_in_imports_and_elsewhere() {
        let text = "use crate::{\n    a::{b, c as d, e::*, self},\n    f,\n};\nfn g(h: &crate::i::J<'_>) -> k::L { m::<n::O>() }";
        let want = [
            "2 crate::a::b",
            "2 crate::a::c",
            "2 crate::a::e::*",
            "2 crate::a::self",
            "3 crate::f",
            "5 crate::i::J",
            "5 k::L",
            "5 m",
            "5 n::O",
        ];
        assert_eq!(paths(text), want);
    }

    #[test]
    fn comments_and_literals_are_no_paths() {
        let text = r##"// a::b
            /* a::b */ /// a::b
            const X: [&str; 3] = ["a::b \" a::b", r#"a::b " a::b"#, "\\"]; const Y: char = '"'; fn f<'a>(x: &'a c::D) {}"##;
        assert_eq!(paths(text), ["3 c::D"]);
        assert_eq!(Source::read(text).texts().collect::<Vec<_>>(), [r#""a::b \" a::b""#, r#""a::b " a::b""#, r#""\\""#]);
    }

    #[test]
    fn what_is_for_tests_is_left_out_and_not_counted() {
        let text =
            "mod a;\n#[cfg(test)]\nmod tests;\nuse b::c;\n#[cfg(test)]\nmod more {\n    use d::e;\n    fn f() { [1]; }\n}\nuse g::h;\n";
        let source = Source::read(text);
        assert_eq!(paths(text), ["4 b::c", "10 g::h"]);
        assert_eq!(source.modules(), [("a".to_owned(), false), ("tests".to_owned(), true)]);
        assert_eq!(source.length(), 3);
    }
}
