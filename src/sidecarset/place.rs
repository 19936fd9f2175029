//! Where injected containers stand among the pod's own.

use std::{borrow::Cow, cell::OnceCell};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{content::Side, inject::named, shared::App};
use crate::{
    admission::edits::{Edits, Step},
    base::{
        decode::or_default,
        pod::{Container, Spec},
    },
};

/// A container to place.
#[derive(Debug)]
pub struct Added<'b> {
    /// Its name.
    pub name: Cow<'b, str>,
    /// On which side of the pod's own.
    pub side: Side,
    /// All of it.
    pub json: String,
}

/// A container of a set has the name of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The set.
    pub set: String,
    /// Which container, what of it is done, and why.
    pub text: String,
}

/// The containers of a pod, its own and those to add.
pub struct Placement<'b> {
    regular: List<'b>,
    init: List<'b>,
    /// Names that met.
    pub conflicts: Vec<Conflict>,
}

struct List<'b> {
    member: &'static str,
    own: Option<&'b [Container<'b>]>,
    added: Vec<Added<'b>>,
    /// Which set brought which name.
    origin: Vec<(Cow<'b, str>, &'b str)>,
}

impl<'b> Placement<'b> {
    /// Nothing added yet.
    pub fn of(spec: &'b Spec<'b>) -> Self {
        let list = |member, own| List { member, own, added: Vec::new(), origin: Vec::new() };
        Self {
            regular: list("containers", spec.containers.as_deref()),
            init: list("initContainers", spec.init_containers.as_deref()),
            conflicts: Vec::new(),
        }
    }

    /// The pod's own container of this name.
    pub fn existing(&self, name: &str) -> Option<&'b Container<'b>> {
        [&self.regular, &self.init].into_iter().find_map(|list| named(list.own, name).map(|(_, container)| container))
    }

    /// Whether a container of this name can be added for `set`. Of two sets that bring the same name the first wins, or the
    /// API server would refuse the pod. A container of the pod itself is replaced if it is in the same list; if it is in the
    /// other one, the API server will say so. Either way the client is warned.
    pub fn has_room(&mut self, set: &'b str, name: &str, is_init: bool) -> bool {
        let origins = self.regular.origin.iter().chain(&self.init.origin);
        if let Some(by) = origins.into_iter().find(|(taken, _)| taken == name).map(|(_, by)| *by) {
            let text = format!("container {name} is not injected: SidecarSet {by} has brought one of that name before");
            self.conflicts.push(Conflict { set: set.to_owned(), text });
            return false;
        }
        let [own, other] = if is_init { [&self.init, &self.regular] } else { [&self.regular, &self.init] };
        if named(other.own, name).is_some() {
            let kind = if is_init { "a regular" } else { "an init" };
            let text = format!("the pod has {kind} container named {name} too, which no pod may have");
            self.conflicts.push(Conflict { set: set.to_owned(), text });
        }
        let replaced = named(own.own, name).map(|(_, container)| container);
        if replaced.is_some_and(|container| App::read(container).is_ok_and(|app| !app.has_mark)) {
            let text = format!("container {name} takes the place of the pod's own container of that name");
            self.conflicts.push(Conflict { set: set.to_owned(), text });
        }
        self.list(is_init).origin.push((Cow::Owned(name.to_owned()), set));
        true
    }

    /// Adds a container.
    pub fn add(&mut self, added: Added<'b>, is_init: bool) {
        self.list(is_init).added.push(added);
    }

    fn list(&mut self, is_init: bool) -> &mut List<'b> {
        if is_init { &mut self.init } else { &mut self.regular }
    }

    /// Writes all added containers into the pod `object`.
    pub fn write(mut self, object: &RawValue, sort_regular: bool, edits: &mut Edits) {
        let Self { regular, init, .. } = &mut self;
        // Init containers run one after the other, so their order must not hang on the order of sets.
        init.added.sort_by(|a, b| a.name.cmp(&b.name));
        if sort_regular {
            regular.added.sort_by(|a, b| a.name.cmp(&b.name));
        }
        for list in [init, regular] {
            list.write(object, edits);
        }
    }
}

impl List<'_> {
    fn write(&self, object: &RawValue, edits: &mut Edits) {
        let path = [Step::Member("spec"), Step::Member(self.member)];
        let raw = OnceCell::new();
        // Replacements first: they go by the indices that the pod came with.
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for added in &self.added {
            match named(self.own, &added.name) {
                Some((index, _)) => {
                    let own = raw.get_or_init(|| RawLists::read(object)).item(self.member, index);
                    if !own.is_some_and(|own| is_same(own.get(), &added.json)) {
                        edits.replace(&[path[0], path[1], Step::Item(index)], &added.json);
                    }
                }
                None if added.side == Side::Before => before.push(added.json.as_str()),
                None => after.push(added.json.as_str()),
            }
        }
        if self.own.is_none() {
            return edits.append(&path, false, before.iter().chain(&after).copied().collect::<Vec<_>>().into_iter());
        }
        for (index, json) in before.into_iter().enumerate() {
            edits.add(&[path[0], path[1], Step::Item(index)], json);
        }
        edits.append(&path, true, after.into_iter());
    }
}

/// Whether two JSON texts say the same.
fn is_same(a: &str, b: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text);
    a == b || matches!((value(a), value(b)), (Ok(a), Ok(b)) if a == b)
}

/// The pod's containers as they came, for a comparison with what would replace them.
#[derive(Default, Deserialize)]
struct RawLists<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    spec: RawSpec<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    containers: Vec<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    init_containers: Vec<&'a RawValue>,
}

impl<'a> RawLists<'a> {
    fn read(object: &'a RawValue) -> Self {
        serde_json::from_str(object.get()).unwrap_or_default()
    }

    fn item(&self, member: &str, index: usize) -> Option<&'a RawValue> {
        let list = if member == "containers" { &self.spec.containers } else { &self.spec.init_containers };
        list.get(index).copied()
    }
}
