//! Reviews that are reviews, with members that nobody expects.

use outrigger::{admission::review, handlers::TABLE};

use super::{
    choices::Choices,
    cluster::{NOW, check, cluster, decide},
};

/// Takes a choice of a review, then choices of what is changed in it.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let cluster = cluster();
    let mut body = cluster.reviews[choices.below(cluster.reviews.len())].clone();
    let path = body["path"].as_str().unwrap_or_default().to_owned();
    if choices.yes() {
        choices.mutate(&mut body["request"]["object"]);
    }
    if choices.yes() {
        choices.mutate(&mut body["request"]["oldObject"]);
    }
    if choices.yes() {
        choices.mutate(&mut body["request"]);
    }
    let is_everywhere = choices.byte() == 255;
    let body = body.to_string();
    let Ok(request) = review::read(body.as_bytes()) else { return };
    for hook in TABLE.iter().filter(|hook| is_everywhere || hook.path == path) {
        let decision = decide(hook, &request, cluster, &mut choices, NOW);
        check(&request, &decision);
    }
}
