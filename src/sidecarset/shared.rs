//! What a sidecar takes from the pod's own containers: mounts, block devices, variables, and resources to compute with.
//!
//! All of it is read from the pod as it came in, so sidecars of one request never see each other.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    content::{Keyed, Sidecar, Source},
    keys::IS_INJECTED,
    resources::TargetResources,
};
use crate::base::{
    decode::{DecodeError, text},
    pod::{Container, Spec},
    quantity::Quantity,
};

/// The pod's own containers, looked into.
#[derive(Debug, Default)]
pub struct Apps<'a> {
    containers: Vec<App<'a>>,
}

/// One of them.
#[derive(Debug)]
pub struct App<'a> {
    /// Name of the container.
    pub name: &'a str,
    /// Whether it says of itself that it was injected. Only its first variable of that name counts, as in the reference.
    pub is_injected: bool,
    /// Whether any such variable says so: every container of ours has one, though perhaps not as its first.
    pub has_mark: bool,
    /// Whether an earlier injection of the same sets brought it. Sidecars of one injection never see each other, so neither
    /// may they when it is done again.
    is_own: bool,
    env: Vec<Env<'a>>,
    /// Its mounts.
    pub mounts: Vec<Mount<'a>>,
    devices: Vec<Mount<'a>>,
}

#[derive(Debug)]
struct Env<'a> {
    name: Cow<'a, str>,
    json: &'a str,
}

/// A mount or a block device.
#[derive(Debug)]
pub struct Mount<'a> {
    /// Where in the container.
    pub path: Cow<'a, str>,
    sub_path_expr: Cow<'a, str>,
    /// The whole item.
    pub json: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    name: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    value: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    mount_path: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    device_path: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    sub_path_expr: Cow<'a, str>,
}

impl<'a> Apps<'a> {
    /// Looks into the containers of a pod. `own` are the names of those that an earlier injection brought.
    pub fn read(spec: &'a Spec<'a>, own: &BTreeSet<String>) -> Result<Self, DecodeError> {
        let mut containers: Vec<App<'a>> = spec.containers.iter().flatten().map(App::read).collect::<Result<_, _>>()?;
        for app in &mut containers {
            app.is_own = app.has_mark && own.contains(app.name);
        }
        Ok(Self { containers })
    }

    /// What `sidecar` gets beside its own: mounts, devices and variables, in this order, by path or name.
    pub fn shares(&self, sidecar: &Sidecar, label: impl Fn(&Source) -> String) -> Shares<'_> {
        let mut shares = Shares::default();
        for transfer in &sidecar.transfers {
            let source = label(&transfer.source);
            shares.env.extend(transfer.names.iter().filter_map(|name| self.last_env(&source, name)));
        }
        for app in self.containers.iter().filter(|app| !app.is_injected && !app.is_own) {
            if sidecar.shares_mounts {
                for mount in &app.mounts {
                    shares.env.extend(variables(&mount.sub_path_expr).filter_map(|name| app.first_env(name)));
                    shares.mounts.push((&mount.path, mount.json));
                }
            }
            if sidecar.shares_devices {
                shares.devices.extend(app.devices.iter().map(|device| (device.path.as_ref(), device.json)));
            }
        }
        shares
    }

    /// Of several variables of one name the last counts here. (The reference keeps them in a map.)
    fn last_env(&self, container: &str, name: &str) -> Option<(&str, &str)> {
        let mut all = self.containers.iter().rev().filter(|app| app.name == container && !app.is_own).flat_map(|app| app.env.iter().rev());
        all.find(|env| env.name == name).map(|env| (env.name.as_ref(), env.json))
    }
}

impl<'a> App<'a> {
    /// Looks into one container.
    pub fn read(container: &'a Container<'a>) -> Result<Self, DecodeError> {
        let list = |raw: Option<&'a RawValue>, member| items(raw).map_err(|error| located(error, &container.name, member));
        let env = list(container.env, "env")?;
        let mount = |path, (item, json): (Item<'a>, &'a str)| Mount { path, sub_path_expr: item.sub_path_expr, json };
        let mounts = list(container.volume_mounts, "volumeMounts")?;
        let devices = list(container.volume_devices, "volumeDevices")?;
        let mut marks = env.iter().filter(|(item, _)| item.name == IS_INJECTED).map(|(item, _)| item.value == "true");
        let is_injected = marks.next().unwrap_or_default();
        Ok(Self {
            name: &container.name,
            is_injected,
            has_mark: is_injected || marks.any(|says_so| says_so),
            is_own: false,
            mounts: mounts.into_iter().map(|m| mount(m.0.mount_path.clone(), m)).collect(),
            devices: devices.into_iter().map(|m| mount(m.0.device_path.clone(), m)).collect(),
            env: env.into_iter().map(|(item, json)| Env { name: item.name, json }).collect(),
        })
    }

    fn first_env(&self, name: &str) -> Option<(&str, &str)> {
        self.env.iter().find(|env| env.name == name).map(|env| (env.name.as_ref(), env.json))
    }
}

fn items<'a>(list: Option<&'a RawValue>) -> Result<Vec<(Item<'a>, &'a str)>, DecodeError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let raw: Vec<&'a RawValue> = serde_json::from_str(list.get()).map_err(|_| DecodeError::of::<Vec<Item<'a>>>(list))?;
    let item =
        |raw: &'a RawValue| serde_json::from_str(raw.get()).map(|item| (item, raw.get())).map_err(|_| DecodeError::of::<Item<'a>>(raw));
    raw.into_iter().map(item).collect()
}

fn located(error: DecodeError, container: &str, member: &str) -> DecodeError {
    DecodeError { path: format!("spec.containers[name={container}].{member}.{}", error.path), ..error }
}

/// Items of the pod that a sidecar shares, as path or name and JSON text.
#[derive(Debug, Default)]
pub struct Shares<'p> {
    /// Mounts by path.
    pub mounts: Vec<(&'p str, &'p str)>,
    /// Block devices by path.
    pub devices: Vec<(&'p str, &'p str)>,
    /// Variables by name.
    pub env: Vec<(&'p str, &'p str)>,
}

/// `own` and then those of `others` whose key nothing before them has. `blocked` are keys that others must not have either.
pub fn merged<'k>(own: &'k [Keyed], blocked: impl Iterator<Item = &'k str>, others: &[(&'k str, &'k str)]) -> Vec<(&'k str, &'k str)> {
    let mut all: Vec<_> = own.iter().map(|item| (item.key.as_str(), item.json.as_str())).collect();
    if others.is_empty() {
        return all;
    }
    let mut taken: BTreeSet<&str> = all.iter().map(|(key, _)| *key).chain(blocked).collect();
    all.extend(others.iter().filter(|(key, _)| taken.insert(key)));
    all
}

/// The names of all `$(NAME)` in a text. `$$(NAME)` is not taken as an escape, as in the reference.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    text.split("$(").skip(1).filter_map(move |rest| {
        let (name, _) = rest.split_once(')')?;
        let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        (begins_well && name.bytes().all(is_name)).then_some(name)
    })
}

/// What one container of the pod asks for. `null`, text and number are all read, as the API server accepts them.
pub fn target_resources(container: &Container<'_>) -> Result<TargetResources, DecodeError> {
    let resources: Value = container.resources.map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get())).unwrap_or_default();
    let quantity = |list: &str, name: &str| match resources.get(list).and_then(|list| list.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let path = || format!("spec.containers[name={}].resources.{list}.{name}", container.name);
            Quantity::parse(&text).map(Some).map_err(|error| DecodeError { path: path(), problem: error.to_string() })
        }
    };
    Ok(TargetResources {
        limits_cpu: quantity("limits", "cpu")?,
        limits_memory: quantity("limits", "memory")?,
        requests_cpu: quantity("requests", "cpu")?,
        requests_memory: quantity("requests", "memory")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_sub_path_are_found() {
        let all = |text| variables(text).collect::<Vec<_>>();
        assert_eq!(all("$(POD_NAME)/x/$(a.b-c)$$(D)"), ["POD_NAME", "a.b-c", "D"]);
        assert_eq!(all("$(1A)/$(A B)/$()/$(open"), Vec::<&str>::new());
        assert_eq!(all("$($(X)"), ["X"]);
    }

    #[test]
    fn the_first_of_one_key_wins() {
        let own = [Keyed { key: "/a".to_owned(), json: "1".to_owned() }];
        assert_eq!(merged(&own, ["/d"].into_iter(), &[("/a", "2"), ("/b", "3"), ("/d", "4"), ("/b", "5")]), [("/a", "1"), ("/b", "3")]);
    }
}
