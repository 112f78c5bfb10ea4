#!/bin/sh
# Makes what the image's own setup does not: the spans' bucket, which forgets early (docs/how-to/cardinality.md), a token
# that may only write, for the collector, and one that may only read, for Grafana.
# The image runs it once, after the first start of an empty volume, with the credentials of the setup.
set -eu
influx bucket create --name chest_spans --retention 72h --shard-group-duration 6h
metrics=$(influx bucket list --name chest --hide-headers | cut -f 1)
spans=$(influx bucket list --name chest_spans --hide-headers | cut -f 1)

# token FOLDER OPTION…: a token with these rights, in a volume that only its reader has. Without a newline behind it: the
# collector takes the file as it is.
token() {
  file=${TOKENS:-/tokens}/$1/token
  shift
  made=$(influx auth create --org chest --hide-headers --description flask-chest "$@" | cut -f 3)
  test -n "$made"
  printf %s "$made" >"$file"
  chmod 0444 "$file"
}
token write --write-bucket "$metrics" --write-bucket "$spans"
token read --read-bucket "$metrics" --read-bucket "$spans"
