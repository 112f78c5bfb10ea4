#!/usr/bin/env bash
# Build the bundled OpenTelemetry Collector: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=flask-chest-collector
builder=go.opentelemetry.io/collector/cmd/builder@v0.158.0
# shellcheck source=lib.sh
. "$here/lib.sh"

usage() {
  cat <<TEXT
Usage: build.sh [--force]

Builds the OpenTelemetry Collector with every component that collector-config/*.yaml uses:

  $bin_dir/$program

from builder.yaml, go.mod and go.sum beside this script, with Go 1.25 or newer and the Go module proxy. The first
time takes 3 to 10 minutes and 3 GB of Go caches. When nothing has changed there is nothing to do; the result is
also kept in $cache_dir, where other checkouts find it.

  --force   build, whether something has changed or not
  --help    this text

Exit status: 0 the collector is there, $EXIT_MISSING something has to be installed first, else the build failed.
TEXT
}

force=
case ${1:-} in
  '') ;;
  --force) force=1 ;;
  --help | -h) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

hash=$(inputs_hash "$here/build.sh" "$here/builder.yaml" "$here/go.mod" "$here/go.sum")
one_at_a_time
if [ -z "$force" ] && is_current "$hash"; then exit 0; fi
need_go "$(awk '$1 == "go" { sub(/\.0$/, "", $2); print $2 }' "$here/go.mod")"

work=$(mktemp -d "$repository/.build/$program.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
started=$SECONDS

say "writing main.go from builder.yaml"
# --skip-get-modules: the builder would resolve versions anew; the lock beside this script is what was tested.
(cd "$work" && clean_env go run "$builder" --config "$here/builder.yaml" --skip-get-modules --skip-compilation \
  >builder.log 2>&1) || { cat "$work/builder.log" >&2; exit 1; }
cp -- "$here/go.mod" "$here/go.sum" "$work/source/"

say "compiling (about 1700 packages the first time)"
(cd "$work/source" && clean_env CGO_ENABLED=0 GOFLAGS=-mod=readonly \
  go build -v -trimpath -buildvcs=false -ldflags='-s -w' -o "$work/$program" . 2>&1 | progress)

"$work/$program" --version >&2
keep "$hash" "$work/$program"
say "built in $((SECONDS - started)) s: $bin_dir/$program"
