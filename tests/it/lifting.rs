//! The end of protections by time, over a scripted API server and a clock that jumps.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use outrigger::{
    cluster::{events::Teller, lease::Term, protected::Protected},
    controllers::protection::Lifter,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::api_server::{ApiServer, Asked, End, Fate};

const LABEL: &str = "policy.kruise.io/delete-protection";
const BEGIN: Timestamp = Timestamp::constant(1_800_000_000, 0);

struct World {
    server: ApiServer,
    leadership: watch::Sender<Option<Term>>,
    term: CancellationToken,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    /// A replica that does not lead yet, whose requests fare as `fate` says.
    fn new(fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        let (server, started) = (ApiServer::default(), Instant::now());
        let client = server.client(fate);
        let wall = move || BEGIN + SignedDuration::try_from(started.elapsed()).unwrap();
        let lifter =
            Lifter { protected: Protected::new(client.clone()), teller: Teller::new(client, Arc::default()), wall: Arc::new(wall) };
        let (leadership, stop, term) = (watch::Sender::new(None), CancellationToken::new(), CancellationToken::new());
        let running = TaskTracker::new().spawn(lifter.run(leadership.subscribe(), stop.clone()));
        Self { server, leadership, term, stop, running }
    }

    /// One that leads.
    fn leading(fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        let world = Self::new(fate);
        world.elect();
        world
    }

    fn elect(&self) {
        self.leadership.send_replace(Some(Term::without_election(&self.term)));
    }

    /// A protected object that says this of the end.
    fn put(&self, resource: &str, name: &str, until: &str) {
        let metadata = json!({"name": name, "namespace": "shop", "labels": {LABEL: "Always", "app": "web"}, "annotations": {"outrigger.dev/protection-until": until}});
        self.server.put(resource, json!({"metadata": metadata}));
    }

    fn labels(&self, resource: &str, name: &str) -> Value {
        self.server.object(&format!("{resource}/shop/{name}"))["metadata"]["labels"].clone()
    }

    fn events(&self, reason: &str) -> Vec<Value> {
        self.server.all("events").into_iter().filter(|event| event["reason"] == reason).collect()
    }

    async fn idle(&self, duration: Duration) {
        sleep(duration).await;
        assert!(!self.running.is_finished());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn seconds(seconds: i64) -> String {
    (BEGIN + SignedDuration::from_secs(seconds)).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_protection_ends_at_its_time_and_other_labels_stay() {
    let world = World::leading(|_| Fate::GOOD);
    world.put("configmaps", "soon", &seconds(100));
    world.idle(Duration::from_secs(99)).await;
    assert_eq!(world.labels("configmaps", "soon"), json!({LABEL: "Always", "app": "web"}));
    world.idle(Duration::from_secs(3)).await;
    assert_eq!(world.labels("configmaps", "soon"), json!({"app": "web"}));
    world.idle(Duration::from_mins(1)).await;
    let events = world.events("ProtectionEnded");
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["regarding"]["kind"], &events[0]["reportingController"]),
        (&json!("ConfigMap"), &json!("protection-controller"))
    );
    let note = format!("The label {LABEL}=Always was taken off: outrigger.dev/protection-until, {}, has passed", seconds(100));
    assert_eq!((&events[0]["note"], &events[0]["type"]), (&json!(note), &json!("Normal")));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_end_or_a_later_one_is_left_alone() {
    let world = World::leading(|_| Fate::GOOD);
    world.server.put("services", json!({"metadata": {"name": "web", "namespace": "shop", "labels": {LABEL: "Always"}}}));
    world.put("deployments", "later", &seconds(100_000));
    world.idle(Duration::from_mins(10)).await;
    assert!(!world.server.asked().iter().any(Asked::writes));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_no_time_is_told_once() {
    let world = World::leading(|_| Fate::GOOD);
    world.put("services", "web", "tomorrow");
    world.idle(Duration::from_hours(3)).await;
    let events = world.events("ProtectionEndUnreadable");
    assert_eq!((events.len(), &events[0]["type"]), (1, &json!("Warning")));
    assert!(events[0]["note"].as_str().unwrap().contains("found \"tomorrow\""), "{events:?}");
    assert_eq!(world.labels("services", "web")[LABEL], "Always");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_holds_up_no_other() {
    let world = World::leading(|asked| Fate::of(if asked.is("GET services") { End::Refused(403) } else { End::Answered }));
    world.put("services", "web", &seconds(10));
    world.put("configmaps", "web", &seconds(10));
    world.idle(Duration::from_secs(30)).await;
    assert_eq!(
        [world.labels("services", "web")[LABEL].clone(), world.labels("configmaps", "web")[LABEL].clone()],
        [json!("Always"), json!(null)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_that_has_changed_meanwhile_is_looked_at_again() {
    let refusals = Arc::new(Mutex::new(2));
    let world = World::leading(move |asked| {
        let mut left = refusals.lock();
        if asked.is("PATCH services") && *left > 0 {
            *left -= 1;
            return Fate::of(End::Refused(409));
        }
        Fate::GOOD
    });
    world.put("services", "web", &seconds(20));
    world.idle(Duration::from_secs(30)).await;
    assert_eq!(world.labels("services", "web"), json!({"app": "web"}));
    let patches: Vec<_> = world.server.asked().into_iter().filter(|asked| asked.is("PATCH services")).collect();
    assert_eq!(patches.len(), 3);
    assert!(patches.iter().all(|patch| patch.body["metadata"]["resourceVersion"].is_string()), "{patches:?}");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_prolongs_it_in_time_is_heard() {
    let world = World::leading(|_| Fate::GOOD);
    world.put("services", "web", &seconds(100));
    world.idle(Duration::from_secs(95)).await;
    world.server.change("services/shop/web", |object| {
        object["metadata"]["annotations"]["outrigger.dev/protection-until"] = json!(seconds(1000));
    });
    world.idle(Duration::from_mins(5)).await;
    assert_eq!(world.labels("services", "web")[LABEL], "Always");
}

#[tokio::test(start_paused = true)]
async fn only_who_leads_ends_protections() {
    let world = World::new(|_| Fate::GOOD);
    world.put("services", "web", &seconds(10));
    world.idle(Duration::from_mins(5)).await;
    assert_eq!(world.server.asked().len(), 0);
    world.elect();
    world.idle(Duration::from_secs(5)).await;
    assert_eq!(world.labels("services", "web"), json!({"app": "web"}));
    world.term.cancel();
    world.idle(Duration::from_secs(5)).await;
    let before = world.server.asked().len();
    world.put("services", "next", &seconds(10));
    world.idle(Duration::from_mins(5)).await;
    assert_eq!(world.server.asked().len(), before);
}
