#!/usr/bin/env bash
# Fetch a real Zipkin server for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=zipkin
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

artifact=io.zipkin:zipkin-server:3.5.1:jar:exec
sum=7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d

about() {
  cat <<TEXT
Fetches the Zipkin 3.5.1 server, one jar that \`java -jar\` runs, from a Maven repository:

  $bin_dir/$program

Needs Maven and, to run it, Java 17 or newer. The first time takes about half a minute and 130 MB.
TEXT
}

options "$@"
unless_current "$here/build.sh"
need mvn "Maven (Debian: apt-get install maven)"
workplace

say "fetching $artifact"
(cd "$work" && clean_env mvn --batch-mode --quiet dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$work/jars" >&2)
sha256sum --check --quiet <<<"$sum  $work/jars/zipkin-server-3.5.1-exec.jar" >&2

finish "$work/jars/zipkin-server-3.5.1-exec.jar"
