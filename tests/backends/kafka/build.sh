#!/usr/bin/env bash
# Fetch a real Kafka broker for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=kafka
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

# Of the sorted lines "<sha256>  <name>" of all jars.
sum=91dfee5da8faf06be9ad302c4052ffd7a1f0a166e6c696f00eb4ab1d833471e8

about() {
  cat <<TEXT
Fetches Kafka 3.9.1 with what it depends on, as a tar archive of 55 jars, from a Maven repository:

  $bin_dir/$program

Needs Maven and, to run it, Java 17 or newer. The first time takes about half a minute and 50 MB.
TEXT
}

options "$@"
unless_current "$here/build.sh" "$here/pom.xml"
need mvn "Maven (Debian: apt-get install maven)"
workplace

say "fetching the jars that pom.xml names"
cp -- "$here/pom.xml" "$work/"
(cd "$work" && clean_env mvn --batch-mode --quiet dependency:copy-dependencies -DincludeScope=runtime \
  "-DoutputDirectory=$work/jars" >&2)
found=$(cd "$work/jars" && LC_ALL=C sha256sum -- *.jar | LC_ALL=C sort -k 2 | sha256sum | cut -c 1-64)
[ "$found" = "$sum" ] || { say "the jars have the checksum '$found' instead of '$sum'"; exit 1; }

tar -C "$work/jars" -cf "$work/$program.tar" .
finish "$work/$program.tar"
