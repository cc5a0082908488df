# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Named one by one, so that no local file (.env, ./data) gets into the build.
COPY Cargo.toml Cargo.lock ./
COPY api ./api
COPY worker ./worker
COPY entity ./entity
COPY migration ./migration
COPY crates ./crates
COPY tests ./tests
COPY bench ./bench
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p dmrelay-api -p dmrelay-worker \
    && install -D -t /out target/release/dmrelay-api target/release/dmrelay-worker

FROM debian:bookworm-slim
# The root certificates: Meta and Retell are called over TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin dmrelay
COPY --from=build /out/ /usr/local/bin/
USER 10001
ENV API_ADDR=0.0.0.0:8080 METRICS_ADDR=0.0.0.0:9090 LOG_FORMAT=json
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
CMD ["dmrelay-api"]
