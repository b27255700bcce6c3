# A server with Corral: docker build -t redis-corral .
# The server's image must be as new as bookworm: the module needs that C library or a newer one.
ARG SERVER=redis:8.2-bookworm

FROM rust:1-bookworm AS build
# The build reads the module interface of Redis with libclang.
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /corral
COPY . .
RUN cargo build --release --locked -p corral && chmod 755 target/release/libcorral.so

FROM ${SERVER}
# Not where the image keeps modules of its own: what lies there may be loaded unasked, and then a second time.
COPY --from=build /corral/target/release/libcorral.so /opt/corral/libcorral.so
COPY LICENSE LICENSE-MIT LICENSE-APACHE /opt/corral/
# With other options, or on an image of Valkey, give the whole command:
# docker run redis-corral valkey-server --loadmodule /opt/corral/libcorral.so --maxmemory 1gb
CMD ["redis-server", "--loadmodule", "/opt/corral/libcorral.so"]
