//! Where in a workload it stands how many pods it should have. (reference: `workloadspread.md` §4.5)

use serde_json::Value;

/// Why a path leads nowhere.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path:?}: {found}")]
pub struct PathError {
    /// The path.
    pub path: String,
    /// What stands in its way.
    pub found: String,
}

/// The number at a path like `spec.workers.0.replicas`: names of members and indexes of items. An empty path is none: 0.
pub fn number_at(object: &Value, path: &str) -> Result<i64, PathError> {
    let error = |found: String| PathError { path: path.to_owned(), found };
    if path.is_empty() {
        return Ok(0);
    }
    let (mut value, mut way) = (object, String::new());
    for part in path.split('.') {
        let found = match value {
            Value::Object(members) => members.get(part),
            Value::Array(items) => {
                let index: usize = part.parse().map_err(|_| error(format!("{way} is a list, and {part:?} is no index")))?;
                items.get(index)
            }
            _ => return Err(error(format!("{way} is no object and no list"))),
        };
        if !way.is_empty() {
            way.push('.');
        }
        way.push_str(part);
        value = found.ok_or_else(|| error(format!("there is no {way}")))?;
    }
    value.as_i64().ok_or_else(|| error(format!("expected a whole number, found {value}")))
}

/// The sum of the numbers at these paths, and what is wrong with them: a bad one counts as 0.
pub fn total(object: &Value, paths: &[String]) -> (i32, Vec<PathError>) {
    let mut errors = Vec::new();
    let mut total = 0_i64;
    for path in paths {
        match number_at(object, path) {
            Ok(number) => total = total.saturating_add(number),
            Err(error) => errors.push(error),
        }
    }
    (i32::try_from(total.max(0)).unwrap_or(i32::MAX), errors)
}

/// How many pods a workload should have by what it says itself, and what is wrong with what a spread says of that. Without paths it is
/// the number that workloads of its kind have. (Kubernetes takes one that is missing for 1.)
pub fn wanted(kind: &str, paths: &[String], object: &Value) -> (i32, Vec<PathError>) {
    if !paths.is_empty() {
        return total(object, paths);
    }
    let (member, missing) = match kind {
        "Job" => ("parallelism", 1),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "CloneSet" => ("replicas", 1),
        _ => ("replicas", 0),
    };
    let number = object.get("spec").and_then(|spec| spec.get(member)).and_then(Value::as_i64).unwrap_or(missing);
    (i32::try_from(number.max(0)).unwrap_or(i32::MAX), Vec::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(path: &str) -> Result<i64, String> {
        let object = json!({"spec": {"replicas": 3, "workers": [{"n": 4}, {"n": "5"}], "half": 1.5, "none": null, "": 7}});
        number_at(&object, path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_leads_through_members_and_items() {
        assert_eq!([at("spec.replicas"), at("spec.workers.0.n"), at(""), at("spec.")], [Ok(3), Ok(4), Ok(0), Ok(7)]);
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        for (path, expected) in [
            ("spec.size", "there is no spec.size"),
            ("spec.workers.2.n", "there is no spec.workers.2"),
            ("spec.workers.x.n", "spec.workers is a list, and \"x\" is no index"),
            ("spec.workers.-1.n", "spec.workers is a list, and \"-1\" is no index"),
            ("spec.replicas.n", "spec.replicas is no object and no list"),
            ("spec.workers.1.n", "expected a whole number, found \"5\""),
            ("spec.half", "expected a whole number, found 1.5"),
            ("spec.none", "expected a whole number, found null"),
            ("spec.workers", "expected a whole number, found [{\"n\":4},{\"n\":\"5\"}]"),
        ] {
            assert_eq!(at(path), Err(format!("{path:?}: {expected}")));
        }
    }

    #[test]
    fn without_paths_it_is_the_number_of_the_kind() {
        let of = |kind: &str, object| wanted(kind, &[], &object);
        let object = json!({"spec": {"replicas": 3, "parallelism": 4}});
        assert_eq!([of("Deployment", object.clone()).0, of("Job", object.clone()).0, of("Flow", object.clone()).0], [3, 4, 3]);
        assert_eq!([of("CloneSet", json!({})).0, of("Job", json!({"spec": {}})).0, of("Flow", json!({})).0], [1, 1, 0]);
        assert_eq!(wanted("Job", &["spec.replicas".to_owned()], &object), (3, vec![]));
    }

    #[test]
    fn a_bad_path_counts_for_nothing_and_is_named() {
        let object = json!({"a": 2, "b": 3, "c": -9});
        let of = |paths: &[&str]| {
            let (total, errors) = total(&object, &paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>());
            (total, errors.len())
        };
        assert_eq!([of(&["a", "b"]), of(&["a", "x"]), of(&["c"]), of(&[])], [(5, 0), (2, 1), (0, 0), (0, 0)]);
    }
}
