#!/usr/bin/env bash
# Build a FerretDB server, which speaks MongoDB's wire protocol, for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=ferretdb
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

usage() {
  cat <<TEXT
Usage: build.sh [--force]

Builds the server that the tests of MongoChest write to:

  $bin_dir/$program

from main.go, go.mod and go.sum beside this script: FerretDB 1.24 as a library, with its SQLite back end. Needs Go
1.25 or newer and the Go module proxy. The first time takes 1 to 5 minutes. When nothing has changed there is
nothing to do; the result is also kept in $cache_dir, where other checkouts find it.

  --force   build, whether something has changed or not
  --help    this text

Exit status: 0 the server is there, $EXIT_MISSING something has to be installed first, else the build failed.
TEXT
}

force=
case ${1:-} in
  '') ;;
  --force) force=1 ;;
  --help | -h) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

hash=$(inputs_hash "$here/build.sh" "$here/main.go" "$here/go.mod" "$here/go.sum")
one_at_a_time
if [ -z "$force" ] && is_current "$hash"; then exit 0; fi
need_go "$(awk '$1 == "go" { print $2 }' "$here/go.mod")"

work=$(mktemp -d "$repository/.build/$program.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
started=$SECONDS

say "compiling"
cp -- "$here/main.go" "$here/go.mod" "$here/go.sum" "$work/"
(cd "$work" && clean_env CGO_ENABLED=0 GOFLAGS=-mod=readonly \
  go build -v -trimpath -buildvcs=false -tags ferretdb_no_postgresql -ldflags='-s -w' -o "$program" . 2>&1 | progress)

keep "$hash" "$work/$program"
say "built in $((SECONDS - started)) s: $bin_dir/$program"
