#!/usr/bin/env bash
# Build a FerretDB server, which speaks MongoDB's wire protocol, for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=ferretdb
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

about() {
  cat <<TEXT
Builds the server that the tests of MongoChest write to:

  $bin_dir/$program

from main.go, go.mod and go.sum beside this script: FerretDB 1.24 as a library, with its SQLite back end. Needs Go
1.25 or newer and the Go module proxy. The first time takes 1 to 5 minutes.
TEXT
}

options "$@"
unless_current "$here/build.sh" "$here/main.go" "$here/go.mod" "$here/go.sum"
need_go "$(awk '$1 == "go" { print $2 }' "$here/go.mod")"
workplace

say "compiling"
cp -- "$here/main.go" "$here/go.mod" "$here/go.sum" "$work/"
(cd "$work" && clean_env CGO_ENABLED=0 GOFLAGS=-mod=readonly \
  go build -v -trimpath -buildvcs=false -tags ferretdb_no_postgresql -ldflags='-s -w' -o "$program" . 2>&1 | progress)

finish "$work/$program"
