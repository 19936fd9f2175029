//! A server that only watches finds out what would be, and takes nothing.

use super::world::{READ, WRITE, World};

#[tokio::test(start_paused = true)]
async fn a_shadow_judges_what_is_there_now_and_sends_only_reads() {
    let world = World::new(1);
    let shadow = world.replica().watching();
    for pod in ["web-1", "web-2", "web-1"] {
        shadow.evict(pod).await.unwrap();
    }
    // Another one takes what there is; no watch tells.
    world.hold_watches();
    world.replica().evict("web-1").await.unwrap();
    let asked = world.server.asked().len();
    shadow.evict("web-1").await.unwrap();
    assert_eq!(shadow.evict("web-2").await.unwrap_err().code, 429, "what the other one took counts");
    shadow.at_rest().await;
    let written: Vec<_> = world.server.asked().into_iter().skip(asked).filter(crate::api_server::Asked::writes).collect();
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(world.count(WRITE), 1, "the other one's");
    assert!(world.count(READ) >= 5 && world.count("POST events") == 0);
    assert_eq!(world.stored().recorded().len(), 1);
}
