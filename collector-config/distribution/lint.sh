#!/usr/bin/env bash
# Look at guard/ with gofmt and go vet, and run its tests; where there is no Go, say so. With the flags of build.sh, so that
# what one has compiled serves the other.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
command -v go >/dev/null || { echo "Go is not installed: the guard in Go is not looked at"; exit 0; }

unformatted=$(gofmt -l guard)
[ -z "$unformatted" ] || { echo "type: gofmt -w $unformatted" >&2; exit 1; }
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
go vet ./guard/...
go test ./guard/...
