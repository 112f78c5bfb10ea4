#!/usr/bin/env bash
# Build a real InfluxDB 2.7 server (influxd) for the tests: `build.sh --help` says more.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
program=influxd
# shellcheck source=../../../collector-config/distribution/lib.sh
. "$here/../../../collector-config/distribution/lib.sh"

# The go command checks both against the checksum database; the sums here also hold without one.
influxdb=github.com/influxdata/influxdb/v2@v2.7.12
influxdb_sum='h1:m25dUSO7h6nm3zFC4v/aCNeFFmnN/mlN/uPo1T63bmk='
flux=github.com/influxdata/flux@v0.196.1
flux_sum='h1:RZypfrrAZeIixD/2As+qoyrwfs6Gx7VcnTRNGNjBfUA='

about() {
  cat <<TEXT
Builds the InfluxDB ${influxdb#*@v} server that the tests ask their questions:

  $bin_dir/$program

from its Go module and the Rust library of the Flux language inside another Go module. Needs Go 1.23 or newer,
Rust with cargo, a C compiler and pkg-config. The first time takes 4 to 10 minutes.
TEXT
}

options "$@"
# This one is linked to the C library of the system that built it, and does not run with an older one.
unless_current "$here/build.sh" <(getconf GNU_LIBC_VERSION 2>/dev/null || true)
need_go 1.23
need cargo "Rust (https://rustup.rs, or Debian: apt-get install cargo, from backports if need be)"
need cc "a C compiler (Debian: apt-get install gcc libc6-dev)"
need pkg-config "pkg-config (Debian: apt-get install pkg-config)"
workplace

# module MODULE@VERSION SUM: fetch a module and print the folder of its source
module() {
  local facts sum
  facts=$(cd "$work" && clean_env GOFLAGS=-mod=mod go mod download -json "$1")
  sum=$(sed -n 's/^[[:space:]]*"Sum": "\(.*\)",\{0,1\}$/\1/p' <<<"$facts")
  [ "$sum" = "$2" ] || { say "$1 has the checksum '$sum' instead of '$2'"; return 1; }
  sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$facts"
}

say "fetching the sources"
printf 'module sources\n\ngo 1.23\n' >"$work/go.mod"
influxdb_dir=$(module "$influxdb" "$influxdb_sum")
flux_dir=$(module "$flux" "$flux_sum")
grep -q "${flux/@/ }" "$influxdb_dir/go.mod" ||
  { say "$influxdb wants another flux than $flux: the Go and the Rust half must be one release"; exit 1; }

say "compiling the Flux library (Rust, about 3 minutes)"
cp -r -- "$flux_dir" "$work/flux"
chmod -R u+w "$work/flux"
# It pins a Rust release of 2023, which rustup would go and fetch; newer ones compile it but have more lints.
rm -f -- "$work/flux/rust-toolchain.toml"
(cd "$work/flux/libflux" && clean_env RUSTFLAGS=--cap-lints=warn CARGO_TERM_COLOR=never \
  cargo build --release --locked --quiet -p flux 2>"$work/cargo.log") || { tail -n 40 "$work/cargo.log" >&2; exit 1; }

# Alone in its folder: beside it lies libflux.so, which the linker would take instead.
mkdir "$work/lib"
mv -- "$work/flux/libflux/target/release/libflux.a" "$work/lib/"
cat >"$work/lib/flux.pc" <<PC
Name: Flux
Description: the Flux language
Version: ${flux#*@v}
Libs: -L$work/lib -lflux -ldl -lm
Cflags: -I$work/flux/libflux/include
PC

say "compiling influxd (Go)"
# The tags are those of the official release, without "assets": the web interface is not in the module.
clean_env CGO_ENABLED=1 GOFLAGS=-mod=readonly PKG_CONFIG_PATH="$work/lib" \
  go build -C "$influxdb_dir" -v -buildvcs=false -tags sqlite_foreign_keys,sqlite_json \
  -ldflags "-s -w -X main.version=${influxdb#*@} -X main.commit=module" -o "$work/$program" ./cmd/influxd 2>&1 | progress

"$work/$program" version >&2
finish "$work/$program"
