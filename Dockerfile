# chatpass: one static binary, nothing else. No shell, no package manager, no root.
#
#   docker build -t chatpass .
#   docker run -p 8080:8080 -v ./deploy:/etc/chatpass:ro -v chatpass:/var/lib/chatpass chatpass

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /root-fs/chatpass ./cmd/chatpass
RUN mkdir -p /root-fs/etc/ssl/certs /root-fs/var/lib/chatpass \
 && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
 && chown 65532:65532 /root-fs/var/lib/chatpass

FROM scratch
COPY --from=build /root-fs/ /
USER 65532:65532
VOLUME /var/lib/chatpass
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s CMD ["/chatpass", "health", "-c", "/etc/chatpass/chatpass.yaml"]
ENTRYPOINT ["/chatpass"]
CMD ["serve", "-c", "/etc/chatpass/chatpass.yaml"]
