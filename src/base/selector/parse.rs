//! Selectors as texts, the way kubectl takes them and the status of a scale gives them.
//! (Kubernetes: `apimachinery/pkg/labels/selector.go`, `Parse`.)

use super::{Requirement, Selector};

/// A text that is no selector.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a label selector like `app=web,tier in (web,db)`, found `{0}`")]
pub struct ParseError(String);

impl Selector {
    /// Reads a selector; an empty text has nothing to hold.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let parts = parts(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
        let requirements = parts.map(|part| requirement(part).ok_or_else(|| ParseError(text.to_owned())));
        requirements.collect::<Result<_, _>>().map(Self)
    }
}

/// What stands between commas that are in no brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    text.split(|character| {
        match character {
            '(' => is_inside = true,
            ')' => is_inside = false,
            _ => {}
        }
        character == ',' && !is_inside
    })
    .collect()
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement::DoesNotExist(key_of(key)?));
    }
    if let Some(list) = part.strip_suffix(')') {
        let (head, values) = list.split_once('(')?;
        let (key, operator) = head.trim().split_once(char::is_whitespace)?;
        let values: Vec<_> = values.split(',').map(value_of).collect::<Option<_>>()?;
        return match operator.trim() {
            "in" => Some(Requirement::In(key_of(key)?, values)),
            "notin" => Some(Requirement::NotIn(key_of(key)?, values)),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(key_of(key)?, vec![value_of(value)?]));
    }
    match part.split_once('=') {
        Some((key, value)) => Some(Requirement::In(key_of(key)?, vec![value_of(value.strip_prefix('=').unwrap_or(value))?])),
        None => Some(Requirement::Exists(key_of(part)?)),
    }
}

fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    let is_word = !key.is_empty() && !key.contains(|character: char| character.is_whitespace() || "=!()<>,".contains(character));
    is_word.then(|| key.to_owned())
}

fn value_of(text: &str) -> Option<String> {
    let value = text.trim();
    (!value.contains(|character: char| character.is_whitespace() || "=!()<>,".contains(character))).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_read_as_kubectl_reads_it() {
        let read = Selector::parse("app=web, tier in (web,db),track notin (canary), a==b,c!=d,e,!f").unwrap();
        let shown: Vec<_> = read.requirements().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["app=web", "tier in (web, db)", "track notin (canary)", "a=b", "c notin (d)", "e", "!f"]);
    }

    #[test]
    fn an_empty_text_is_an_empty_selector() {
        assert!(Selector::parse("").unwrap().is_empty() && Selector::parse(" ").unwrap().is_empty());
    }

    #[test]
    fn a_text_that_is_no_selector_is_named() {
        for text in ["a=b=c", "a b", "a like (b)", "=b", "!", "a>1", "in (b)", "a in (b) notin (c)", "a in (b=c)"] {
            assert_eq!(Selector::parse(text), Err(ParseError(text.to_owned())));
        }
    }
}
