# The images of dmrelay. BuildKit is not required (without it all stages are built, with it only those in use), and
# only the base images and the crates of Cargo.lock are downloaded.
#
#   docker build -t dmrelay:local .                                 dmrelay-api and dmrelay-worker
#   docker build -t dmrelay-simulator:local --target simulator .    the simulated Meta and Retell, for the demo

# Both can be replaced by a mirror. Distroless has no version tags, so a digest pins it; to get a newer one:
#   docker buildx imagetools inspect gcr.io/distroless/cc-debian12:nonroot
ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

# --- The workspace without its code --------------------------------------------------------------------------

# The manifests, with an empty file in place of each crate's root. This stage runs on every change but takes a moment;
# its result is the same until a manifest changes, so the next stage is found in the cache.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name lib.rs ! -name main.rs -delete \
    && find . -name lib.rs -exec sh -c 'for root; do echo "//! Empty." > "$root"; done' sh {} + \
    && find . -name main.rs -exec sh -c 'for root; do printf "//! Empty.\nfn main() { }\n" > "$root"; done' sh {} + \
    && find . -type d -empty -delete

# --- Dependencies --------------------------------------------------------------------------------------------

FROM ${RUST_IMAGE} AS dependencies
WORKDIR /src
COPY --from=manifests /src .
# `otlp` exports spans to an OpenTelemetry collector (OTLP_ENDPOINT).
ARG FEATURES=
# Three quarters of the image would be line numbers for backtraces. A panic reports its location without them.
ENV CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=debuginfo
# Removes the results of the empty files: Cargo detects changes by file times, and the real sources may be
# older than this.
RUN cargo build --release --locked -p dmrelay-api -p dmrelay-worker --features "${FEATURES}" \
    && find target -name '*dmrelay*' -prune -exec rm -rf {} +

# --- The simulator, for the demo -----------------------------------------------------------------------------

# In a separate build: together with the other two, its features would be unified with theirs.
FROM ${RUST_IMAGE} AS simulator-build
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --release --locked -p dmrelay-simulator && find target -name '*dmrelay*' -prune -exec rm -rf {} +
COPY . .
RUN cargo build --release --locked -p dmrelay-simulator

# Based on the build image, which exists already, and has curl for the health check and for deploy/demo.sh.
FROM ${RUST_IMAGE} AS simulator
COPY --from=simulator-build /src/target/release/dmrelay-simulator /usr/local/bin/
USER 65532:65532
EXPOSE 4010
ENV SIMULATOR_ADDR=0.0.0.0:4010
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:4010/_sim"]
CMD ["/usr/local/bin/dmrelay-simulator"]

# --- dmrelay -------------------------------------------------------------------------------------------------

FROM dependencies AS build
COPY . .
# In dmrelay_build_info, --version and the first log line.
ARG REVISION=unknown
ENV DMRELAY_COMMIT=${REVISION}
RUN cargo build --release --locked -p dmrelay-api -p dmrelay-worker --features "${FEATURES}"
# The mount point of the volume of media, which takes over its owner.
RUN mkdir /media

# No shell or package manager: the C library, root certificates (Meta and Retell are called over TLS) and time zones.
# The last stage, so that a build without --target builds this one.
FROM ${RUNTIME_IMAGE} AS dmrelay
COPY --from=build /src/target/release/dmrelay-api /src/target/release/dmrelay-worker /usr/local/bin/
COPY --from=build --chown=65532:65532 /media /var/lib/dmrelay/media
# By number, so that Kubernetes can see that it is not root. It is distroless' `nonroot`.
USER 65532:65532
ENV API_ADDR=0.0.0.0:8080 METRICS_ADDR=0.0.0.0:9090 LOG_FORMAT=json MEDIA_STORE=/var/lib/dmrelay/media
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# Queries METRICS_ADDR, which also works for a worker run from this image.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["/usr/local/bin/dmrelay-api", "health"]
CMD ["/usr/local/bin/dmrelay-api"]

# At the end: a new commit changes only these lines.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dmrelay" \
      org.opencontainers.image.description="Answers Instagram direct messages with a chat agent: API and worker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
