#!/usr/bin/env bash
# Build OpenSLO's command line, which says whether a file is valid, for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=oslo
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

# The go command checks it against the checksum database; the sum here also holds without one.
oslo=github.com/OpenSLO/oslo@v0.12.0
oslo_sum='h1:0zdxMgFE59TUKpe/L4+5ujgmJZW/kAuCOJbyqrTX4lc='

about() {
  cat <<TEXT
Builds oslo ${oslo#*@v}, which checks files against the OpenSLO specification:

  $bin_dir/$program

from its Go module. Needs Go 1.23 or newer and the Go module proxy. The first time takes about a minute.
TEXT
}

options "$@"
unless_current "$here/build.sh"
need_go 1.23
workplace

say "fetching the source"
printf 'module sources\n\ngo 1.23\n' >"$work/go.mod"
facts=$(cd "$work" && clean_env GOFLAGS=-mod=mod go mod download -json "$oslo")
sum=$(sed -n 's/^[[:space:]]*"Sum": "\(.*\)",\{0,1\}$/\1/p' <<<"$facts")
[ "$sum" = "$oslo_sum" ] || { say "$oslo has the checksum '$sum' instead of '$oslo_sum'"; exit 1; }
source_dir=$(sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$facts")

say "compiling"
clean_env CGO_ENABLED=0 GOFLAGS=-mod=readonly \
  go build -C "$source_dir" -v -trimpath -buildvcs=false -ldflags='-s -w' -o "$work/$program" ./cmd/oslo 2>&1 | progress

finish "$work/$program"
