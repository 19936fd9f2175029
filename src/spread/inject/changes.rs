//! What became of a pod, as edits: of each member that a subset or its patch says something of, the value that it has now.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    nodes::{PREFERRED, REQUIRED},
    patch::Touched,
};
use crate::{
    admission::edits::{Edits, Step},
    spread::{api::Subset, keys::MATCHED},
};

const NODE_AFFINITY: [&str; 3] = ["spec", "affinity", "nodeAffinity"];

/// Notes what `after` has otherwise than `before`.
pub(super) fn write(before: &Value, after: &Value, subset: &Subset, edits: &mut Edits) {
    let patch = subset.patch.as_ref().and_then(Value::as_object);
    let mut changes = Changes { before, after, edits };
    let root = Touched::root(patch);
    let [spec, metadata] = ["spec", "metadata"].map(|name| root.inside(name));
    let labels = metadata.inside("labels");
    changes.members(&[], |name| !matches!(name, "metadata" | "spec") && root.is(name));
    if !spec.is("affinity") {
        changes.node_affinity();
    }
    changes.members(&["spec"], |name| name == "tolerations" || spec.is(name) || (name == "priority" && patch.is_some()));
    changes.members(&["metadata"], |name| !matches!(name, "labels" | "annotations") && metadata.is(name));
    let [had, has] = [before, after].map(|pod| at(pod, &["metadata", "labels"]).is_some_and(Value::is_object));
    if had && has {
        changes.members(&["metadata", "labels"], |name| labels.is(name));
    } else if metadata.is("labels") {
        changes.member(&["metadata", "labels"]);
    }
    changes.annotations(&metadata.inside("annotations"));
}

/// Notes that a member is gone.
pub(super) fn remove(edits: &mut Edits, path: &[&str]) {
    let path: Vec<_> = path.iter().map(|name| Step::Member(name)).collect();
    edits.remove(&path);
}

struct Changes<'c> {
    before: &'c Value,
    after: &'c Value,
    edits: &'c mut Edits,
}

impl Changes<'_> {
    fn member(&mut self, path: &[&str]) {
        if at(self.after, path).is_some() {
            self.edits.set_member(path, self.before, self.after);
        } else if at(self.before, path).is_some() {
            remove(self.edits, path);
        }
    }

    /// The members of an object that is there before and after.
    fn members(&mut self, path: &[&str], is_touched: impl Fn(&str) -> bool) {
        for name in names(self.before, self.after, path).into_iter().filter(|name| is_touched(name)) {
            let path: Vec<_> = path.iter().copied().chain([name]).collect();
            self.member(&path);
        }
    }

    fn node_affinity(&mut self) {
        if at(self.before, &NODE_AFFINITY).is_some_and(Value::is_object) {
            let [spec, affinity, node] = NODE_AFFINITY;
            self.member(&[spec, affinity, node, PREFERRED]);
            self.member(&[spec, affinity, node, REQUIRED]);
        } else {
            self.member(&NODE_AFFINITY);
        }
    }

    fn annotations(&mut self, touched: &Touched<'_>) {
        let path = ["metadata", "annotations"];
        for name in names(self.before, self.after, &path).into_iter().filter(|name| *name == MATCHED || touched.is(name)) {
            let [old, new] = [self.before, self.after].map(|pod| at(pod, &path).and_then(|all| all.get(name)));
            match new {
                Some(new) if old == Some(new) => {}
                Some(new) => self.edits.set_annotation(name, new.as_str().unwrap_or_default().to_owned()),
                None => remove(self.edits, &[path[0], path[1], name]),
            }
        }
    }
}

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn names<'v>(before: &'v Value, after: &'v Value, path: &[&str]) -> BTreeSet<&'v str> {
    [before, after].into_iter().filter_map(|pod| at(pod, path)?.as_object()).flat_map(|object| object.keys().map(String::as_str)).collect()
}
