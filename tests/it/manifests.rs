//! What is committed under `manifests/` is what would be rendered, and is what a cluster takes.

use std::path::Path;

use outrigger::manifests::{Rendering, check, write};

/// `UPDATE=1 cargo test` renders them anew.
#[test]
fn what_is_committed_is_what_would_be_rendered() {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    if std::env::var_os("UPDATE").is_some() {
        write(&Rendering::default(), &out).unwrap();
    }
    assert_eq!(check(&Rendering::default(), &out).unwrap(), []);
}
