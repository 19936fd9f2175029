//! Until when an object is protected. Only whoever has a clock can end a protection: the leader, not a policy.

use jiff::{SignedDuration, Timestamp};

use crate::plan::Kind;

/// Kinds whose protection is ended in time, beside those that the server judges ([`super::kind::ALL`]).
pub const KINDS: [Kind; 1] = [Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps" }];

/// What an object says of the end of its protection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// Nothing.
    #[default]
    Never,
    /// Then.
    At(Timestamp),
    /// Something that is no time.
    Unreadable(String),
}

impl Until {
    /// Reads the annotation; RFC 3339, as Kubernetes writes all times.
    pub fn read(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Never };
        text.trim().parse().map_or_else(|_| Self::Unreadable(text.to_owned()), Self::At)
    }

    /// How long it still lasts; nothing if it has no end, or none that can be read.
    pub fn left(&self, now: Timestamp) -> Option<SignedDuration> {
        match self {
            Self::At(at) => Some(at.duration_since(now)),
            Self::Never | Self::Unreadable(_) => None,
        }
    }

    /// Whether the time has come.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.left(now).is_some_and(|left| !left.is_positive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_is_read_in_any_zone() {
        for text in ["2026-12-01T12:00:00Z", "2026-12-01T14:00:00+02:00", " 2026-12-01T12:00:00.000Z "] {
            assert_eq!(Until::read(Some(text)), Until::At(at("2026-12-01T12:00:00Z")), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_protects_without_end() {
        for text in ["", "tomorrow", "2026-12-01", "1764590400", "2026-12-01T12:00:00"] {
            let until = Until::read(Some(text));
            assert_eq!(until, Until::Unreadable(text.to_owned()));
            assert!(!until.is_over(Timestamp::MAX), "{text}");
        }
        assert_eq!(Until::read(None), Until::Never);
        assert!(!Until::Never.is_over(Timestamp::MAX));
    }

    #[test]
    fn it_is_over_from_that_moment_on() {
        let until = Until::read(Some("2026-12-01T12:00:00Z"));
        assert!(!until.is_over(at("2026-12-01T11:59:59.999Z")));
        assert!(until.is_over(at("2026-12-01T12:00:00Z")));
        assert_eq!(until.left(at("2026-12-01T11:59:00Z")), Some(SignedDuration::from_mins(1)));
    }
}
