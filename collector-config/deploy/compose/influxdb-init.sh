#!/bin/sh
# Makes what the image's own setup does not: the spans' bucket, which forgets early (docs/how-to/cardinality.md).
# The image runs it once, after the first start of an empty volume, with the credentials of the setup.
set -eu
influx bucket create --name chest_spans --retention 72h --shard-group-duration 6h
