//! What is wrong at which field of an object, in the words in which Kubernetes says it, which clients look for.
//! (`apimachinery/pkg/util/validation/field`, `apimachinery/pkg/util/errors`)

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::go_text::quoted;

/// A field, as seen from the object's root: `spec.containers[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A member of the object itself.
    pub fn new(member: &str) -> Self {
        Self(member.to_owned())
    }

    /// A member of what is here; may be a chain of them: `resourcesExpr.limits`.
    #[must_use]
    pub fn child(&self, member: &str) -> Self {
        if self.0.is_empty() { Self::new(member) } else { Self(format!("{}.{member}", self.0)) }
    }

    /// An item of the list that is here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// An entry of the map that is here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of wrong it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is there.
    Required,
    /// The value does not have its form.
    Invalid,
    /// Nothing may be there, here or now.
    Forbidden,
    /// The value refers to what does not exist.
    NotFound,
    /// The value must be the only one.
    Duplicate,
    /// The value is none of a fixed choice.
    NotSupported,
    /// The value has too many bytes.
    TooLong,
    /// It could not be found out.
    Internal,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::Duplicate => "Duplicate value",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::Internal => "Internal error",
        }
    }

    /// Whether the value is shown.
    fn has_value(self) -> bool {
        matches!(self, Self::Invalid | Self::NotFound | Self::Duplicate | Self::NotSupported)
    }
}

/// A value that is wrong, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// A value that is not a text, in its own notation.
    pub fn as_is(notation: impl Into<String>) -> Self {
        Self(notation.into())
    }

    /// A value of a type of its own, as JSON.
    pub fn json(value: &impl Serialize) -> Self {
        Self(serde_json::to_string(value).unwrap_or_default())
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self(quoted(text))
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        Self(quoted(text))
    }
}

impl From<i64> for Shown {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<i32> for Shown {
    fn from(number: i32) -> Self {
        Self(number.to_string())
    }
}

/// Something that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub path: Path,
    /// What kind of wrong.
    pub kind: Kind,
    value: Option<Shown>,
    detail: String,
    /// What else is wrong with the same thing.
    further: Vec<Self>,
}

impl Error {
    fn new(path: &Path, kind: Kind, value: Option<Shown>, detail: impl Into<String>) -> Self {
        Self { path: path.clone(), kind, value: value.filter(|_| kind.has_value()), detail: detail.into(), further: Vec::new() }
    }

    /// Errors that are said in one breath, as one; `None` if there are none.
    pub fn together(errors: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let first = errors.next()?;
        Some(Self { further: errors.collect(), ..first })
    }

    /// Something must be there.
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(path, Kind::Required, None, detail)
    }

    /// This is not of its form.
    pub fn invalid(path: &Path, value: impl Into<Shown>, detail: impl Into<String>) -> Self {
        Self::new(path, Kind::Invalid, Some(value.into()), detail)
    }

    /// Nothing may be there.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(path, Kind::Forbidden, None, detail)
    }

    /// There is no such thing.
    pub fn not_found(path: &Path, value: impl Into<Shown>) -> Self {
        Self::new(path, Kind::NotFound, Some(value.into()), "")
    }

    /// There is one already.
    pub fn duplicate(path: &Path, value: impl Into<Shown>) -> Self {
        Self::new(path, Kind::Duplicate, Some(value.into()), "")
    }

    /// It must be one of these.
    pub fn not_supported(path: &Path, value: impl Into<Shown>, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|one| quoted(one)).collect();
        Self::new(path, Kind::NotSupported, Some(value.into()), format!("supported values: {}", supported.join(", ")))
    }

    /// It may have so many bytes.
    pub fn too_long(path: &Path, most: usize) -> Self {
        Self::new(path, Kind::TooLong, None, format!("may not be more than {most} bytes"))
    }

    /// It could not be found out.
    pub fn internal(path: &Path, problem: impl Into<String>) -> Self {
        Self::new(path, Kind::Internal, None, problem)
    }

    /// The error that the API server told in its own words, behind the field: `Invalid value: "x": detail`.
    pub fn told(path: &Path, message: &str) -> Self {
        let kinds = [
            Kind::Required,
            Kind::Invalid,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Duplicate,
            Kind::NotSupported,
            Kind::TooLong,
            Kind::Internal,
        ];
        let known = kinds.into_iter().find_map(|kind| {
            let rest = message.strip_prefix(kind.text())?;
            let rest = if rest.is_empty() { Some("") } else { rest.strip_prefix(": ") };
            rest.map(|rest| (kind, rest))
        });
        // Value and detail stay together: where one ends does not matter to anyone, and cannot be told from dumps of objects.
        match known {
            Some((kind, rest)) if kind.has_value() && !rest.is_empty() => Self::new(path, kind, Some(Shown::as_is(rest)), ""),
            Some((kind, rest)) => Self::new(path, kind, None, rest),
            None => Self::new(path, Kind::Invalid, None, message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind.text())?;
        if let Some(value) = &self.value {
            write!(f, ": {}", value.0)?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        self.further.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

/// All errors as one sentence, each text once: one error is said plainly, several as `[a, b]`. Empty if there is none.
pub fn sentence(errors: &[Error]) -> String {
    let mut said = BTreeSet::new();
    let mut texts: Vec<String> = errors.iter().map(Error::to_string).collect();
    texts.retain(|text| said.insert(text.clone()));
    match texts.as_slice() {
        [one] => one.clone(),
        [] => String::new(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_said_in_the_words_of_kubernetes() {
        let name = Path::new("spec").child("containers").index(0).child("name");
        for (error, said) in [
            (Error::required(&name, ""), "spec.containers[0].name: Required value"),
            (Error::required(&name, "no name"), "spec.containers[0].name: Required value: no name"),
            (Error::invalid(&name, "a\"b", "bad"), "spec.containers[0].name: Invalid value: \"a\\\"b\": bad"),
            (Error::invalid(&name, 7, ""), "spec.containers[0].name: Invalid value: 7"),
            (Error::forbidden(&name, "not here"), "spec.containers[0].name: Forbidden: not here"),
            (Error::not_found(&name, "x"), "spec.containers[0].name: Not found: \"x\""),
            (Error::duplicate(&name, "x"), "spec.containers[0].name: Duplicate value: \"x\""),
            (
                Error::not_supported(&name, "x", &["a", "b"]),
                "spec.containers[0].name: Unsupported value: \"x\": supported values: \"a\", \"b\"",
            ),
            (Error::too_long(&name.key("k"), 5), "spec.containers[0].name[k]: Too long: may not be more than 5 bytes"),
            (Error::internal(&name, "gone"), "spec.containers[0].name: Internal error: gone"),
        ] {
            assert_eq!(error.to_string(), said);
        }
    }

    #[test]
    fn each_text_is_said_once() {
        let errors = |members: &[&str]| members.iter().map(|member| Error::required(&Path::new(member), "")).collect::<Vec<_>>();
        assert_eq!(sentence(&[]), "");
        assert_eq!(sentence(&errors(&["b", "b"])), "b: Required value");
        assert_eq!(sentence(&errors(&["b", "a", "b"])), "[b: Required value, a: Required value]");
    }

    #[test]
    fn what_was_told_is_told_again_in_the_same_words() {
        let path = Path::new("spec");
        for message in
            ["Required value", "Invalid value: \"x\": bad", "Forbidden: no", "Too long: may not be more than 5 bytes", "Not found: \"x\""]
        {
            assert_eq!(Error::told(&path, message).to_string(), format!("spec: {message}"));
        }
        assert_eq!(Error::told(&path, "what?").to_string(), "spec: Invalid value: what?");
        assert_eq!(Error::told(&path, "Forbidden: no").kind, Kind::Forbidden);
    }
}
