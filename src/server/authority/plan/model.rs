//! Replicas that come and go, are late, are cut off and are killed between any two requests, and API servers that hear of
//! configurations late: whatever is served is believed.

use proptest::prelude::*;

use super::{
    tests::{TIMES, ca, stepped},
    *,
};

const REPLICAS: usize = 3;
const HOOKS: usize = 3;
/// The longest that an API server takes to hear of a configuration.
const LAG: Moment = TIMES.settle - 5;
/// How far time goes at once. Replicas look at things more often than this matters.
const TICK: Moment = 40;

#[derive(Clone, Debug)]
enum Event {
    /// A replica goes on by one request.
    Go(usize),
    Kill(usize),
    /// A replica reaches no API server any more, or does again.
    Cut(usize),
    /// Another one leads; the last one may not know yet.
    Lead(usize),
    /// Somebody applies a configuration without a bundle.
    Strip(usize),
    /// An API server hears of a configuration.
    Hear(usize, usize),
    /// Time passes. All that are not cut off go on to the end of what they do.
    Tick(Moment),
}

/// Something in etcd, with its version.
type Stored<T> = (T, u64);

/// What a replica is in the middle of.
#[derive(Clone, Debug, Default)]
struct Pass {
    hooks: Option<Vec<Stored<Vec<Certificate>>>>,
    secret: Option<Stored<Held>>,
    written: usize,
}

#[derive(Clone, Debug, Default)]
struct Server {
    is_cut: bool,
    pass: Pass,
    known: Option<Held>,
    leaf: Option<Leaf>,
    trusted_since: Option<Moment>,
    is_foretold: bool,
    /// From when on it is called.
    called_from: Option<Moment>,
    /// When the last leaf ends that was signed by what the Secret said at that moment.
    fresh_until: Moment,
}

struct World {
    now: Moment,
    secret: Stored<Held>,
    hooks: Vec<Stored<Vec<Certificate>>>,
    /// What each API server knows, and since when each hook is as it is.
    heard: [Vec<Vec<Certificate>>; 2],
    changed_at: [Moment; HOOKS],
    servers: Vec<Server>,
    leads: [bool; REPLICAS],
    made: u8,
    promoted: usize,
}

impl World {
    fn new() -> Self {
        let nothing = vec![Vec::new(); HOOKS];
        Self {
            now: 0,
            secret: (Held::Nothing, 0),
            hooks: nothing.iter().cloned().map(|bundle| (bundle, 0)).collect(),
            heard: [nothing.clone(), nothing],
            changed_at: [0; HOOKS],
            servers: vec![Server::default(); REPLICAS],
            leads: [true, false, false],
            made: 0,
            promoted: 0,
        }
    }

    /// One request of a replica. True when its pass is at its end.
    fn go(&mut self, who: usize) -> bool {
        let server = &mut self.servers[who];
        if server.pass.hooks.is_none() {
            server.pass.hooks = Some(self.hooks.clone());
            return false;
        }
        if server.pass.secret.is_none() {
            server.pass.secret = Some(self.secret.clone());
            self.take_in(who);
            return false;
        }
        if self.step(who) || !self.leads[who] || !self.write_a_hook(who) {
            self.servers[who].pass = Pass::default();
            return true;
        }
        false
    }

    /// Takes in what was read, and signs.
    fn take_in(&mut self, who: usize) {
        let server = &mut self.servers[who];
        let (Some(hooks), Some((held, _))) = (&server.pass.hooks, &server.pass.secret) else { return };
        let Some(signing) = held.signing().cloned() else { return };
        let carried = Carried(hooks.iter().map(|(bundle, _)| bundle.clone()).collect());
        let is_trusted = carried.trusts(std::slice::from_ref(&signing));
        server.trusted_since = if is_trusted { server.trusted_since.or(Some(self.now)) } else { None };
        if server.known.as_ref().and_then(Held::signing) != Some(&signing) {
            server.trusted_since = is_trusted.then_some(self.now);
            server.is_foretold = server.known.as_ref().is_some_and(|known| known.foretells(&signing));
        }
        server.known = Some(held.clone());
        let bundle = held.bundle();
        let (is_foretold, trusted_since) = (server.is_foretold, server.trusted_since);
        let about = Signing { ca: &signing, bundle: &bundle, is_foretold, is_fresh: true, trusted_since };
        if renews(server.leaf.as_ref(), &about, &TIMES, self.now) {
            let ends = signing.ends.min(self.now + TIMES.leaf);
            server.leaf = Some(Leaf { by: signing, issued: self.now, ends });
            server.fresh_until = ends;
        }
        if server.called_from.is_none() && is_trusted {
            server.called_from = Some(self.now + LAG);
        }
    }

    /// A write of the Secret, if one is due; only what was read is replaced.
    fn step(&mut self, who: usize) -> bool {
        let pass = &self.servers[who].pass;
        let (Some(hooks), Some((held, version))) = (&pass.hooks, &pass.secret) else { return false };
        let carried = Carried(hooks.iter().map(|(bundle, _)| bundle.clone()).collect());
        let replica = Replica { leads: self.leads[who], remembers: false, missing_since: None };
        let Ok(step) = next(held, Some(&carried), replica, &TIMES, self.now) else { return false };
        if *version == self.secret.1 {
            self.made += 1;
            self.promoted += usize::from(step == Step::Promote);
            let made = ca(self.made, self.now);
            self.secret = (stepped(held, step, &made, &TIMES, self.now), version + 1);
        }
        true
    }

    /// Writes the next hook that is not as it should be; false if there is none.
    fn write_a_hook(&mut self, who: usize) -> bool {
        let pass = &mut self.servers[who].pass;
        let (Some(hooks), Some((held, _))) = (&pass.hooks, &pass.secret) else { return false };
        let wanted = held.bundle();
        let Some(at) = (pass.written..HOOKS).find(|at| hooks[*at].0 != wanted) else { return false };
        pass.written = at + 1;
        if hooks[at].1 == self.hooks[at].1 {
            self.hooks[at] = (wanted, self.hooks[at].1 + 1);
            self.changed_at[at] = self.now;
        }
        true
    }

    fn tick(&mut self, seconds: Moment) {
        self.now += seconds;
        for at in 0..HOOKS {
            if self.now - self.changed_at[at] >= LAG {
                self.hear(0, at);
                self.hear(1, at);
            }
        }
        for who in 0..REPLICAS {
            if self.servers[who].is_cut {
                self.go_on_from_memory(who);
            } else {
                // To the end of what it is at, which may be old, and once more.
                while !self.go(who) {}
                while !self.go(who) {}
            }
        }
    }

    fn go_on_from_memory(&mut self, who: usize) {
        let server = &mut self.servers[who];
        server.pass = Pass::default();
        let Some(held) = server.known.clone() else { return };
        let (Some(signing), bundle) = (held.signing(), held.bundle()) else { return };
        let about = Signing { ca: signing, bundle: &bundle, is_foretold: server.is_foretold, is_fresh: false, trusted_since: None };
        if renews(server.leaf.as_ref(), &about, &TIMES, self.now) {
            server.leaf = Some(Leaf { by: signing.clone(), issued: self.now, ends: signing.ends.min(self.now + TIMES.leaf) });
        }
    }

    fn hear(&mut self, api_server: usize, hook: usize) {
        self.heard[api_server][hook] = self.hooks[hook].0.clone();
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Go(who) if !self.servers[who].is_cut => drop(self.go(who)),
            Event::Go(_) => {}
            Event::Kill(who) => self.servers[who] = Server::default(),
            Event::Cut(who) => self.servers[who].is_cut = !self.servers[who].is_cut,
            Event::Lead(who) => self.leads = std::array::from_fn(|one| one == who),
            Event::Strip(at) => {
                self.hooks[at] = (Vec::new(), self.hooks[at].1 + 1);
                self.changed_at[at] = self.now;
            }
            Event::Hear(api_server, hook) => self.hear(api_server, hook),
            Event::Tick(seconds) => self.tick(seconds),
        }
    }

    /// What is served to those who call is believed by all who know of a hook at all.
    fn is_believed(&self) -> Result<(), String> {
        for (who, server) in self.servers.iter().enumerate() {
            let (Some(leaf), Some(from)) = (&server.leaf, server.called_from) else { continue };
            if self.now < from || self.now >= server.fresh_until {
                continue;
            }
            if leaf.ends <= self.now {
                return Err(format!("replica {who} serves what has ended at {}", leaf.ends));
            }
            for bundle in self.heard.iter().flatten().filter(|bundle| !bundle.is_empty()) {
                if !bundle.contains(&leaf.by) {
                    return Err(format!("replica {who} serves what {:?} has signed, and {bundle:?} is known", leaf.by));
                }
            }
        }
        Ok(())
    }
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..REPLICAS;
    prop_oneof![
        8 => who.clone().prop_map(Event::Go),
        1 => who.clone().prop_map(Event::Kill),
        1 => who.clone().prop_map(Event::Cut),
        1 => who.prop_map(Event::Lead),
        1 => (0..HOOKS).prop_map(Event::Strip),
        4 => (0..2usize, 0..HOOKS).prop_map(|(one, other)| Event::Hear(one, other)),
        6 => (1..=TICK).prop_map(Event::Tick),
        2 => Just(Event::Tick(TICK)),
    ]
}

/// Much time, in which nothing else happens.
fn quiet(world: &mut World, seconds: Moment) -> Result<(), String> {
    for _ in 0..seconds / TICK {
        world.tick(TICK);
        world.is_believed().map_err(|why| format!("at {}: {why}", world.now))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_served_is_believed(before in 0i64..9_000, events in prop::collection::vec(event(), 0..250)) {
        let mut world = World::new();
        quiet(&mut world, before).map_err(TestCaseError::fail)?;
        for event in &events {
            world.happens(event);
            world.is_believed().map_err(|why| TestCaseError::fail(format!("at {}, after {event:?}: {why}", world.now)))?;
        }
        for server in &mut world.servers {
            server.is_cut = false;
        }
        world.tick(TICK);
        // Then it goes on by itself: somebody leads always, and the exchange comes to its end.
        let ended = quiet(&mut world, 2 * TIMES.ca);
        ended.map_err(TestCaseError::fail)?;
        prop_assert!(world.promoted >= 2, "{} exchanges", world.promoted);
        prop_assert!(world.hooks.iter().all(|(bundle, _)| *bundle == world.secret.0.bundle()));
    }
}

/// The model catches what it is there to catch.
#[test]
fn a_ca_that_signs_before_it_is_known_is_caught() {
    let mut world = World::new();
    quiet(&mut world, 8_000).unwrap();
    let (old, signing) = (world.secret.0.signing().unwrap().clone(), ca(200, world.now));
    let alone = Ours { signing: old.clone(), others: Vec::new(), others_until: None, next: None, trusted_since: None };
    // Somebody has noted that it is known, though no hook has heard of it.
    let noted = Held::Ours(Ours { next: Some(signing.clone()), trusted_since: Some(world.now), ..alone.clone() });
    for server in &mut world.servers {
        server.known = Some(noted.clone());
    }
    world.secret = (Held::Ours(Ours { signing, others: vec![old], ..alone }), 99);
    let found = quiet(&mut world, 400).unwrap_err();
    assert!(found.contains("serves what"), "{found}");
}
