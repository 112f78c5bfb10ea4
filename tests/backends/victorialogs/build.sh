#!/usr/bin/env bash
# Build a VictoriaLogs server for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=victoria-logs
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

# The go command checks it against the checksum database; the sum here also holds without one.
victorialogs=github.com/VictoriaMetrics/VictoriaLogs@v1.52.1
victorialogs_sum='h1:B83xu4usTNPrpsFZFH/Dei3nWIsQizIeSRghFxj4ZJo='

about() {
  cat <<TEXT
Builds the VictoriaLogs ${victorialogs#*@v} server that the tests send log records to and ask in LogsQL:

  $bin_dir/$program

from its Go module. Needs Go 1.26.5 or newer and the Go module proxy. The first time takes 1 to 5 minutes.
TEXT
}

options "$@"
unless_current "$here/build.sh"
need_go 1.26.5
workplace

say "fetching the source"
printf 'module sources\n\ngo 1.26\n' >"$work/go.mod"
facts=$(cd "$work" && clean_env GOFLAGS=-mod=mod go mod download -json "$victorialogs")
sum=$(sed -n 's/^[[:space:]]*"Sum": "\(.*\)",\{0,1\}$/\1/p' <<<"$facts")
[ "$sum" = "$victorialogs_sum" ] || { say "$victorialogs has the checksum '$sum' instead of '$victorialogs_sum'"; exit 1; }
source_dir=$(sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$facts")

say "compiling"
clean_env CGO_ENABLED=0 GOFLAGS=-mod=readonly \
  go build -C "$source_dir" -v -trimpath -buildvcs=false -ldflags='-s -w' -o "$work/$program" ./app/victoria-logs 2>&1 | progress

finish "$work/$program"
