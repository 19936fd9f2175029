use super::*;
use crate::plan::{Kind, Target};

fn event(name: &str, note: &str, is_warning: bool) -> Event {
    because("Reason", name, note, is_warning)
}

fn because(reason: &'static str, name: &str, note: &str, is_warning: bool) -> Event {
    let about = Target { kind: Kind::POD, namespace: "shop".to_owned(), name: name.to_owned(), uid: "u".to_owned() };
    Event { by: "tests", about, is_warning, reason, note: note.to_owned() }
}

fn new(name: &str) -> Telling {
    Telling::New(name.to_owned())
}

#[test]
fn the_same_of_the_same_object_is_told_once_and_then_counted() {
    let (mut told, start) = (Told::default(), Instant::now());
    let warning = event("a", "one", true);
    assert_eq!(told.look(&warning, start, || "n1".to_owned()), new("n1"));
    assert_eq!(told.look(&event("b", "one", true), start, || "n2".to_owned()), new("n2"));
    for _ in 0..5 {
        assert_eq!(told.look(&warning, start + Duration::from_secs(1), || panic!("it has a name")), Telling::Counted);
    }
    assert_eq!(told.look(&warning, start + AGAIN_AFTER, || panic!("it has a name")), Telling::Again("n1".to_owned(), 7));
    assert_eq!(told.look(&warning, start + AGAIN_AFTER, || panic!("it has a name")), Telling::Counted);
    assert_eq!(told.look(&warning, start + AGAIN_AFTER + FORGET_AFTER, || "n3".to_owned()), new("n3"), "it is forgotten");
}

#[test]
fn warnings_that_take_turns_are_two_and_what_is_so_again_is_news() {
    let (mut told, now) = (Told::default(), Instant::now());
    let mut look = |note, is_warning| told.look(&event("a", note, is_warning), now, || note.to_owned());
    assert_eq!(
        [look("p", true), look("q", true), look("p", true), look("q", true)],
        [new("p"), new("q"), Telling::Counted, Telling::Counted]
    );
    assert_eq!([look("r", false), look("s", false), look("r", false)], [new("r"), new("s"), new("r")]);
}

#[test]
fn a_number_that_changes_makes_no_new_event() {
    let (mut told, now) = (Told::default(), Instant::now());
    for is_warning in [false, true] {
        let mut look = |note: &str| told.look(&event("a", note, is_warning), now, || note.to_owned());
        assert_eq!(look("3 pods of 10/10 (30%) wait"), new("3 pods of 10/10 (30%) wait"));
        assert_eq!([look("4 pods of 9/10 (44%) wait"), look("3 pods of 10/10 (30%) wait")], [Telling::Counted, Telling::Counted]);
    }
}

#[test]
fn names_are_told_apart_by_their_numbers() {
    assert_eq!(words("web-1 of shop/2b, \"7\", 12 of them: 3/4."), "web-1 of shop/2b, \"7\", # of them: #");
    assert_eq!(words("no number: - / %"), "no number: - / %");
}

/// So many words, none of them a number.
fn word(number: usize) -> String {
    format!("w{number}")
}

#[test]
fn an_object_has_only_so_many_events_for_a_reason() {
    let (mut told, now) = (Told::default(), Instant::now());
    let mut look = |number: usize, at| told.look(&event("a", &word(number), true), at, String::new);
    assert!((0..MOST).all(|number| look(number, now) == new("")));
    assert_eq!(look(MOST, now), Telling::Dropped);
    assert_eq!(look(0, now), Telling::Counted);
    assert_eq!(look(MOST, now + FORGET_AFTER), new(""));
}

#[test]
fn a_reason_that_comes_in_many_words_hides_no_other_one() {
    let (mut told, now) = (Told::default(), Instant::now());
    for number in 0..=MOST {
        told.look(&because("Noisy", "a", &word(number), true), now, String::new);
    }
    assert_eq!(told.look(&because("Noisy", "a", "more", true), now, String::new), Telling::Dropped);
    assert_eq!(told.look(&because("Grave", "a", "look here", true), now, || "n".to_owned()), new("n"));
}

#[test]
fn an_event_that_is_gone_is_new_when_it_happens_next() {
    let (mut told, now) = (Told::default(), Instant::now());
    told.look(&event("a", "one", true), now, || "n1".to_owned());
    told.forget("n1");
    assert_eq!(told.look(&event("a", "one", true), now, || "n2".to_owned()), new("n2"));
}

#[test]
fn what_could_not_be_told_is_told_when_it_happens_next_though_not_at_once() {
    let (mut told, now) = (Told::default(), Instant::now());
    told.look(&event("a", "one", true), now, || "n1".to_owned());
    told.failed("n1", Open::New);
    let mut look = |at| told.look(&event("a", "one", true), at, || panic!("it has a name"));
    assert_eq!(look(now + RETRY_AFTER / 2), Telling::Counted);
    assert_eq!(look(now + RETRY_AFTER), new("n1"));
    assert_eq!(look(now + RETRY_AFTER * 2), Telling::Counted, "it is told now");
    assert_eq!(look(now + RETRY_AFTER + AGAIN_AFTER), Telling::Again("n1".to_owned(), 5));
}

#[test]
fn a_count_that_could_not_be_told_is_told_as_soon_as_an_event_would_be() {
    let (mut told, now) = (Told::default(), Instant::now());
    told.look(&event("a", "one", true), now, || "n1".to_owned());
    let again = |count| Telling::Again("n1".to_owned(), count);
    let look = |told: &mut Told, at| told.look(&event("a", "one", true), at, || panic!("it has a name"));
    let first = now + AGAIN_AFTER;
    assert_eq!(look(&mut told, first), again(2));
    told.failed("n1", Open::Again);
    assert_eq!(look(&mut told, first + RETRY_AFTER / 2), Telling::Counted);
    assert_eq!(look(&mut told, first + RETRY_AFTER), again(4));
    assert_eq!(look(&mut told, first + RETRY_AFTER * 2), Telling::Counted, "it is told now");
}

#[test]
fn a_namespace_that_refuses_events_is_left_alone_for_a_while() {
    let (mut told, now) = (Told::default(), Instant::now());
    told.look(&event("a", "one", true), now, || "n1".to_owned());
    told.failed("n1", Open::New);
    told.refused("shop", now);
    let soon = now + SILENT_FOR - Duration::from_secs(1);
    let elsewhere = Event { about: Target { namespace: "other".to_owned(), ..event("c", "", true).about }, ..event("c", "", true) };
    assert_eq!(told.look(&event("a", "one", true), soon, || panic!("it has a name")), Telling::Counted);
    assert_eq!(told.look(&event("b", "one", true), soon, || panic!("it is not told")), Telling::Dropped);
    assert_eq!(told.look(&elsewhere, soon, || "n2".to_owned()), new("n2"));
    let later = now + SILENT_FOR;
    assert_eq!(told.look(&event("a", "one", true), later, || panic!("it has a name")), new("n1"));
    assert_eq!(told.look(&event("b", "one", true), later, || "n3".to_owned()), new("n3"), "it was not remembered");
}

#[test]
fn what_was_told_long_ago_is_forgotten() {
    let (mut told, now) = (Told::default(), Instant::now());
    for (round, at) in [now, now + FORGET_AFTER, now + FORGET_AFTER * 2].into_iter().enumerate() {
        for number in 0..MANY {
            told.look(&event(&format!("{round}-{number}"), "", true), at, String::new);
        }
    }
    assert!(told.topics.len() <= MANY && told.causes.len() <= MANY, "{} {}", told.topics.len(), told.causes.len());
}

#[test]
fn what_is_remembered_is_bounded_and_room_comes_with_time() {
    let (mut told, now) = (Told::default(), Instant::now());
    let mut look = |number: usize, at| told.look(&event(&word(number), "", true), at, String::new);
    assert!((0..MOST_OF_ALL).all(|number| look(number, now) == new("")));
    assert_eq!((look(MOST_OF_ALL, now), look(0, now)), (Telling::Dropped, Telling::Counted));
    assert_eq!(look(MOST_OF_ALL, now + FORGET_AFTER), new(""));
}
