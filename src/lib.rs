//! Outrigger: OpenKruise-compatible admission webhooks and reconcilers for Kubernetes. This page is the map.
//!
//! # A review
//!
//! ```text
//! TLS            HTTP            bytes → Request      decide                       edits → bytes
//! server::tls → server::http → admission::review → handlers::TABLE → … → Verdict → admission::review
//!                                                      │   ▲
//!                                     handlers::pod ───┘   └── state::Snapshot: what is known at this moment
//!                                        │
//!            ┌───────────────────────────┼───────────────────────────────┐
//!   readiness_gate::add      sidecarset::select::select      sidecarset::inject::inject
//!                             which sets apply, which          puts them into the pod:
//!                             revision of each                 annotations, containers, volumes, secrets, notes
//! ```
//!
//! Inside the injection: `sidecarset::content` is what a set adds, rendered once; `sidecarset::shared` what a sidecar takes
//! from the pod's own containers; `sidecarset::place` where containers stand and what happens when names meet;
//! `sidecarset::inject::write_volumes` settles volumes of one name; `sidecarset::notes` what the pod says of it all.
//!
//! A set itself, when it is written: `handlers::objects`. `sidecarset::default` says what its author left out,
//! `sidecarset::validate` whether it may be stored as it is, beside those that are there (`sidecarset::conflict`). What only an API
//! server knows, a handler asks ([`admission::ask`]); `server::http` has `cluster::ask` put the question. What can be said in CEL is
//! in the CRD as well (`sidecarset::schema::rules`). Read in the version that is not stored, it goes through `handlers::convert`
//! ([`admission::conversion`]).
//!
//! Before all that, a new pod may get a place in a subset of a WorkloadSpread:
//!
//! ```text
//! handlers::place → claim: a place      → cluster::claims → spread::claim::Take, folded over the spread → handlers::pod goes on with it:
//!  whose it is                            (a folder:                                                      spread::inject, then the
//!                                          offline::claims)                                               sidecars as above
//! ```
//!
//! Pods of a StatefulSet are placed by their ordinals ([`spread::choose`]). A pod that is deleted or evicted gives back its place, after
//! all budgets have let it go. A spread itself, when it is written: `handlers::spreads`.
//!
//! A new pod is linked to the budget that guards it ([`budget::link`]). Before a linked pod is deleted, evicted or changed:
//!
//! ```text
//! handlers::guard → claims: a unit of each budget → cluster::claims  → budget::guard::Take, folded over the budget → one guarded write
//!  which budgets                                    (a folder:         (admission::claim)                             of its status
//!  have a say                                        offline::claims)
//! ```
//!
//! What is not certain from the mirror, the handler asks for first. A budget itself, when it is written: `handlers::budgets`
//! (`budget::validate`, `budget::overlap`).
//!
//! Before something is deleted that carries the label of deletion protection: `handlers::delete`. `protection::decide` says whether it
//! may go; what hangs on it is counted by questions (`protection::count`), which a folder's objects answer too (`offline::ask`).
//!
//! # A change
//!
//! ```text
//! cluster::watch   ─┐
//! (API server)      ├→ state::feed    → sidecarset::index (compiled, filed by namespace and label)
//! offline::files   ─┘  state::budgets → budget::index     (compiled, filed by namespace)
//! (folder)             state::pods    → members of sets, and every pod in small (budget::subject)
//!                      state::placed  → pods that spreads look at (spread::pod)
//!                      state::workloads, state::lineage (whose pods are)
//! ```
//!
//! What a change touches is reconciled, by the leader alone:
//!
//! ```text
//! state → keys → controllers::runner → controllers::Planner → sidecarset::plan (a set)     ─┐
//!                                                             budget::plan (a budget)       ├→ Plan → cluster::apply
//!                                                             spread::plan (a spread)       │
//!                                                             terminator::plan (a pod)     ─┘
//! ```
//!
//! A budget may depend on workloads of kinds that are not mirrored: [`budget::plan::wanted`] says which, [`cluster::scales`] asks for them.
//!
//! A spread counts pods that the watch may not have told of yet: where a place would be given away for it, the runner lists them first
//! ([`cluster::listing`], [`state::placed`]). What percentages are of, and where pods fit that nobody placed, `controllers::spreads` asks.
//!
//! A pod whose work is done may need a push: [`terminator::plan::plan`] says how its sidecars are ended. What that depends on
//! and is not mirrored, [`cluster::facts`] asks for.
//!
//! # A leader
//!
//! Every replica answers reviews; what writes to the cluster of its own accord does so only under a [`cluster::lease::Term`],
//! which one replica at a time has.
//!
//! # The doors
//!
//! `app` opens four, all over the same functions: `serve` in a cluster, `serve --from` a folder, `inject` ([`offline::pods`])
//! and `review` ([`offline::reviews`]). [`manifests`] renders what a cluster needs to know of us.
//!
//! # Who may import whom
//!
//! An arrow goes only to the right; `tests/it/architecture.rs` keeps it so.
//!
//! ```text
//! main ─ app ─ controllers ─ {args manifests offline cluster server telemetry} ─ handlers ─ state ─ {budget protection sidecarset spread terminator} ─ admission ─ plan ─ base
//! ```
//!
//! # Invariants
//!
//! - `base`, `plan`, `admission`, `budget`, `protection`, `sidecarset`, `spread`, `terminator`, `state` and `handlers` are pure: no `async`, no client, no clock, no
//!   randomness, no environment, no logging. Time is an argument.
//! - Only `admission::edits` writes JSON Patch, and never by comparing objects: what this code does not know stays as it is.
//! - A pod costs what it matches, not what exists: no decision walks over all sets.
//! - Injecting an injected pod changes nothing.
//! - A status of a budget or a spread is written only in the version that it was made from, by claims and by the reconciler alike.
//! - Nothing that a client or a stored object says makes a handler panic; should one, only its own review fails.

pub mod app;
pub mod args;

pub mod base;

pub mod admission;
pub mod plan;

pub mod budget;
pub mod protection;
pub mod sidecarset;
pub mod spread;
pub mod terminator;

pub mod state;

pub mod handlers;

pub mod cluster;
pub mod controllers;
pub mod manifests;
pub mod offline;
pub mod server;
pub mod telemetry;
