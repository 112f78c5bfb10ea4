#!/usr/bin/env bash
# Build the bundled OpenTelemetry Collector: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=flask-chest-collector
builder=go.opentelemetry.io/collector/cmd/builder@v0.158.0
# shellcheck source=lib.sh
. "$here/lib.sh"

about() {
  cat <<TEXT
Builds the OpenTelemetry Collector with every component that collector-config/*.yaml uses:

  $bin_dir/$program

from builder.yaml, go.mod, go.sum and guard/ beside this script, with Go 1.26 or newer and the Go module proxy. The first
time takes 3 to 10 minutes and 3 GB of Go caches.

  --for SYSTEM/MACHINE   for another kind of machine, in Go's words, such as windows/amd64: $bin_dir/$program-windows-amd64
TEXT
}

# this_machine: its system and kind, in Go's words
this_machine() {
  local machine
  case $(uname -m) in
    x86_64) machine=amd64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) machine=$(uname -m) ;;
  esac
  printf '%s/%s\n' "$(uname -s | tr '[:upper:]' '[:lower:]')" "$machine"
}

target=$(this_machine)
other=
while [ $# -gt 0 ]; do
  case $1 in
    --for) target=${2:?SYSTEM/MACHINE} && shift 2 ;;
    *) other=$1 && shift ;;
  esac
done
# Another machine's program has a name of its own in .build/bin, and a folder of its own in the cache, of which the oldest go.
if [ "$target" != "$(this_machine)" ]; then
  program=$program-${target/\//-}
  cache_dir=$cache_dir/$program
fi
options "$other"
unless_current "$here/build.sh" "$here/builder.yaml" "$here/go.mod" "$here/go.sum" "$here"/guard/*.go "$here"/guard/*/*.go
need_go "$(awk '$1 == "go" { sub(/\.0$/, "", $2); print $2 }' "$here/go.mod")"
workplace

say "writing main.go from builder.yaml"
# --skip-get-modules: the builder would resolve versions anew; the lock beside this script is what was tested.
(cd "$work" && clean_env go run "$builder" --config "$here/builder.yaml" --skip-get-modules --skip-compilation \
  >builder.log 2>&1) || { cat "$work/builder.log" >&2; exit 1; }
cp -r -- "$here/go.mod" "$here/go.sum" "$here/guard" "$work/source/"

say "compiling (about 1700 packages the first time)"
# No id of the build: the same sources and the same Go give the same bytes.
(cd "$work/source" && clean_env CGO_ENABLED=0 GOFLAGS=-mod=readonly GOOS="${target%/*}" GOARCH="${target#*/}" \
  go build -v -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$work/$program" . 2>&1 | progress)

[ "$target" != "$(this_machine)" ] || "$work/$program" --version >&2
finish "$work/$program"
