#!/usr/bin/env bash
# Fetch a real Zipkin server for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=zipkin
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

artifact=io.zipkin:zipkin-server:3.5.1:jar:exec
sum=7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d

usage() {
  cat <<TEXT
Usage: build.sh [--force]

Fetches the Zipkin 3.5.1 server, one jar that \`java -jar\` runs, from a Maven repository:

  $bin_dir/$program

Needs Maven and, to run it, Java 17 or newer. The first time takes about half a minute and 130 MB. When nothing has
changed there is nothing to do; the result is also kept in $cache_dir, where other checkouts find it.

  --force   fetch, whether something has changed or not
  --help    this text

Exit status: 0 the server is there, $EXIT_MISSING something has to be installed first, else it failed.
TEXT
}

force=
case ${1:-} in
  '') ;;
  --force) force=1 ;;
  --help | -h) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

hash=$(inputs_hash "$here/build.sh")
one_at_a_time
if [ -z "$force" ] && is_current "$hash"; then exit 0; fi
need mvn "Maven (Debian: apt-get install maven)"

work=$(mktemp -d "$repository/.build/$program.XXXXXX")
trap 'rm -rf -- "$work"' EXIT

say "fetching $artifact"
(cd "$work" && clean_env mvn --batch-mode --quiet dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$work/jars" >&2)
sha256sum --check --quiet <<<"$sum  $work/jars/zipkin-server-3.5.1-exec.jar" >&2

keep "$hash" "$work/jars/zipkin-server-3.5.1-exec.jar"
say "fetched: $bin_dir/$program"
