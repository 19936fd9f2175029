# The binary and the C library that it needs, nothing else: no shell, no package manager, no root.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY tests tests
# `--build-arg FEATURES=otlp`: traces.
ARG FEATURES=""
RUN cargo build --release --locked --bin outrigger --features "$FEATURES"
RUN mkdir -p /image/usr/bin \
 && cp target/release/outrigger /image/usr/bin/outrigger \
 && ldd target/release/outrigger | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
EXPOSE 9443 8080
ENTRYPOINT ["/usr/bin/outrigger"]
CMD ["serve"]
