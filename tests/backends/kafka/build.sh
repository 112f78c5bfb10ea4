#!/usr/bin/env bash
# Fetch a real Kafka broker for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=kafka
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

# Of the sorted lines "<sha256>  <name>" of all jars.
sum=91dfee5da8faf06be9ad302c4052ffd7a1f0a166e6c696f00eb4ab1d833471e8

usage() {
  cat <<TEXT
Usage: build.sh [--force]

Fetches Kafka 3.9.1 with what it depends on, as a tar archive of 55 jars, from a Maven repository:

  $bin_dir/$program

Needs Maven and, to run it, Java 17 or newer. The first time takes about half a minute and 50 MB. When nothing has
changed there is nothing to do; the result is also kept in $cache_dir, where other checkouts find it.

  --force   fetch, whether something has changed or not
  --help    this text

Exit status: 0 the archive is there, $EXIT_MISSING something has to be installed first, else it failed.
TEXT
}

force=
case ${1:-} in
  '') ;;
  --force) force=1 ;;
  --help | -h) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

hash=$(inputs_hash "$here/build.sh" "$here/pom.xml")
one_at_a_time
if [ -z "$force" ] && is_current "$hash"; then exit 0; fi
need mvn "Maven (Debian: apt-get install maven)"

work=$(mktemp -d "$repository/.build/$program.XXXXXX")
trap 'rm -rf -- "$work"' EXIT

say "fetching the jars that pom.xml names"
cp -- "$here/pom.xml" "$work/"
(cd "$work" && clean_env mvn --batch-mode --quiet dependency:copy-dependencies -DincludeScope=runtime \
  "-DoutputDirectory=$work/jars" >&2)
found=$(cd "$work/jars" && LC_ALL=C sha256sum -- *.jar | LC_ALL=C sort -k 2 | sha256sum | cut -c 1-64)
[ "$found" = "$sum" ] || { say "the jars have the checksum '$found' instead of '$sum'"; exit 1; }

tar -C "$work/jars" -cf "$work/$program.tar" .
keep "$hash" "$work/$program.tar"
say "fetched: $bin_dir/$program"
