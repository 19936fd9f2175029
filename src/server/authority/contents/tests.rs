use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;
use crate::server::authority::{issue, plan::tests::stepped};

const TIMES: Times = Times { ca: 12_000, leaf: 1_200, settle: 60 };
const START: Moment = 1_763_795_520;

fn held(contents: &Contents) -> Held {
    contents.read().held
}

fn made(now: Moment) -> Made {
    issue::authority(&TIMES, START + now).unwrap()
}

fn with_new(made: &Made) -> Means<'_> {
    Means { made: Some(made), ..Means::default() }
}

static FIRST: LazyLock<Contents> = LazyLock::new(|| Contents::default().after(Step::Make, with_new(&made(0)), &TIMES, START));

fn with(contents: &Contents, name: &str, value: &[u8]) -> Contents {
    let mut changed = contents.clone();
    changed.data.insert(name.to_owned(), value.to_vec());
    changed
}

#[test]
fn a_whole_exchange_is_written_as_it_is_meant() {
    let mut contents = Contents { annotations: [("team".to_owned(), "mesh".to_owned())].into(), ..Contents::default() };
    contents.data.insert("note".to_owned(), Vec::new());
    let mut expected = Held::Nothing;
    let steps =
        [Step::Make, Step::Prepare, Step::Trust, Step::Distrust, Step::Trust, Step::Promote, Step::Prepare, Step::Retire, Step::Make];
    for (number, step) in (0..).zip(steps) {
        let (made, now) = (made(number * 10), START + number * 10);
        contents = contents.after(step, with_new(&made), &TIMES, now);
        expected = stepped(&expected, step, &made.certificate, &TIMES, now);
        let read = contents.read();
        assert_eq!(read.held, expected, "after {step:?}");
        assert_eq!(read.signer.unwrap().certificate(), expected.signing().unwrap());
        let bundle = certificates(&contents.data["ca.crt"]).unwrap();
        assert_eq!(bundle.len(), expected.bundle().len());
        assert!(bundle.iter().all(|one| expected.bundle().contains(one)) && Some(&bundle[0]) == expected.signing());
    }
    assert_eq!(contents.annotations["team"], "mesh");
    assert!(contents.data.contains_key("note"));
}

#[test]
fn a_deleted_secret_is_put_back_with_the_next_ca_beside_it() {
    let next = made(20);
    let emptied = [BUNDLE, KEY, NEXT, NEXT_KEY].map(|name| (name, ""));
    for gone in [Contents::default(), secret(&emptied)] {
        let restored = gone.after(Step::Restore, Means { made: Some(&next), before: Some(&FIRST) }, &TIMES, START + 20);
        let Held::Ours(ours) = held(&restored) else { panic!("{restored:?}") };
        assert_eq!((Some(&ours.signing), ours.next.as_ref()), (held(&FIRST).signing(), Some(&next.certificate)));
    }
}

#[test]
fn of_a_deleted_secret_all_is_put_back_that_was_trusted_and_the_next_ca_that_was_there() {
    let mut before = with(&FIRST, "note", b"kept");
    for (number, step) in (1..).zip([Step::Prepare, Step::Promote, Step::Prepare, Step::Trust]) {
        before = before.after(step, with_new(&made(number)), &TIMES, START + number);
    }
    assert!(!Contents::wants_new(Step::Restore, Some(&before)));
    for made in [None, Some(&made(20))] {
        let restored = Contents::default().after(Step::Restore, Means { made, before: Some(&before) }, &TIMES, START + 20);
        let (Held::Ours(ours), Held::Ours(was)) = (held(&restored), held(&before)) else { panic!("{restored:?}") };
        assert_eq!((was.others.len(), was.next.is_some(), was.trusted_since), (1, true, Some(START + 4)));
        assert_eq!(ours, Ours { trusted_since: None, ..was }, "whether hooks carry it is asked anew");
        assert_eq!(restored.data, before.data);
    }
}

#[test]
fn a_new_ca_is_made_only_for_steps_that_put_one_there() {
    let wanting = [Step::Make, Step::Restore, Step::Prepare, Step::Trust, Step::Distrust, Step::Promote, Step::Retire]
        .into_iter()
        .filter(|step| Contents::wants_new(*step, Some(&FIRST)));
    assert_eq!(wanting.collect::<Vec<_>>(), [Step::Make, Step::Restore, Step::Prepare]);
}

#[test]
fn what_is_printed_shows_no_key() {
    let shown = format!("{:?}", *FIRST);
    assert!(shown.contains("ca.key") && shown.contains("self-managed"), "{shown}");
    let bytes = format!("{:?}", FIRST.data[KEY]);
    assert!(!shown.contains("PRIVATE") && !shown.contains(&bytes[1..40]), "{shown}");
}

#[test]
fn a_ca_that_has_ended_is_trusted_on_for_a_while_for_our_clock_may_be_wrong() {
    let (first, now) = (held(&FIRST), START + 12_001);
    let prepared = FIRST.after(Step::Prepare, with_new(&made(8_000)), &TIMES, START + 8_000);
    let promoted = prepared.after(Step::Promote, Means::default(), &TIMES, now);
    let replaced = FIRST.after(Step::Make, with_new(&made(12_001)), &TIMES, now);
    for after in [promoted, replaced] {
        let Held::Ours(ours) = held(&after) else { panic!("{after:?}") };
        assert_eq!((ours.others.as_slice(), ours.next), (first.bundle().as_slice(), None));
        assert_eq!(ours.others_until, Some(now + TIMES.farewell()));
        let Held::Ours(ours) = held(&after.after(Step::Retire, Means::default(), &TIMES, now + TIMES.farewell())) else { panic!() };
        assert_eq!((ours.others, ours.others_until), (vec![], None));
    }
}

#[test]
fn empty_is_nothing_and_all_else_is_something() {
    assert_eq!(held(&Contents::default()), Held::Nothing);
    assert_eq!(held(&with(&Contents::default(), "ca.crt", b"")), Held::Nothing);
    let mut marked = Contents::default();
    marked.annotations.insert(OURS.to_owned(), "self-managed".to_owned());
    assert_eq!(held(&marked), Held::Nothing);
}

#[test]
fn garbage_is_unusable_and_says_where() {
    let other = made(5);
    let prepared = FIRST.after(Step::Prepare, with_new(&other), &TIMES, START);
    let mut late = FIRST.clone();
    late.annotations.insert(TRUSTED_SINCE.to_owned(), "soon".to_owned());
    let mut no_key = FIRST.clone();
    no_key.data.remove("ca.key");
    for (contents, why) in [
        (with(&FIRST, "ca.crt", b"garbage"), "ca.crt: expected PEM with certificates, found none"),
        (with(&FIRST, "ca.crt", b""), "ca.crt: expected PEM with certificates, found none"),
        (with(&FIRST, "ca.key", b"garbage"), "ca.key: expected PEM with a private key"),
        (with(&FIRST, "ca.key", &[0xff, 0xfe]), "ca.key: expected PEM with a private key"),
        (with(&FIRST, "ca.key", other.key.as_bytes()), "ca.key: the private key is not that of the certificate"),
        (with(&prepared, "next.key", b""), "next.key: expected PEM with a private key"),
        (with(&prepared, "next.crt", b"x"), "next.crt: expected PEM"),
        (no_key, "expected a member ca.key, found none"),
        (late, "annotation outrigger.kruise.io/next-trusted-since: expected a time as 2026-12-31T12:00:00Z, found \"soon\""),
        (
            with(&Contents::default(), "password", b"secret"),
            "expected a member tls.crt, found none; a Secret for a CA has ca.crt with ca.key",
        ),
    ] {
        let Held::Unusable(found) = held(&contents) else { panic!("{why}: {contents:?}") };
        assert!(found.starts_with(why), "expected {why}\nfound {found}");
        assert!(!found.contains("PRIVATE"), "{found}");
    }
}

/// A root, and a CA below it, each with its key.
fn theirs() -> [(String, String); 2] {
    let params = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = params("their root").self_signed(&root_key).unwrap();
    let below = params("their CA").signed_by(&key, &Issuer::new(params("their root"), &root_key)).unwrap();
    [(root.pem(), root_key.serialize_pem()), (below.pem(), key.serialize_pem())]
}

fn secret(members: &[(&str, &str)]) -> Contents {
    let data = members.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    Contents { data, ..Contents::default() }
}

#[test]
fn a_ca_of_others_is_used_in_both_forms_and_a_chain_is_sent_along() {
    let [(root, root_key), (below, key)] = theirs();
    let [root_itself, itself] = [&root, &below].map(|pem| certificates(pem.as_bytes()).unwrap().remove(0));
    let plain = secret(&[("ca.crt", &root), ("ca.key", &root_key)]);
    assert_eq!(held(&plain), Held::Theirs { signing: root_itself.clone(), others: vec![] });
    let by_cert_manager = secret(&[("tls.crt", &below), ("tls.key", &key), ("ca.crt", &root)]).read();
    assert_eq!(by_cert_manager.held, Held::Theirs { signing: itself, others: vec![root_itself] });
    let names = ["outrigger-webhook.own.svc".to_owned(), "127.0.0.1".to_owned()];
    let (_, pem) = by_cert_manager.signer.unwrap().leaf(&names, &TIMES, START).unwrap();
    let sent = String::from_utf8(pem.chain).unwrap();
    assert_eq!(sent.matches("BEGIN CERTIFICATE").count(), 2, "{sent}");
    let (_, pem) = plain.read().signer.unwrap().leaf(&names, &TIMES, START).unwrap();
    assert_eq!(String::from_utf8(pem.chain).unwrap().matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn a_certificate_that_may_not_sign_is_no_ca() {
    let key = KeyPair::generate().unwrap();
    let plain = CertificateParams::new(vec!["shop".to_owned()]).unwrap().self_signed(&key).unwrap();
    let contents = secret(&[("tls.crt", &plain.pem()), ("tls.key", &key.serialize_pem())]);
    let Held::Unusable(why) = held(&contents) else { panic!("{contents:?}") };
    assert!(why.contains("found one that is none (basicConstraints)"), "{why}");
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
    let contents = secret(&[("ca.crt", &params.self_signed(&key).unwrap().pem()), ("ca.key", &key.serialize_pem())]);
    let Held::Unusable(why) = held(&contents) else { panic!("{contents:?}") };
    assert!(why.contains("(keyUsage)"), "{why}");
}
