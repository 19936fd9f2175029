//! Random interleavings of replicas, bursts of new pods, deletions, conflicts, lost answers, crashes, watches that are behind, and notes
//! that lapse, over the real hook, claims and plan. No revision ever has more pods in a subset than the subset takes. When all is over
//! the status says what there is, nothing stays taken, and more pods fill each subset to its limit, in their order.
//!
//! What is assumed of the world: what was admitted happens within [`EFFECT`], if at all; watches are not more than [`LAG`] behind;
//! clocks differ by less than a second. Together that is less than the time for which a place is kept.
//!
//! `OUTRIGGER_MODEL_SEED` and `OUTRIGGER_MODEL_RUNS` choose others than the usual interleavings.

use std::{collections::BTreeMap, env};

use fastrand::Rng;
use outrigger::admission::claim::Taken;
use outrigger::spread::claim::{Place, Want};
use serde_json::{Value, json};

use super::{
    api::{Api, counts},
    replica::{Next, Pending, Replica, Said, patched},
};

/// Milliseconds by which a watch may be behind.
const LAG: i64 = 3_000;
/// Milliseconds from an answer to what it admits.
const EFFECT: i64 = 3_000;
/// Milliseconds after which a write that was begun has landed, or never will.
const WRITE: i64 = 2_000;

/// A write that is under way: of a turn, or of a plan.
struct Write {
    at: i64,
    patch: Value,
    /// Whose turn; none for a plan, or if that replica is no more.
    turn: Option<usize>,
}

/// Something that was admitted and has not happened yet.
enum Admitted {
    Creation(Value),
    Deletion { pod: String, uid: Value },
}

struct World {
    random: Rng,
    at: i64,
    api: Api,
    replicas: Vec<Replica>,
    leader: usize,
    /// The leader has listed the pods since it leads.
    is_sure: bool,
    limits: Vec<Option<i32>>,
    writes: Vec<Write>,
    admitted: Vec<(i64, Admitted)>,
    /// Pods that gave back their places and did not go.
    stayed: Vec<Value>,
    named: usize,
    reviews: usize,
    placed: usize,
    unplaced: usize,
    /// What has happened.
    story: Vec<String>,
}

/// How an interleaving went.
struct Ran {
    placed: usize,
    unplaced: usize,
    /// What was not as it must be, and how that came.
    broken: Option<String>,
}

impl World {
    fn new(seed: u64, is_careless: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut api = Api { is_careless, ..Api::default() };
        let mut limits: Vec<_> = (0..random.usize(1..4)).map(|_| Some(random.i32(0..5))).collect();
        if random.bool() || limits.len() == 1 {
            limits.push(None);
        }
        api.make_spread(&limits, -60_000);
        let count = random.usize(1..=3);
        let replicas = (0..count).map(|_| Replica::start(&api, random.i64(-400..400))).collect();
        Self {
            random,
            at: 0,
            api,
            replicas,
            leader: 0,
            is_sure: false,
            limits,
            writes: Vec::new(),
            admitted: Vec::new(),
            stayed: Vec::new(),
            named: 0,
            reviews: 0,
            placed: 0,
            unplaced: 0,
            story: Vec::new(),
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        self.story.push(format!("{:3}.{:03} s  {}", self.at / 1000, self.at % 1000, what()));
    }

    fn any_replica(&mut self) -> usize {
        self.random.usize(..self.replicas.len())
    }

    fn any_pod(&mut self) -> Option<String> {
        let number = self.random.usize(..self.api.pods.len().max(1));
        self.api.pods.keys().nth(number).cloned()
    }

    /// One step of anything that can happen.
    fn step(&mut self) {
        match self.random.u8(..100) {
            0..=17 => self.burst(),
            18..=24 => self.remove(),
            25..=39 => self.begin(),
            40..=54 => self.land(),
            55..=64 => self.hear(),
            65..=74 => self.happen(),
            75..=82 => self.plan(),
            83..=87 => self.change_pods(),
            88 => self.crash(),
            89 => self.hand_over(),
            _ => self.at += self.random.i64(1..900),
        }
        self.keep_time();
    }

    /// What is due has to happen, however slow the world is.
    fn keep_time(&mut self) {
        for number in 0..self.replicas.len() {
            while self.replicas[number].unheard(&self.api)[0].is_some_and(|at| at + LAG <= self.at) {
                self.replicas[number].hear_of_pods(&self.api);
            }
            while self.replicas[number].unheard(&self.api)[1].is_some_and(|at| at + LAG <= self.at) {
                self.replicas[number].hear_of_spreads(&self.api);
            }
        }
        while let Some(number) = self.writes.iter().position(|write| write.at + WRITE <= self.at) {
            let write = self.writes.swap_remove(number);
            self.land_one(&write, true);
        }
        while let Some(number) = self.admitted.iter().position(|(at, _)| at + EFFECT <= self.at) {
            let (_, admitted) = self.admitted.swap_remove(number);
            self.carry_out(admitted);
        }
    }

    /// A pod as its workload makes it, with a name or without.
    fn template(&mut self) -> Value {
        self.named += 1;
        let revision = if self.random.u8(..3) == 0 { "2" } else { "1" };
        let mut pod = json!({"metadata": {"namespace": "shop", "labels": {"pod-template-hash": revision},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("web-{revision}"), "uid": "r", "controller": true}]},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]}});
        let key = if self.random.bool() { "name" } else { "generateName" };
        pod["metadata"][key] = json!(format!("web-{}", self.named));
        pod
    }

    fn burst(&mut self) {
        for _ in 0..self.random.usize(1..5) {
            let pod = self.template();
            let is_dry_run = self.random.u8(..12) == 0;
            self.ask(&pod, is_dry_run);
        }
    }

    fn ask(&mut self, pod: &Value, is_dry_run: bool) {
        let replica = self.any_replica();
        self.reviews += 1;
        let said = self.replicas[replica].place(pod, &format!("review-{}", self.reviews), is_dry_run, self.at);
        match said {
            Said::Decided(decision) => {
                let pod = patched(decision, pod).unwrap();
                self.admit(Admitted::Creation(pod));
            }
            Said::Waits(pending) => self.replicas[replica].queue.push(*pending),
        }
    }

    fn remove(&mut self) {
        let Some(name) = self.any_pod() else { return };
        let (replica, pod) = (self.any_replica(), self.api.pods[&name].clone());
        match self.replicas[replica].remove(&pod, self.at) {
            Said::Decided(_) => self.admit(Admitted::Deletion { pod: name, uid: pod["metadata"]["uid"].clone() }),
            Said::Waits(pending) => self.replicas[replica].queue.push(*pending),
        }
    }

    fn begin(&mut self) {
        let replica = self.any_replica();
        if self.replicas[replica].turn.is_none() {
            self.replicas[replica].begin();
            self.go_on(replica);
        }
    }

    /// A turn goes on until it has to wait for the API server, or is over.
    fn go_on(&mut self, replica: usize) {
        while self.replicas[replica].turn.is_some() {
            match self.replicas[replica].fold(self.at) {
                Next::Read => self.replicas[replica].read(&self.api),
                Next::Done(taken) => return self.end(replica, taken),
                Next::Write => {
                    let patch = self.replicas[replica].turn.as_ref().unwrap().write.as_ref().unwrap().0.clone();
                    return self.writes.push(Write { at: self.at, patch, turn: Some(replica) });
                }
            }
        }
    }

    fn end(&mut self, replica: usize, taken: Vec<Taken<Option<Place>>>) {
        let turn = self.replicas[replica].turn.take().unwrap();
        for (pending, taken) in turn.requests.into_iter().zip(taken) {
            match taken {
                Taken::Needless(gain) | Taken::Held(gain) | Taken::Taken(gain) => self.settle(replica, pending, gain),
                Taken::Stale => self.look_again(replica, pending),
                Taken::Refused(denial) => panic!("{denial:?}"),
            }
        }
    }

    /// A pod that may have been left out of the count meanwhile is looked at once more.
    fn look_again(&mut self, replica: usize, mut pending: Pending) {
        let counted = self.replicas[replica].counted();
        let Want::Return { pod, uid, counted: known, .. } = &mut pending.take.want else { unreachable!() };
        *known = counted;
        let is_there = self.api.pods.get(&**pod).is_some_and(|live| counts(live) && live["metadata"]["uid"] == **uid);
        if is_there { self.replicas[replica].queue.push(pending) } else { self.settle(replica, pending, None) }
    }

    fn settle(&mut self, replica: usize, pending: Pending, gain: Option<Place>) {
        let Pending { pod, take, claims } = pending;
        let (is_dry_run, at) = (claims.is_dry_run, self.at);
        if let Want::Return { .. } = take.want {
            let (name, uid) = (pod["metadata"]["name"].as_str().unwrap().to_owned(), pod["metadata"]["uid"].clone());
            self.tell(|| format!("{name} may go, says replica {replica}"));
            return self.admit(Admitted::Deletion { pod: name, uid });
        }
        self.tell(|| format!("{} is placed at replica {replica}: {gain:?}", pod["metadata"]));
        *if gain.is_some() { &mut self.placed } else { &mut self.unplaced } += 1;
        let after = self.replicas[replica].settle(claims, gain, &pod, at).unwrap();
        if is_dry_run {
            return;
        }
        // The API server may ask a second time, when others have changed the pod.
        if self.random.u8(..6) == 0 && after != pod {
            self.ask(&after, false);
        } else {
            self.admit(Admitted::Creation(after));
        }
    }

    fn admit(&mut self, admitted: Admitted) {
        // Some never do what they asked for.
        if self.random.u8(..10) > 0 {
            self.admitted.push((self.at, admitted));
        } else if let Admitted::Deletion { pod, uid } = admitted {
            self.tell(|| format!("{pod} stays"));
            self.stayed.push(uid);
        }
    }

    fn carry_out(&mut self, admitted: Admitted) {
        match admitted {
            Admitted::Creation(pod) => {
                self.tell(|| format!("{} is there", pod["metadata"]));
                self.api.create(pod, self.at);
            }
            Admitted::Deletion { pod, uid } if self.api.pods.get(&pod).is_some_and(|pod| pod["metadata"]["uid"] == uid) => {
                self.tell(|| format!("{pod} goes"));
                self.api.terminate(&pod, self.at);
            }
            Admitted::Deletion { .. } => {}
        }
    }

    fn land(&mut self) {
        if !self.writes.is_empty() {
            let number = self.random.usize(..self.writes.len());
            let write = self.writes.swap_remove(number);
            self.land_one(&write, false);
        }
    }

    /// A write lands, or is lost; and so may its answer be.
    fn land_one(&mut self, write: &Write, is_late: bool) {
        let is_lost = self.random.u8(..20) == 0;
        let landed = if is_lost { Err(()) } else { self.api.patch_status(&write.patch, self.at) };
        let whose = write.turn.map_or_else(|| "a plan".to_owned(), |replica| format!("a turn of replica {replica}"));
        self.tell(|| format!("{whose} {} {}", if landed.is_ok() { "lands:" } else { "does not land:" }, write.patch));
        let Some(replica) = write.turn else { return };
        let is_heard = !is_late && !is_lost && self.random.u8(..8) > 0;
        match landed {
            Ok(spread) if is_heard => {
                self.replicas[replica].assume(&spread);
                let (_, taken) = self.replicas[replica].turn.as_mut().unwrap().write.take().unwrap();
                self.end(replica, taken);
            }
            // It conflicts, or nobody knows: what is true is read.
            _ => {
                self.replicas[replica].read(&self.api);
                self.go_on(replica);
            }
        }
    }

    fn hear(&mut self) {
        let replica = self.any_replica();
        if self.random.bool() { self.replicas[replica].hear_of_pods(&self.api) } else { self.replicas[replica].hear_of_spreads(&self.api) }
    }

    fn happen(&mut self) {
        if !self.admitted.is_empty() {
            let number = self.random.usize(..self.admitted.len());
            let (_, admitted) = self.admitted.swap_remove(number);
            self.carry_out(admitted);
        }
    }

    fn plan(&mut self) {
        let at = self.at;
        let leader = &mut self.replicas[self.leader];
        if !self.is_sure || self.random.u8(..8) == 0 {
            leader.list(&self.api, at);
            self.is_sure = true;
        }
        if let Some(patch) = leader.plan(&self.api, at) {
            self.writes.push(Write { at, patch, turn: None });
        }
    }

    /// Pods that were terminated or have ended go; others end.
    fn change_pods(&mut self) {
        let Some(name) = self.any_pod() else { return };
        if counts(&self.api.pods[&name]) {
            self.tell(|| format!("{name} ends"));
            self.api.end(&name, self.at);
        } else {
            self.tell(|| format!("{name} is gone"));
            self.api.remove_pod(&name, self.at);
        }
    }

    /// A replica is gone, with all that waits for it, and comes back. What it has sent is under way.
    fn crash(&mut self) {
        let number = self.any_replica();
        self.tell(|| format!("replica {number} is killed"));
        // Those that it was asked about may have given back their places, and were never told that they may go.
        let turn = self.replicas[number].turn.iter().flat_map(|turn| &turn.requests);
        let returns = turn.filter(|pending| matches!(pending.take.want, Want::Return { .. }));
        self.stayed.extend(returns.map(|pending| pending.pod["metadata"]["uid"].clone()));
        self.replicas[number] = Replica::start(&self.api, self.random.i64(-400..400));
        self.is_sure &= self.leader != number;
        for write in self.writes.iter_mut().filter(|write| write.turn == Some(number)) {
            write.turn = None;
        }
    }

    fn hand_over(&mut self) {
        (self.leader, self.is_sure) = (self.any_replica(), false);
        let leader = self.leader;
        self.tell(|| format!("replica {leader} leads"));
    }

    /// Whether a revision has more pods in a subset than that takes. Those that gave back their place count no more: whoever refuses a
    /// deletion after that lets one too many stay.
    fn broken(&self) -> Option<String> {
        self.api.placed().into_iter().find_map(|((revision, subset), pods)| {
            let number: usize = subset.trim_start_matches('s').parse().unwrap();
            let limit = self.limits[number]?;
            let is_leaving = |name: &&String| {
                let uid = &self.api.pods[*name]["metadata"]["uid"];
                let is_this = |(_, admitted): &(i64, Admitted)| matches!(admitted, Admitted::Deletion { uid: of, .. } if of == uid);
                let turns = self.replicas.iter().filter_map(|replica| replica.turn.as_ref());
                let mut returns = turns.flat_map(|turn| &turn.requests).filter(|pending| matches!(pending.take.want, Want::Return { .. }));
                // Its place may be free before it is told that it may go.
                let is_answered_soon = returns.any(|pending| pending.pod["metadata"]["uid"] == *uid);
                self.stayed.contains(uid) || self.admitted.iter().any(is_this) || is_answered_soon
            };
            let count = pods.iter().filter(|name| !is_leaving(name)).count();
            let is_over = i32::try_from(count).unwrap() > limit;
            is_over.then(|| format!("{pods:?} of revision {revision} are in {subset}, which takes {limit}"))
        })
    }

    /// Nothing more is asked; all that is under way comes to its end, and notes lapse.
    fn settle_down(&mut self) -> Option<String> {
        for _ in 0..70 {
            for replica in 0..self.replicas.len() {
                if self.replicas[replica].turn.is_none() {
                    self.replicas[replica].begin();
                    self.go_on(replica);
                }
            }
            self.at += 1_000;
            self.keep_time();
            self.plan();
            if let Some(broken) = self.broken() {
                return Some(broken);
            }
        }
        None
    }

    /// What the status says of a revision, and what is true, in every subset: pods, places left, notes.
    fn untrue(&self) -> Option<String> {
        let placed = self.api.placed();
        let arrays = self.api.spread["status"]["versionedSubsetStatuses"].as_object().cloned().unwrap_or_default();
        let revisions: std::collections::BTreeSet<_> =
            placed.keys().map(|(revision, _)| revision.clone()).chain(arrays.keys().cloned()).collect();
        revisions.into_iter().find_map(|revision| {
            let want: Vec<_> = self
                .limits
                .iter()
                .enumerate()
                .map(|(number, limit)| {
                    let count = placed.get(&(revision.clone(), format!("s{number}"))).map_or(0, Vec::len);
                    let left = limit.map_or(-1, |limit| (limit - i32::try_from(count).unwrap()).max(0));
                    json!({"name": format!("s{number}"), "replicas": count, "missingReplicas": left})
                })
                .collect();
            let said = arrays.get(&revision).cloned().unwrap_or_else(|| json!(want));
            (said != json!(want)).then(|| format!("of revision {revision} it says {said}, and true is {}", json!(want)))
        })
    }

    /// A turn in which nothing goes wrong.
    fn take_at_once(&mut self, replica: usize) -> Vec<Taken<Option<Place>>> {
        loop {
            match self.replicas[replica].fold(self.at) {
                Next::Read => self.replicas[replica].read(&self.api),
                Next::Done(taken) => return taken,
                Next::Write => {
                    let (patch, taken) = self.replicas[replica].turn.as_mut().unwrap().write.take().unwrap();
                    match self.api.patch_status(&patch, self.at) {
                        Ok(spread) => {
                            self.replicas[replica].assume(&spread);
                            return taken;
                        }
                        Err(()) => self.replicas[replica].read(&self.api),
                    }
                }
            }
        }
    }

    /// Many more pods, with nothing that goes wrong: each subset is filled to its limit before the next one gets any.
    fn fill(&mut self) -> Option<String> {
        self.stayed.clear();
        let before: BTreeMap<_, _> = self.api.placed();
        let room: i32 = self.limits.iter().flatten().sum();
        for number in 0..room + 2 {
            let mut pod = self.template();
            pod["metadata"]["labels"]["pod-template-hash"] = json!("1");
            pod["metadata"]["ownerReferences"][0]["name"] = json!("web-1");
            let replica = self.any_replica();
            let Said::Waits(pending) = self.replicas[replica].place(&pod, &format!("last-{number}"), false, self.at) else { continue };
            self.replicas[replica].queue.push(*pending);
            self.replicas[replica].begin();
            let taken = self.take_at_once(replica);
            let turn = self.replicas[replica].turn.take().unwrap();
            for (pending, taken) in turn.requests.into_iter().zip(taken) {
                let (Taken::Needless(gain) | Taken::Held(gain) | Taken::Taken(gain)) = taken else { panic!("{taken:?}") };
                let after = self.replicas[replica].settle(pending.claims, gain, &pending.pod, self.at).unwrap();
                self.api.create(after, self.at);
            }
        }
        let placed = self.api.placed();
        self.limits.iter().enumerate().find_map(|(number, limit)| {
            let key = ("1".to_owned(), format!("s{number}"));
            let count = |placed: &BTreeMap<(String, String), Vec<String>>| placed.get(&key).map_or(0, Vec::len);
            let limit = usize::try_from((*limit)?).unwrap().max(count(&before));
            (count(&placed) != limit).then(|| format!("s{number} has {} pods, not {limit}", count(&placed)))
        })
    }
}

fn run(seed: u64, is_careless: bool) -> Ran {
    let mut world = World::new(seed, is_careless);
    let mut broken = None;
    for _ in 0..250 {
        world.step();
        broken = world.broken();
        if broken.is_some() {
            break;
        }
    }
    let broken = broken.or_else(|| world.settle_down()).or_else(|| world.untrue()).or_else(|| world.fill());
    let broken = broken.map(|broken| format!("{:?}\n{}\n{broken}", world.limits, world.story.join("\n")));
    Ran { placed: world.placed, unplaced: world.unplaced, broken }
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment")]
fn chosen(name: &str, usual: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_interleaving_overfills_a_subset_or_loses_a_place() {
    let (first, runs) = (chosen("OUTRIGGER_MODEL_SEED", 1), chosen("OUTRIGGER_MODEL_RUNS", 300));
    println!("interleavings {first} to {}", first + runs - 1);
    let (mut placed, mut unplaced) = (0, 0);
    for seed in first..first + runs {
        let ran = run(seed, false);
        if let Some(broken) = ran.broken {
            panic!("interleaving {seed}:\n{broken}");
        }
        placed += ran.placed;
        unplaced += ran.unplaced;
    }
    assert!(placed as u64 > runs && unplaced as u64 > runs / 2, "{placed} were placed and {unplaced} were not: nothing was proved");
}

/// A proof that cannot fail is none.
#[test]
fn writes_that_do_not_look_at_versions_are_found_out() {
    let broken = (1..60).filter(|seed| run(*seed, true).broken.is_some()).count();
    assert!(broken > 5, "only {broken} interleavings");
}
