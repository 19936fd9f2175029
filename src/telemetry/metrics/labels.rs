//! What series are told apart by. All of it is bounded: hooks, words and kinds, never names of objects, users or namespaces.

use prometheus_client::encoding::EncodeLabelSet;

/// Where a review came in, and what became of it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Answered {
    pub(super) hook: &'static str,
    pub(super) verdict: &'static str,
    pub(super) reason: &'static str,
}

/// Where a review came in, and what a server would have done that only watches.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Watched {
    pub(super) hook: &'static str,
    pub(super) would: &'static str,
}

/// A path of the server.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfHook {
    pub(super) hook: &'static str,
}

/// A kind of objects, as it is called here: `sidecarset`, `budget`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfKind {
    pub(super) kind: &'static str,
}

/// A resource that is watched, as it stands in paths.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfResource {
    pub(super) resource: String,
}

/// What became of something.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Ended {
    pub(super) outcome: &'static str,
}

/// What became of something of a kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct EndedOfKind {
    pub(super) kind: &'static str,
    pub(super) outcome: &'static str,
}

/// The program itself.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}
