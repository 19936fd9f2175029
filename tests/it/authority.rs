//! Certificates that replicas keep by themselves: over a scripted API server, with a clock that jumps.

mod replica;

use base64::{Engine, prelude::BASE64_STANDARD};
use outrigger::server::authority::{Certificate, Times, issue, to_pem};
use serde_json::{Value, json};

use self::replica::{MUTATING, Replica, SECRET, START, TIMES, Weather, World, a_while, passes, until};
use crate::api_server::{End, Fate};

async fn settled(world: &World, replicas: &[&Replica]) {
    // As a watch would.
    for replica in replicas {
        replica.bell.notify_one();
    }
    until("all hooks believe all replicas", || replicas.iter().all(|replica| replica.is_believed_by_all(world))).await;
    a_while().await;
}

fn secret(members: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<_, _> =
        members.iter().map(|(name, text)| ((*name).to_owned(), BASE64_STANDARD.encode(text).into())).collect();
    json!({"metadata": {"name": "outrigger-authority", "namespace": "own"}, "type": "Opaque", "data": data})
}

/// A CA that somebody made who is not us, as a Secret.
fn theirs(now: i64, validity: i64) -> (Certificate, Value) {
    let made = issue::authority(&Times { ca: validity, ..TIMES }, now).unwrap();
    let pem = to_pem(std::slice::from_ref(&made.certificate));
    (made.certificate, secret(&[("tls.crt", &pem), ("tls.key", &made.key), ("ca.crt", &pem)]))
}

#[tokio::test(start_paused = true)]
async fn replicas_that_start_at_once_agree_on_one_ca() {
    let world = World::new();
    let replicas = [Replica::start(&world), Replica::start(&world).leads(), Replica::start(&world)];
    settled(&world, &replicas.each_ref()).await;
    assert_eq!(world.writes("POST secrets"), 1);
    assert_eq!(world.api.asked().iter().filter(|asked| asked.is("POST secrets")).count(), 3, "all three have tried");
    assert_eq!((world.writes("PUT secrets"), world.bundle_writes()), (0, 5));
    for replica in &replicas {
        assert_eq!(replica.readiness.check(), Ok(()));
        assert_eq!(replica.readiness.warnings(), "");
        assert_eq!(replica.metrics.authority_expiry.get(), world.signing().ends);
    }
    assert!(!world.api.object(SECRET).to_string().contains("tls.key"), "no key of a replica is ever stored");
}

#[tokio::test(start_paused = true)]
async fn an_empty_secret_is_filled_and_what_else_is_in_it_stays() {
    let world = World::new();
    world.api.put(
        "secrets",
        json!({"metadata": {"name": "outrigger-authority", "namespace": "own", "labels": {"team": "mesh"}}, "type": "Opaque"}),
    );
    let replicas = [Replica::start(&world), Replica::start(&world).leads()];
    settled(&world, &replicas.each_ref()).await;
    assert_eq!((world.writes("POST secrets"), world.writes("PUT secrets")), (0, 1));
    assert_eq!(world.api.object(SECRET)["metadata"]["labels"]["team"], "mesh");
}

/// The whole life of a CA and the beginning of the next one's: at every second every hook believes every replica.
#[tokio::test(start_paused = true)]
async fn one_ca_follows_another_and_at_no_moment_is_anybody_not_believed() {
    let world = World::new();
    let replicas = [Replica::start(&world).leads(), Replica::start(&world)];
    settled(&world, &replicas.each_ref()).await;
    let first = world.signing();
    passes(2 * TIMES.ca, || {
        for replica in &replicas {
            assert!(replica.is_believed_by_all(&world), "after {} s", world.now() - START);
        }
    })
    .await;
    assert!(world.now() > first.ends && world.signing() != first);
    assert!(world.bundles().iter().all(|bundle| !bundle.contains(&first)), "the first CA is forgotten");
    // Make, then for each exchange Prepare, Trust, Promote, Retire.
    let exchanges = 2;
    assert!(world.writes("PUT secrets") >= 4 * exchanges, "{}", world.writes("PUT secrets"));
    assert!(world.bundle_writes() <= 5 * (1 + 2 * (exchanges + 1)), "{}", world.bundle_writes());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_slept_past_all_ends_heals_when_it_wakes() {
    let world = World::new();
    let asleep = Weather::fair();
    let fate = asleep.clone();
    let replica = Replica::whose(&world, move |_| fate.fate()).leads();
    settled(&world, &[&replica]).await;
    let before = world.signing();
    asleep.is(Fate::of(End::Hangs));
    passes(3 * TIMES.ca, || {}).await;
    assert!(!replica.is_believed_by_all(&world) && world.now() > before.ends);
    asleep.is(Fate::GOOD);
    let started = Replica::start(&world);
    settled(&world, &[&replica, &started]).await;
    assert!(world.signing() != before && started.readiness.check().is_ok());
}

#[tokio::test(start_paused = true)]
async fn garbage_is_not_overwritten_and_not_served_until_it_is_mended_or_deleted() {
    for is_deleted in [false, true] {
        let world = World::new();
        let garbage = secret(&[("ca.crt", "garbage"), ("ca.key", "more of it")]);
        world.api.put("secrets", garbage.clone());
        let replica = Replica::start(&world).leads();
        a_while().await;
        let why = replica.why_not_ready();
        let expected = "certificate: Secret own/outrigger-authority cannot be used: ca.crt: expected PEM with certificates, found none";
        assert!(why.contains(expected) && why.contains("mend the Secret, or delete it"), "{why}");
        assert_eq!((replica.serving.leaf(), replica.metrics.certificate_unusable.get()), (None, 1));
        passes(1_000, || {}).await;
        assert_eq!((world.writes("PUT secrets"), world.bundle_writes()), (0, 0));
        let (mended, whole) = theirs(world.now(), 50_000);
        if is_deleted {
            world.api.remove(SECRET);
        } else {
            world.api.put("secrets", whole);
        }
        settled(&world, &[&replica]).await;
        assert_eq!(world.signing() == mended, !is_deleted);
        assert_eq!((replica.why_not_ready(), replica.readiness.warnings()), (String::new(), String::new()));
        assert_eq!((replica.metrics.certificate_unusable.get(), replica.metrics.certificate_errors.get()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_that_comes_later_is_told_and_what_is_served_is_served_on() {
    let world = World::new();
    let replica = Replica::start(&world).leads();
    settled(&world, &[&replica]).await;
    let (before, whole) = (replica.serving.leaf(), world.api.object(SECRET));
    world.api.change(SECRET, |secret| secret["data"]["ca.key"] = "Z2FyYmFnZQ==".into());
    world.api.change(MUTATING, |object| object["webhooks"][0]["clientConfig"]["caBundle"] = Value::Null);
    replica.bell.notify_one();
    a_while().await;
    assert_eq!((replica.serving.leaf() == before, replica.why_not_ready()), (true, String::new()));
    let told = replica.readiness.warnings();
    assert!(told.contains("warning: certificate authority: Secret own/outrigger-authority cannot be used: ca.key: "), "{told}");
    assert!(told.contains("the certificate that was signed before is served") && !told.contains("garbage"), "{told}");
    assert!(replica.is_believed_by_all(&world), "hooks are mended also meanwhile");
    assert_eq!(world.api.object(SECRET)["data"]["ca.key"], "Z2FyYmFnZQ==");
    // Long after the leaf should have been renewed, but before it ends.
    passes(1_100, || {}).await;
    assert!(replica.is_believed_by_all(&world));
    world.api.put("secrets", whole);
    settled(&world, &[&replica]).await;
    assert_eq!(replica.readiness.warnings(), "");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_comes_back_and_the_ca_is_exchanged_without_a_gap() {
    let world = World::new();
    let replicas = [Replica::start(&world).leads(), Replica::start(&world)];
    settled(&world, &replicas.each_ref()).await;
    let before = world.signing();
    world.api.remove(SECRET);
    passes(2 * TIMES.leaf + 400, || {
        for replica in &replicas {
            assert!(replica.is_believed_by_all(&world), "after {} s", world.now() - START);
        }
    })
    .await;
    assert!(world.signing() != before, "who deletes the Secret wants another CA");
    assert!(world.bundles().iter().all(|bundle| bundle.len() == 1 && !bundle.contains(&before)));
}

/// Also those that do not sign any more, or not yet.
#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_while_one_ca_follows_another_comes_back_as_it_was() {
    let world = World::new();
    let replicas = [Replica::start(&world).leads(), Replica::start(&world)];
    settled(&world, &replicas.each_ref()).await;
    let first = world.signing();
    let is_under_way: [&dyn Fn() -> bool; 2] = [&|| !world.held("next.crt").is_empty(), &|| world.signing() != first];
    for is_so in is_under_way {
        until("the exchange goes on", is_so).await;
        settled(&world, &replicas.each_ref()).await;
        let (bundle, held) = (world.bundles(), world.held("ca.crt"));
        assert!(bundle.iter().all(|bundle| bundle.len() == 2));
        world.api.remove(SECRET);
        passes(30, || assert!(replicas.iter().all(|replica| replica.is_believed_by_all(&world)))).await;
        settled(&world, &replicas.each_ref()).await;
        let restored = world.held("ca.crt");
        assert!(restored.starts_with(&held), "{}", String::from_utf8(restored).unwrap());
    }
    passes(TIMES.ca, || assert!(replicas.iter().all(|replica| replica.is_believed_by_all(&world)))).await;
    assert!(world.bundles().iter().all(|bundle| !bundle.contains(&first)));
}

/// Who remembers comes before who does not, if the leader is gone.
#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_while_nobody_leads_comes_back_from_whoever_remembers() {
    let world = World::new();
    let (leader, follower) = (Replica::start(&world).leads(), Replica::start(&world));
    settled(&world, &[&leader, &follower]).await;
    let before = world.signing();
    drop(leader);
    world.api.remove(SECRET);
    let started = Replica::start(&world);
    follower.bell.notify_one();
    a_while().await;
    assert_eq!(world.writes("POST secrets"), 1, "a leader would be first");
    until("the Secret is back", || world.writes("POST secrets") == 2).await;
    assert_eq!(world.signing(), before);
    until("the new one is believed", || started.is_believed_by_all(&world)).await;
    assert!(follower.is_believed_by_all(&world));
}

/// The others' certificates are good, and are believed until they have new ones.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_clock_is_ahead_exchanges_the_ca_too_early_and_nobody_else_is_refused() {
    for seconds in [100, 1_100] {
        let world = World::new();
        let (leader, other) = (Replica::start(&world).leads(), Replica::start(&world));
        settled(&world, &[&leader, &other]).await;
        let first = world.signing();
        drop(leader);
        // Nobody leads, so nobody exchanges it in time.
        passes(TIMES.ca - seconds, || assert!(other.is_believed_by_all(&world))).await;
        let ahead = Replica::ahead(&world, seconds).leads();
        other.bell.notify_one();
        passes(TIMES.leaf * 2, || assert!(other.is_believed_by_all(&world), "after {} s", world.now() - START)).await;
        assert!(world.signing() != first && ahead.serving.leaf().is_some());
        assert!(world.bundles().iter().all(|bundle| bundle.len() == 1), "in the end the first one is forgotten");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_whose_clock_is_ahead_exchanges_nothing() {
    let world = World::new();
    let leader = Replica::start(&world).leads();
    settled(&world, &[&leader]).await;
    let follower = Replica::ahead(&world, TIMES.ca);
    let told = || follower.readiness.warnings();
    passes(1_000, || assert!(leader.is_believed_by_all(&world))).await;
    assert_eq!(world.writes("PUT secrets") + world.writes("POST secrets"), 1);
    assert!(told().contains("the CA in Secret own/outrigger-authority has ended at 2025-11-22T10:32:00Z by our clock"), "{}", told());
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_somebody_put_there_is_used_and_never_written() {
    let world = World::new();
    let (ca, object) = theirs(START, 30_000);
    world.api.put("secrets", object);
    let replica = Replica::start(&world).leads();
    settled(&world, &[&replica]).await;
    assert!(world.bundles().iter().all(|bundle| *bundle == std::slice::from_ref(&ca)));
    passes(29_000, || assert!(replica.is_believed_by_all(&world))).await;
    assert_eq!(world.writes("PUT secrets") + world.writes("POST secrets"), 0);
    let told = replica.readiness.warnings();
    assert!(told.contains("the CA in Secret own/outrigger-authority ends at 2025-") && told.contains("who has to exchange it"), "{told}");
    assert_eq!(replica.readiness.check(), Ok(()));
}

/// What was signed by the one before is served until all hooks have known the new one for a while, and is believed as long.
#[tokio::test(start_paused = true)]
async fn a_ca_that_somebody_exchanges_at_once_costs_nothing() {
    let world = World::new();
    let replicas = [Replica::start(&world).leads(), Replica::start(&world)];
    settled(&world, &replicas.each_ref()).await;
    let first = world.signing();
    let (second, object) = theirs(world.now(), 50_000);
    world.api.put("secrets", object);
    passes(TIMES.settle - 10, || {
        assert!(replicas.iter().all(|replica| replica.is_believed_by_all(&world)));
        assert!(replicas.iter().all(|replica| !replica.is_believed(std::slice::from_ref(&second), world.now())), "too early");
    })
    .await;
    passes(2 * TIMES.leaf, || assert!(replicas.iter().all(|replica| replica.is_believed_by_all(&world)))).await;
    assert!(replicas.iter().all(|replica| replica.is_believed(std::slice::from_ref(&second), world.now())));
    assert!(world.bundles().iter().all(|bundle| !bundle.contains(&first)), "in the end the first one is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_follower_writes_no_bundle_and_is_not_ready_before_the_leader_has() {
    let world = World::new();
    let follower = Replica::start(&world);
    a_while().await;
    let why = follower.why_not_ready();
    assert!(why.starts_with("caBundle: the leader has not written our CA yet to mutatingwebhookconfigurations/outrigger, "), "{why}");
    assert!(follower.serving.leaf().is_some(), "conversions are answered");
    assert_eq!(world.bundle_writes(), 0);
    let leader = Replica::start(&world).leads();
    settled(&world, &[&follower, &leader]).await;
    until("the follower is ready", || follower.readiness.check().is_ok()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_installed_yet_is_waited_for_in_silence() {
    let world = World::new();
    world.api.remove(MUTATING);
    let replica = Replica::start(&world).leads();
    settled(&world, &[&replica]).await;
    assert_eq!((replica.readiness.check(), replica.readiness.warnings()), (Ok(()), String::new()));
    world.install("mutatingwebhookconfigurations", &["a"]);
    replica.bell.notify_one();
    let before = world.now();
    settled(&world, &[&replica]).await;
    assert!(world.now() - before < 10);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_calls_somebody_else_is_left_alone() {
    let world = World::new();
    world.api.change(MUTATING, |object| object["webhooks"][1]["clientConfig"]["service"]["namespace"] = "other".into());
    let replica = Replica::start(&world).leads();
    until("the bundles are written", || world.bundle_writes() == 5).await;
    a_while().await;
    let hooks = world.api.object(MUTATING)["webhooks"].clone();
    assert!(hooks[0]["clientConfig"]["caBundle"].is_string() && hooks[1]["clientConfig"].get("caBundle").is_none(), "{hooks}");
    assert_eq!(replica.readiness.check(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_edits_selectors_all_the_time_is_not_answered() {
    let world = World::new();
    let replica = Replica::start(&world).leads();
    settled(&world, &[&replica]).await;
    world.api.forget_asked();
    for number in 0..300 {
        world
            .api
            .change(MUTATING, |object| object["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"round": number.to_string()}}));
        replica.bell.notify_one();
        passes(1, || {}).await;
    }
    assert_eq!(world.api.asked().iter().filter(|asked| asked.writes()).count(), 0);
    assert_eq!(world.api.object(MUTATING)["webhooks"][0]["namespaceSelector"]["matchLabels"]["round"], "299");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_writes_bundles_too_is_not_fought_without_end() {
    let world = World::new();
    let replica = Replica::start(&world).leads();
    settled(&world, &[&replica]).await;
    let (rival, _) = theirs(START, 50_000);
    world.api.forget_asked();
    let mut told = String::new();
    for _ in 0..3_600 {
        world.api.change(MUTATING, |object| {
            object["webhooks"][0]["clientConfig"]["caBundle"] = BASE64_STANDARD.encode(to_pem(std::slice::from_ref(&rival))).into();
            object["metadata"]["managedFields"] = json!([{"manager": "injector", "fieldsV1": {"f:webhooks": {"f:caBundle": {}}}}]);
        });
        replica.bell.notify_one();
        passes(1, || {}).await;
        told = replica.readiness.warnings();
    }
    let writes = world.bundle_writes();
    assert!((10..=20).contains(&writes), "{writes} writes in an hour");
    assert!(told.contains("mutatingwebhookconfigurations/outrigger: injector keeps writing another caBundle"), "{told}");
    assert_eq!((replica.readiness.check(), replica.metrics.bundles_missing.get()), (Ok(()), 1));
    // It gives up.
    passes(700, || {}).await;
    assert!(replica.is_believed_by_all(&world));
    assert_eq!((replica.readiness.warnings(), replica.metrics.bundles_missing.get()), (String::new(), 0));
}

/// Of one that cannot be read nobody knows; and only who leads says anything.
#[tokio::test(start_paused = true)]
async fn only_the_leader_counts_what_lacks_the_bundle_and_only_what_can_be_read() {
    for (secret_is_lost, stops) in [(false, false), (true, false), (true, true)] {
        let world = World::new();
        let (hooks, secret) = (Weather::fair(), Weather::fair());
        let (of_hooks, of_secret) = (hooks.clone(), secret.clone());
        let replica = Replica::whose(&world, move |asked| match () {
            () if asked.method == http::Method::PATCH => Fate::of(End::Refused(403)),
            () if asked.is("GET validatingwebhookconfigurations") => of_hooks.fate(),
            () if asked.is("GET secrets") => of_secret.fate(),
            () => Fate::GOOD,
        })
        .leads();
        let missing = || replica.metrics.bundles_missing.get();
        until("all are counted", || missing() == 5).await;
        hooks.is(Fate::of(End::Refused(503)));
        until("one is not known of", || missing() == 4).await;
        let told = replica.readiness.warnings();
        assert!(told.contains("hooks: cannot be read: validatingwebhookconfigurations/outrigger: "), "{told}");
        assert!(!told.contains("validatingwebhookconfigurations/outrigger: caBundle"), "{told}");
        if secret_is_lost {
            secret.is(Fate::of(End::Refused(503)));
            a_while().await;
        }
        if stops {
            replica.stops();
        } else {
            replica.leads_no_more();
        }
        until("another one counts", || missing() == 0).await;
        assert!(!replica.readiness.warnings().contains("cannot be written"), "{}", replica.readiness.warnings());
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_or_written_is_told_and_tried_again() {
    for (forbidden, told) in [
        ("GET secrets", "certificate: Secret own/outrigger-authority cannot be read: "),
        ("POST secrets", "certificate: Secret own/outrigger-authority cannot be written: "),
    ] {
        let world = World::new();
        let weather = Weather::fair();
        weather.is(Fate::of(End::Refused(403)));
        let fate = weather.clone();
        let replica = Replica::whose(&world, move |asked| if asked.is(forbidden) { fate.fate() } else { Fate::GOOD }).leads();
        a_while().await;
        let why = replica.why_not_ready();
        assert!(why.contains(told), "{why}");
        passes(600, || {}).await;
        let asked = world.api.asked().iter().filter(|asked| asked.is(forbidden)).count();
        assert!((100..400).contains(&asked), "{asked} in ten minutes");
        weather.is(Fate::GOOD);
        settled(&world, &[&replica]).await;
        assert_eq!((replica.readiness.check(), replica.readiness.warnings()), (Ok(()), String::new()));
    }
}

/// Who may not look at hooks has given somebody else the care of bundles.
#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_at_hooks_a_replica_is_ready_and_says_what_it_misses() {
    let world = World::new();
    let of_hooks = |asked: &crate::api_server::Asked| asked.resource != "secrets";
    let replica = Replica::whose(&world, move |asked| if of_hooks(asked) { Fate::of(End::Refused(403)) } else { Fate::GOOD }).leads();
    a_while().await;
    assert_eq!(replica.readiness.check(), Ok(()));
    let told = replica.readiness.warnings();
    assert!(told.contains("warning: hooks: cannot be read: mutatingwebhookconfigurations/outrigger: "), "{told}");
    // And the CA is not exchanged: nobody knows whether the next one is trusted.
    passes(TIMES.ca - 100, || {}).await;
    assert_eq!(world.writes("PUT secrets"), 1, "the next CA is made, and nothing else");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_reaches_nobody_serves_until_its_certificate_ends_and_then_signs_from_memory() {
    let world = World::new();
    let weather = Weather::fair();
    let fate = weather.clone();
    let (leader, cut) = (Replica::start(&world).leads(), Replica::whose(&world, move |_| fate.fate()));
    settled(&world, &[&leader, &cut]).await;
    weather.is(Fate::of(End::Refused(503)));
    let before = cut.serving.leaf();
    passes(TIMES.leaf - 100, || assert!(cut.is_believed_by_all(&world))).await;
    assert_eq!(cut.serving.leaf(), before);
    passes(TIMES.leaf, || assert!(cut.is_believed_by_all(&world))).await;
    assert!(cut.serving.leaf() != before);
    assert!(cut.readiness.warnings().contains("cannot be read"), "{}", cut.readiness.warnings());
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_or_come_second_cost_nothing() {
    let world = World::new();
    let chance = parking_lot::Mutex::new(fastrand::Rng::with_seed(7));
    let replica = Replica::whose(&world, move |asked| {
        let ends = [End::Answered, End::Answered, End::Answered, End::Refused(500), End::Refused(429), End::Lost, End::Refused(409)];
        let known = if asked.writes() { ends.len() } else { ends.len() - 2 };
        Fate::of(ends[chance.lock().usize(..known)])
    })
    .leads();
    let other = Replica::start(&world);
    settled(&world, &[&replica, &other]).await;
    passes(2 * TIMES.ca, || assert!(other.is_believed_by_all(&world), "after {} s", world.now() - START)).await;
    assert!(world.signing().begins > START + 6_000, "the CA was exchanged all the same");
}
