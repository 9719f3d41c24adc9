# syntax=docker/dockerfile:1

# Coffer's server and command line, in an image that holds nothing else: no shell, no package manager, no root.
# Run it with a read-only root file system: all that it writes is below /var/lib/coffer, and once, by `init`, the root key
# below /var/lib/coffer-seal. Both are there with their owner, so that a new volume gets it.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --workspace --exclude bench --exclude coffer-fuzz \
    && install -D -m 0755 target/release/coffer-server target/release/coffer --target-directory=/image/usr/local/bin \
    && install -d -m 0700 -o 65532 -g 65532 /image/var/lib/coffer /image/var/lib/coffer-seal

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/usr/local/bin/ /usr/local/bin/
COPY --from=build --chown=65532:65532 /image/var/lib/ /var/lib/
USER 65532:65532
WORKDIR /var/lib/coffer
VOLUME ["/var/lib/coffer", "/var/lib/coffer-seal"]
EXPOSE 8200
ENV COFFER_CONFIG=/etc/coffer/coffer.toml
# SIGTERM: what has begun ends, the log is closed, and then the process.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=15s --retries=3 \
    CMD ["/usr/local/bin/coffer-server", "health"]
ENTRYPOINT ["/usr/local/bin/coffer-server"]
CMD ["serve"]
