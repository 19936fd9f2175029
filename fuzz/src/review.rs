//! A body as it comes: read as a review, and decided by every hook.

use outrigger::{
    admission::review,
    handlers::{TABLE, convert},
};

use super::{
    choices::Choices,
    cluster::{NOW, check, cluster, decide},
};

/// Takes a body.
pub fn run(body: &[u8]) {
    if let Ok(converted) = convert::answer(body) {
        serde_json::from_slice::<serde_json::Value>(&converted.response).unwrap();
    }
    let Ok(request) = review::read(body) else { return };
    let cluster = cluster();
    for hook in TABLE {
        let decision = decide(hook, &request, cluster, &mut Choices::new(&[]), NOW);
        check(&request, &decision);
    }
}
