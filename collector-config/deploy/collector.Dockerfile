# The bundled collector, which loses nothing to a full disk or to a target that refuses. In the repository's root:
#
#     docker build --file collector-config/deploy/collector.Dockerfile --tag flask-chest-collector:0.1.0 .
FROM golang:1.26 AS build
# Where Go's modules come from, if not from the public proxy.
ARG GOPROXY=https://proxy.golang.org,direct
WORKDIR /src
COPY collector-config/distribution collector-config/distribution
RUN collector-config/distribution/build.sh && install --directory --owner 10001 --group 10001 /queue

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/.build/bin/flask-chest-collector /flask-chest-collector
# A new volume takes over the folder's owner.
COPY --from=build --chown=10001:10001 /queue /var/lib/flask-chest/queue
USER 10001:10001
EXPOSE 4317 4318 8888 13133
ENTRYPOINT ["/flask-chest-collector"]
