# What CI does.
check:
    .ci/run

# A server over the examples, on the default ports.
serve:
    cargo run --release -- serve --from manifests/examples

# Manifests and the test that compares them.
manifests:
    cargo run -- manifests --out manifests
