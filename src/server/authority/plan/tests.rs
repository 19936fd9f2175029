use super::*;

pub(super) const TIMES: Times = Times { ca: 12_000, leaf: 1_200, settle: 60 };

/// The CA of this number, valid from this moment on.
pub(super) fn ca(number: u8, begins: Moment) -> Certificate {
    Certificate { der: [number].as_slice().into(), begins, ends: begins + TIMES.ca }
}

/// What a step makes of what is held, said a second time and more simply than where it is written. `number` is that of a new CA.
pub(in super::super) fn stepped(held: &Held, step: Step, made: &Certificate, times: &Times, now: Moment) -> Held {
    let alone = |signing: Certificate| Ours { signing, others: Vec::new(), others_until: None, next: None, trusted_since: None };
    let Held::Ours(ours) = held.clone() else { return Held::Ours(alone(made.clone())) };
    let after = |signing: Certificate| Ours {
        others: [vec![ours.signing.clone()], ours.others.clone()].concat(),
        others_until: Some(now + times.farewell()),
        ..alone(signing)
    };
    Held::Ours(match step {
        Step::Make => after(made.clone()),
        Step::Restore => Ours { next: Some(made.clone()), ..alone(ours.signing) },
        Step::Prepare => Ours { next: Some(made.clone()), trusted_since: None, ..ours },
        Step::Trust => Ours { trusted_since: Some(now), ..ours },
        Step::Distrust => Ours { trusted_since: None, ..ours },
        Step::Promote => after(ours.next.clone().unwrap()),
        Step::Retire => Ours { others: Vec::new(), others_until: None, ..ours },
    })
}

fn alone(signing: Certificate) -> Ours {
    Ours { signing, others: Vec::new(), others_until: None, next: None, trusted_since: None }
}

const LEADER: Replica = Replica { leads: true, remembers: false, missing_since: None };
const FOLLOWER: Replica = Replica { leads: false, remembers: false, missing_since: None };

fn all_carry(held: &Held) -> Carried {
    Carried(vec![held.bundle(), held.bundle()])
}

fn step(held: &Held, carried: &Carried, replica: Replica, now: Moment) -> Result<Step, Option<Moment>> {
    next(held, Some(carried), replica, &TIMES, now)
}

#[test]
fn what_is_not_there_any_replica_makes() {
    for replica in [LEADER, FOLLOWER] {
        for bare in [Carried::default(), Carried(vec![Vec::new(), Vec::new()])] {
            assert_eq!(step(&Held::Nothing, &bare, replica, 0), Ok(Step::Make));
        }
    }
}

#[test]
fn what_is_not_there_any_more_the_leader_puts_back_and_others_if_it_does_not() {
    let carried = Carried(vec![Vec::new(), vec![ca(1, 0)]]);
    let remembers = |replica| Replica { remembers: true, ..replica };
    let found = |replica, carried, now| next(&Held::Nothing, carried, Replica { missing_since: Some(100), ..replica }, &TIMES, now);
    // Also one that has ended: what clocks say of it may be wrong, and it is replaced as any other.
    for now in [100, 1_000_000] {
        assert_eq!(found(LEADER, Some(&carried), now), Ok(Step::Make));
        assert_eq!(found(remembers(LEADER), Some(&carried), now), Ok(Step::Restore));
    }
    for carried in [Some(&carried), None] {
        assert_eq!(found(FOLLOWER, carried, 109), Err(Some(110)), "others may remember");
        assert_eq!(found(FOLLOWER, carried, 110), Ok(Step::Make));
    }
    for carried in [Some(&carried), Some(&Carried::default()), None] {
        assert_eq!(found(remembers(FOLLOWER), carried, 104), Err(Some(105)), "the leader may remember more");
        assert_eq!(found(remembers(FOLLOWER), carried, 105), Ok(Step::Restore));
    }
}

#[test]
fn what_somebody_put_there_is_never_written_not_even_when_it_has_ended() {
    for held in [Held::Theirs { signing: ca(1, 0), others: vec![ca(2, 0)] }, Held::Unusable("garbage".to_owned())] {
        for now in [0, 8_000, 12_000, 1_000_000] {
            assert_eq!(step(&held, &Carried::default(), LEADER, now), Err(None));
        }
    }
}

#[test]
fn a_ca_is_exchanged_step_by_step_and_each_has_its_time() {
    let mut held = Held::Ours(alone(ca(1, 0)));
    let carried = all_carry(&held);
    assert_eq!(step(&held, &carried, LEADER, 0), Err(Some(8_000)));
    assert_eq!(step(&held, &carried, LEADER, 7_999), Err(Some(8_000)));
    assert_eq!(step(&held, &carried, LEADER, 8_000), Ok(Step::Prepare));
    assert_eq!(step(&held, &carried, FOLLOWER, 8_000), Err(Some(12_000)));
    held = stepped(&held, Step::Prepare, &ca(2, 8_000), &TIMES, 8_000);
    assert_eq!(held.signing(), Some(&ca(1, 0)));
    assert_eq!(step(&held, &carried, LEADER, 8_010), Err(Some(12_000)), "nobody carries the next one yet");
    let carried = all_carry(&held);
    assert_eq!(step(&held, &carried, LEADER, 8_020), Ok(Step::Trust));
    held = stepped(&held, Step::Trust, &ca(2, 0), &TIMES, 8_020);
    assert_eq!(step(&held, &carried, LEADER, 8_079), Err(Some(8_080)));
    assert_eq!(step(&held, &carried, LEADER, 8_080), Ok(Step::Promote));
    assert_eq!(step(&held, &carried, FOLLOWER, 8_080), Err(Some(12_000)));
    held = stepped(&held, Step::Promote, &ca(2, 0), &TIMES, 8_080);
    assert_eq!(held.bundle(), [ca(2, 8_000), ca(1, 0)]);
    let retirement = 8_080 + 1_200 + 120;
    assert_eq!(step(&held, &carried, LEADER, 8_081), Err(Some(retirement)));
    assert_eq!(step(&held, &carried, LEADER, retirement), Ok(Step::Retire));
    held = stepped(&held, Step::Retire, &ca(2, 0), &TIMES, retirement);
    assert_eq!(held, Held::Ours(alone(ca(2, 8_000))));
    assert_eq!(step(&held, &carried, LEADER, retirement), Err(Some(16_000)));
}

#[test]
fn as_long_as_one_hook_lacks_the_next_ca_or_is_not_known_the_old_one_signs() {
    let noted = Ours { next: Some(ca(2, 8_000)), trusted_since: Some(8_000), ..alone(ca(1, 0)) };
    let held = Held::Ours(noted);
    let mut carried = all_carry(&held);
    carried.0.push(vec![ca(1, 0)]);
    assert_eq!(step(&held, &carried, LEADER, 9_000), Ok(Step::Distrust));
    assert_eq!(next(&held, None, LEADER, &TIMES, 9_000), Err(Some(12_000)));
    // A foreign CA besides does no harm, nor does another order.
    carried.0.pop();
    carried.0.push(vec![ca(9, 0), ca(2, 8_000), ca(1, 0)]);
    assert_eq!(step(&held, &carried, LEADER, 9_000), Ok(Step::Promote));
}

#[test]
fn a_note_from_the_future_is_written_anew() {
    let held = Held::Ours(Ours { next: Some(ca(2, 8_000)), trusted_since: Some(9_001), ..alone(ca(1, 0)) });
    assert_eq!(step(&held, &all_carry(&held), LEADER, 9_000), Ok(Step::Trust));
}

#[test]
fn a_ca_that_has_ended_is_replaced_at_once_and_by_the_leader_alone() {
    let only = Held::Ours(alone(ca(1, 0)));
    // The next one was there, but the cluster slept.
    let prepared = Held::Ours(Ours { next: Some(ca(2, 8_000)), ..alone(ca(1, 0)) });
    for (held, now, expected) in [(&only, 12_000, Step::Make), (&prepared, 12_000, Step::Promote), (&prepared, 20_000, Step::Make)] {
        for carried in [all_carry(held), Carried(vec![vec![]])] {
            assert_eq!(step(held, &carried, LEADER, now), Ok(expected));
            // Its clock may be days ahead.
            assert_eq!(step(held, &carried, FOLLOWER, now), Err(None));
            assert_eq!(step(held, &carried, Replica { remembers: true, ..FOLLOWER }, now + 100_000), Err(None));
        }
    }
}

#[test]
fn only_a_ca_that_all_hooks_carry_is_foretold() {
    let noted = Held::Ours(Ours { next: Some(ca(2, 8_000)), trusted_since: Some(8_100), ..alone(ca(1, 0)) });
    assert_eq!([1, 2, 3].map(|number| noted.foretells(&ca(number, 8_000))), [false, true, false]);
    assert!(!noted.foretells(&ca(1, 0)));
    let prepared = Held::Ours(Ours { next: Some(ca(2, 8_000)), ..alone(ca(1, 0)) });
    assert!(!prepared.foretells(&ca(2, 8_000)) && !Held::Nothing.foretells(&ca(2, 8_000)));
}

#[test]
fn others_that_somebody_added_stay() {
    let held = Held::Ours(Ours { others: vec![ca(9, 0)], ..alone(ca(1, 0)) });
    assert_eq!(step(&held, &all_carry(&held), LEADER, 100), Err(Some(8_000)));
}

fn signing<'a>(ca: &'a Certificate, bundle: &'a [Certificate]) -> Signing<'a> {
    Signing { ca, bundle, is_foretold: true, is_fresh: true, trusted_since: None }
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_and_by_an_old_picture_only_when_it_would_end() {
    let one = ca(1, 0);
    let leaf = Leaf { by: one.clone(), issued: 600, ends: 1_800 };
    let fresh = signing(&one, std::slice::from_ref(&one));
    let stale = Signing { is_fresh: false, ..fresh };
    let renewed = |signing, now| renews(Some(&leaf), &signing, &TIMES, now);
    assert_eq!([1_399, 1_400, 1_749, 1_750, 1_800].map(|now| renewed(fresh, now)), [false, true, true, true, true]);
    assert_eq!([1_399, 1_400, 1_749, 1_750, 1_800].map(|now| renewed(stale, now)), [false, false, false, true, true]);
    assert!(renews(None, &stale, &TIMES, 0));
}

#[test]
fn near_the_end_of_its_ca_a_leaf_is_not_renewed_over_and_over() {
    let one = ca(1, 0);
    let leaf = Leaf { by: one.clone(), issued: 11_900, ends: 12_000 };
    assert!(!renews(Some(&leaf), &signing(&one, std::slice::from_ref(&one)), &TIMES, 11_999));
    assert!(!renews(Some(&leaf), &signing(&one, std::slice::from_ref(&one)), &TIMES, 12_000), "a CA that has ended signs nothing");
    assert!(!renews(None, &signing(&one, std::slice::from_ref(&one)), &TIMES, 12_000));
}

#[test]
fn a_ca_that_was_exchanged_by_plan_signs_at_once_and_any_other_when_the_hooks_know_it() {
    let (old, new) = (ca(1, 0), ca(2, 0));
    let leaf = Leaf { by: old.clone(), issued: 0, ends: 1_200 };
    let both = [new.clone(), old.clone()];
    assert!(renews(Some(&leaf), &signing(&new, &both), &TIMES, 1));
    let given = Signing { is_foretold: false, ..signing(&new, &both) };
    assert!(!renews(Some(&leaf), &given, &TIMES, 1), "somebody named both, or the leader's clock is ahead; the hooks do not know yet");
    assert!(renews(Some(&leaf), &Signing { trusted_since: Some(10), ..given }, &TIMES, 70));
    let only = [new.clone()];
    let by_hand = |trusted_since, now| renews(Some(&leaf), &Signing { trusted_since, ..signing(&new, &only) }, &TIMES, now);
    assert!(!by_hand(None, 900) && !by_hand(Some(10), 69) && by_hand(Some(10), 70));
    assert!(by_hand(None, 1_150), "better than one that has ended");
    let ended = Leaf { by: Certificate { ends: 50, ..old }, ..leaf };
    assert!(renews(Some(&ended), &signing(&new, &only), &TIMES, 50));
}

#[test]
fn a_ca_of_tomorrow_takes_no_good_certificate_away() {
    let (old, tomorrow) = (ca(1, 0), ca(2, 5_000));
    let leaf = Leaf { by: old.clone(), issued: 0, ends: 1_200 };
    let both = [tomorrow.clone(), old];
    for now in [1, 900, 1_199] {
        assert!(!renews(Some(&leaf), &signing(&tomorrow, &both), &TIMES, now));
    }
    assert!(
        renews(Some(&leaf), &signing(&tomorrow, &both), &TIMES, 1_200),
        "one that is believed tomorrow is better than one that has ended"
    );
    assert!(renews(None, &signing(&tomorrow, &both), &TIMES, 1));
}
