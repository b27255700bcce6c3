# A server with Corral; compiles nothing: make dist && docker build -t redis-corral .
# For Valkey: --build-arg SERVER=valkey/valkey:9.1
# For Alpine: --build-arg SERVER=redis:8.2-alpine --build-arg FILE=target/dist/x86_64-musl/libcorral.so
ARG SERVER=redis:8.2-bookworm
FROM ${SERVER}
ARG FILE=target/dist/libcorral.so
# Not where the image keeps modules of its own: what lies there may be loaded unasked, and then a second time.
COPY --chmod=755 ${FILE} /opt/corral/libcorral.so
COPY LICENSE LICENSE-MIT LICENSE-APACHE /opt/corral/
# Both images start what is given as a command. With other options, or on an image of Valkey, give the whole of it:
# docker run valkey-corral valkey-server --loadmodule /opt/corral/libcorral.so --maxmemory 1gb
CMD ["redis-server", "--loadmodule", "/opt/corral/libcorral.so"]
