//! The binary as an operator uses it.

mod inject;
mod logs;
mod review;
mod serve;

/// A set that puts a proxy in front of the containers of pods with `app: web`.
const MESH: &str = "\
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: mesh}
spec:
  selector: {matchLabels: {app: web}}
  containers: [{name: proxy, image: \"registry.example.com/proxy:1\"}]
";

/// A set that refuses every pod with `app: refused`: it asks for a revision that there is not.
const REFUSES: &str = "\
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: lost}
spec:
  selector: {matchLabels: {app: refused}}
  injectionStrategy: {revision: {revisionName: lost-0}}
  containers: [{name: proxy, image: \"registry.example.com/proxy:1\"}]
";

/// A set whose selector is not what it has to be.
const WRONG: &str = "\
kind: ConfigMap
apiVersion: v1
metadata: {name: first}
---
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: wrong}
spec:
  selector: {matchLabels: {app: 5}}
";
