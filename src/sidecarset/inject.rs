//! Puts the selected sets into a new pod, as [`Edits`].
//!
//! The order of steps is the reference's and can be seen from outside: annotations first (a patched one may name the
//! source of a variable), then every container is put together from the pod as it came in, then all are placed, and
//! volumes, pull secrets and notes follow. (`pkg/webhook/pod/mutating/sidecarset.go`)

use std::{borrow::Cow, collections::BTreeSet};

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{
    content::{Keyed, Sidecar, Source},
    hot_upgrade::{self, Twin},
    keys::{HASH, HASH_WITHOUT_IMAGE, INJECTED_LIST, IS_INJECTED},
    metadata::{self, MetadataError},
    notes::{self, Injected, NoteError, Notes, Which},
    place::{Added, Conflict, Placement},
    resources::{ResourcesError, TargetResources},
    select::Selected,
    shared::{App, Apps, Shares, merged, target_resources},
};
use crate::{
    admission::edits::{Edits, Step, list, push_quoted},
    base::{
        decode::DecodeError,
        gates::Gates,
        pod::{Container, Meta, Named, Spec},
        selector::Labels,
    },
};

/// Where the API server's service-account plug-in mounts the token. It does so before any webhook is called and does not
/// come again, so a container that is replaced has to keep this mount.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The pod of a review.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'p, 'a> {
    /// Its metadata.
    pub meta: &'p Meta<'a>,
    /// All of it.
    pub object: &'a RawValue,
    /// The namespace that it will live in.
    pub namespace: &'p str,
}

/// Why a pod cannot be injected, and is refused.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// A member of the pod is not of its type.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An annotation cannot be patched.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The notes of an earlier injection cannot be read.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Resources cannot be computed.
    #[error(transparent)]
    Resources(#[from] ResourcesError),
}

/// What an injection did beside its edits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Injection {
    /// Whether any container was added.
    pub has_containers: bool,
    /// Containers whose names met.
    pub conflicts: Vec<Conflict>,
}

/// Injects `selected` into `pod`, as `edits`.
pub fn inject(
    pod: Pod<'_, '_>,
    selected: &[Selected<'_>],
    gates: &Gates,
    now: Timestamp,
    edits: &mut Edits,
) -> Result<Injection, InjectError> {
    patch_annotations(pod.meta, selected, edits)?;
    let spec = Spec::read(pod.object)?;
    let mut build = Build::new(pod.meta, &spec, selected)?;
    for one in selected {
        build.add_all(one, edits)?;
    }
    let Build { mut placement, injected, volumes, .. } = build;
    let conflicts = std::mem::take(&mut placement.conflicts);
    if injected.is_empty() {
        return Ok(Injection { has_containers: false, conflicts });
    }
    placement.write(pod.object, gates.sort_sidecars_by_name, edits);
    write_volumes(spec.volumes.as_deref(), &volumes, edits);
    write_secrets(spec.image_pull_secrets.as_deref(), selected, edits);
    write_notes(pod, selected, &injected, now, edits)?;
    Ok(Injection { has_containers: true, conflicts })
}

/// What an annotation is by now.
pub(super) fn annotation<'e>(meta: &'e Meta<'_>, edits: &'e Edits, key: &str) -> Option<&'e str> {
    edits.annotation(key).or_else(|| meta.annotation(key))
}

fn patch_annotations(meta: &Meta<'_>, selected: &[Selected<'_>], edits: &mut Edits) -> Result<(), InjectError> {
    for one in selected.iter().filter(|one| !one.content.metadata.is_empty()) {
        let changes = metadata::patched(&one.content.metadata, |key| annotation(meta, edits, key))?;
        let changes: Vec<_> = changes.into_iter().map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
        for (key, value) in changes {
            edits.set_annotation(&key, value);
        }
    }
    Ok(())
}

/// Containers being put together.
struct Build<'b> {
    meta: &'b Meta<'b>,
    spec: &'b Spec<'b>,
    /// `None` if no selected sidecar needs a look.
    apps: Option<Apps<'b>>,
    /// Names that are no targets for computed resources.
    excluded: BTreeSet<Cow<'b, str>>,
    placement: Placement<'b>,
    injected: Vec<Injected<'b>>,
    volumes: Vec<&'b Keyed>,
}

/// The containers that an earlier injection of these sets brought, twins by their own names.
fn own_containers(meta: &Meta<'_>, selected: &[Selected<'_>]) -> BTreeSet<String> {
    let Some(noted) = meta.annotation(HASH) else { return BTreeSet::new() };
    let mut own = notes::sidecars_of(noted, selected.iter().map(|one| one.set.name.as_str()));
    for sidecar in selected.iter().flat_map(|one| one.content.sidecars()).filter(|sidecar| sidecar.twin_image.is_some()) {
        if own.contains(&sidecar.name) {
            own.extend(Twin::BOTH.map(|twin| twin.name(&sidecar.name)));
        }
    }
    own
}

impl<'b> Build<'b> {
    fn new(meta: &'b Meta<'b>, spec: &'b Spec<'b>, selected: &'b [Selected<'b>]) -> Result<Self, InjectError> {
        let all = || selected.iter().flat_map(|one| one.content.sidecars());
        let own = own_containers(meta, selected);
        let apps = if all().any(Sidecar::looks_at_containers) { Some(Apps::read(spec, &own)?) } else { None };
        let computes = all().any(|sidecar| sidecar.resources_rule.is_some());
        let names = all().filter(|_| computes).map(|sidecar| Cow::Borrowed(sidecar.name.as_str()));
        let excluded = names.chain(own.into_iter().filter(|_| computes).map(Cow::Owned)).collect();
        Ok(Self { meta, spec, apps, excluded, placement: Placement::of(spec), injected: Vec::new(), volumes: Vec::new() })
    }

    /// Puts together all containers of one set.
    fn add_all(&mut self, one: &'b Selected<'b>, edits: &mut Edits) -> Result<(), InjectError> {
        let mut sidecars_added = BTreeSet::new();
        for (sidecars, is_init) in [(&one.content.init_containers, true), (&one.content.containers, false)] {
            for sidecar in sidecars {
                if self.add(&one.set.name, sidecar, is_init, edits)? && (sidecar.is_native || !is_init) {
                    sidecars_added.insert(sidecar.name.as_str());
                }
            }
        }
        // A set that brings nothing leaves no note.
        if one.content.sidecars().next().is_some() {
            self.injected.push(Injected { set: &one.set.name, content: one.content, sidecars: sidecars_added });
        }
        Ok(())
    }

    /// Puts together one sidecar. Says whether it could be placed.
    fn add(&mut self, set: &'b str, sidecar: &'b Sidecar, is_init: bool, edits: &mut Edits) -> Result<bool, InjectError> {
        let resources = self.resources(sidecar)?;
        if let Some(image) = &sidecar.twin_image {
            let names = Twin::BOTH.map(|twin| twin.name(&sidecar.name));
            if !names.iter().all(|name| self.placement.has_room(set, name, is_init)) {
                return Ok(false);
            }
            for (twin, name) in Twin::BOTH.into_iter().zip(names) {
                let image = if twin == Twin::Working { sidecar.image.as_deref() } else { Some(image.as_str()) };
                let form = Form { name: &name, image, resources: resources.as_deref(), last_env: &twin.env(&sidecar.name) };
                let json = self.assemble(sidecar, &form, edits)?;
                self.placement.add(Added { name: Cow::Owned(name), side: sidecar.side, json }, is_init);
            }
            hot_upgrade::annotate(self.meta, &sidecar.name, edits);
        } else {
            if !self.placement.has_room(set, &sidecar.name, is_init) {
                return Ok(false);
            }
            let form = Form { name: &sidecar.name, image: sidecar.image.as_deref(), resources: resources.as_deref(), last_env: &[] };
            let json = self.assemble(sidecar, &form, edits)?;
            self.placement.add(Added { name: Cow::Borrowed(&sidecar.name), side: sidecar.side, json }, is_init);
        }
        self.volumes.extend(&sidecar.volumes);
        Ok(true)
    }

    /// The computed resources of a sidecar.
    fn resources(&self, sidecar: &Sidecar) -> Result<Option<String>, InjectError> {
        let Some(rule) = &sidecar.resources_rule else { return Ok(None) };
        let native = self.spec.init_containers.iter().flatten().filter(|container| container.restart_policy == "Always");
        let mut targets: Vec<TargetResources> = Vec::new();
        for container in native.chain(self.spec.containers.iter().flatten()) {
            if !self.excluded.contains(&container.name) && rule.is_target(&container.name)? {
                targets.push(target_resources(container)?);
            }
        }
        Ok(Some(rule.resources(&targets)?.to_string()))
    }

    /// The JSON text of a container.
    fn assemble(&self, sidecar: &Sidecar, form: &Form<'_>, edits: &Edits) -> Result<String, InjectError> {
        let shares = self.apps.as_ref().map(|apps| apps.shares(sidecar, |source| self.source(source, edits))).unwrap_or_default();
        let before = self.placement.existing(form.name).map(App::read).transpose()?.filter(|app| app.has_mark);
        let mut parts = Parts::of(sidecar, &shares);
        let token = before.as_ref().and_then(|app| app.mounts.iter().find(|mount| mount.path == TOKEN_PATH));
        let has_token = parts.mounts.iter().any(|(path, _)| *path == TOKEN_PATH);
        parts.mounts.extend(token.filter(|_| !has_token).map(|token| (TOKEN_PATH, token.json)));
        Ok(parts.write(sidecar, form))
    }

    /// The name of the container that variables are copied from; empty if the pod does not say.
    fn source(&self, source: &Source, edits: &Edits) -> String {
        match source {
            Source::Name(name) => name.clone(),
            Source::Label(key) => self.meta.labels.label(key).unwrap_or_default().to_owned(),
            Source::Annotation(key) => annotation(self.meta, edits, key).unwrap_or_default().to_owned(),
        }
    }
}

/// What sets the containers of one sidecar apart.
struct Form<'f> {
    name: &'f str,
    image: Option<&'f str>,
    /// Computed resources, in place of the sidecar's own.
    resources: Option<&'f str>,
    /// Variables behind all others.
    last_env: &'f [String],
}

/// The lists of a container that depend on the pod.
struct Parts<'p> {
    mounts: Vec<(&'p str, &'p str)>,
    devices: Vec<(&'p str, &'p str)>,
    env: Vec<&'p str>,
}

impl<'p> Parts<'p> {
    fn of(sidecar: &'p Sidecar, shares: &Shares<'p>) -> Self {
        const MARK: &str = r#"{"name":"IS_INJECTED","value":"true"}"#;
        let own_devices = sidecar.devices.iter().map(|device| device.key.as_str());
        let mounts = merged(&sidecar.mounts, own_devices, &shares.mounts);
        let devices = merged(&sidecar.devices, mounts.iter().map(|(path, _)| *path), &shares.devices);
        let added = merged(&sidecar.env, [IS_INJECTED].into_iter(), &shares.env);
        let (own, taken) = added.split_at(sidecar.env.len().min(added.len()));
        let env = own.iter().map(|item| item.1).chain([MARK]).chain(taken.iter().map(|item| item.1)).collect();
        Self { mounts, devices, env }
    }

    fn write(&self, sidecar: &Sidecar, form: &Form<'_>) -> String {
        let mut out = String::with_capacity(sidecar.members.len() + 512);
        out.push_str("{\"name\":");
        push_quoted(&mut out, form.name);
        let resources = form.resources.or(sidecar.resources.as_deref());
        for (key, json) in [(",\"image\":", form.image), (",\"resources\":", resources)] {
            if let Some(json) = json {
                out.push_str(key);
                out.push_str(json);
            }
        }
        out.push_str(&sidecar.members);
        out.push_str(",\"env\":");
        out.push_str(&list(self.env.iter().copied().chain(form.last_env.iter().map(String::as_str))));
        for (key, items) in [(",\"volumeMounts\":", &self.mounts), (",\"volumeDevices\":", &self.devices)] {
            if !items.is_empty() {
                out.push_str(key);
                out.push_str(&list(items.iter().map(|(_, json)| *json)));
            }
        }
        out.push('}');
        out
    }
}

/// Adds the volumes that sidecars use. Where names meet, the pod's own volume wins, then the one of the first set.
fn write_volumes(own: Option<&[Named<'_>]>, used: &[&Keyed], edits: &mut Edits) {
    let mut taken: BTreeSet<&str> = own.iter().copied().flatten().map(|volume| volume.name.as_ref()).collect();
    let new: Vec<&str> = used.iter().filter(|volume| taken.insert(&volume.key)).map(|volume| volume.json.as_str()).collect();
    edits.append(&[Step::Member("spec"), Step::Member("volumes")], own.is_some(), new.into_iter());
}

/// The pod's pull secrets and those of the sets, each name once, even where the pod itself repeats one.
fn write_secrets(own: Option<&[&RawValue]>, selected: &[Selected<'_>], edits: &mut Edits) {
    let own = own.unwrap_or_default();
    let name = |raw: &RawValue| serde_json::from_str::<Named<'_>>(raw.get()).map(|named| named.name.into_owned()).unwrap_or_default();
    let of_sets = selected.iter().flat_map(|one| &one.content.secrets).map(|secret| (secret.key.clone(), secret.json.as_str()));
    let mut taken = BTreeSet::new();
    let all: Vec<&str> = own
        .iter()
        .map(|raw| (name(raw), raw.get()))
        .chain(of_sets)
        .filter(|(name, _)| taken.insert(name.clone()))
        .map(|(_, json)| json)
        .collect();
    if !all.iter().copied().eq(own.iter().map(|raw| raw.get())) {
        edits.add(&[Step::Member("spec"), Step::Member("imagePullSecrets")], &list(all.into_iter()));
    }
}

fn write_notes(
    pod: Pod<'_, '_>,
    selected: &[Selected<'_>],
    injected: &[Injected<'_>],
    now: Timestamp,
    edits: &mut Edits,
) -> Result<(), InjectError> {
    for (which, key) in [(Which::Hash, HASH), (Which::WithoutImage, HASH_WITHOUT_IMAGE)] {
        let earlier = annotation(pod.meta, edits, key);
        let unreadable = |problem| NoteError {
            namespace: pod.namespace.to_owned(),
            pod: pod.meta.name.clone().into_owned(),
            key,
            text: earlier.unwrap_or_default().to_owned(),
            problem,
        };
        let mut notes = Notes::read(earlier).map_err(unreadable)?;
        for one in injected {
            notes.write(which, one, now);
        }
        annotate(pod.meta, key, notes.to_text(), edits);
    }
    let names = selected.iter().map(|one| one.set.name.as_str());
    let list = notes::injected_list(annotation(pod.meta, edits, INJECTED_LIST), names);
    annotate(pod.meta, INJECTED_LIST, list, edits);
    Ok(())
}

/// Sets an annotation, unless the pod has it with this value.
pub(super) fn annotate(meta: &Meta<'_>, key: &str, value: String, edits: &mut Edits) {
    if annotation(meta, edits, key) != Some(value.as_str()) {
        edits.set_annotation(key, value);
    }
}

/// The containers of a list by name.
pub(super) fn named<'c, 'a>(list: Option<&'c [Container<'a>]>, name: &str) -> Option<(usize, &'c Container<'a>)> {
    list.iter().copied().flatten().enumerate().find(|(_, container)| container.name == name)
}
