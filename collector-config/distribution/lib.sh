# Shared by the scripts that build a server from source: where the result goes, and when there is nothing to do.
# Sourced, never run. Needs bash and coreutils only, so that "nothing to do" is found without a toolchain.
#
# A result is known by the SHA-256 of what it is made from. It is kept twice: in .build/bin of this checkout,
# and in the user's cache, from where a fresh clone takes it.

readonly EXIT_MISSING=69 # EX_UNAVAILABLE: something has to be installed first

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
bin_dir=$repository/.build/bin
cache_dir=${XDG_CACHE_HOME:-$HOME/.cache}/flask-chest-otel

say() { printf '%s: %s\n' "$program" "$*" >&2; }

# usage: what the script's own `about` says, and what holds for all of them
usage() {
  printf 'Usage: build.sh [--force]\n\n'
  about
  cat <<TEXT

When nothing has changed there is nothing to do; the result is also kept in $cache_dir, where other checkouts
find it.

  --force   whether something has changed or not
  --help    this text

Exit status: 0 it is there, $EXIT_MISSING something has to be installed first, else it failed.
TEXT
}

# options ARGUMENT…: those of the script
options() {
  force=
  case ${1:-} in
    '') ;;
    --force) force=1 ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
}

# unless_current FILE…: end here when the result of these files is in place
unless_current() {
  hash=$(inputs_hash "$@")
  one_at_a_time
  if [ -z "$force" ] && is_current "$hash"; then exit 0; fi
}

# workplace: a folder, $work, that goes away with the script
workplace() {
  work=$(mktemp -d "$repository/.build/$program.XXXXXX")
  trap 'rm -rf -- "$work"' EXIT
  started=$SECONDS
}

# finish BUILT: the result is in place
finish() {
  keep "$hash" "$1"
  say "done in $((SECONDS - started)) s: $bin_dir/$program"
}

# need COMMAND WHAT-TO-INSTALL
need() {
  command -v "$1" >/dev/null && return
  say "'$1' is not installed, and it is needed to build $program. Install $2."
  exit "$EXIT_MISSING"
}

# need_go OLDEST: the oldest go release, as in 1.25, that can build it
need_go() {
  local hint="Go $1 or newer (https://go.dev/dl/, or Debian: apt-get install golang, from backports if need be)"
  need go "$hint"
  local version
  version=$(go env GOVERSION)
  version=${version#go}
  if [ "$(printf '%s\n%s\n' "$1" "$version" | sort -V | head -n 1)" != "$1" ]; then
    say "go $version is too old to build $program. Install $hint."
    exit "$EXIT_MISSING"
  fi
}

# inputs_hash FILE…: also covers this file and the kind of machine
inputs_hash() {
  { uname -sm; cat -- "${BASH_SOURCE[0]}" "$@"; } | sha256sum | cut -c 1-32
}

# one_at_a_time: two test runs must not build the same thing side by side
one_at_a_time() {
  mkdir -p "$repository/.build"
  command -v flock >/dev/null || return 0
  exec 9>"$repository/.build/$program.lock"
  flock -n 9 || { say "another build is running, waiting for it"; flock 9; }
}

# is_current HASH: true when the result is in place, if need be taken from the cache
is_current() {
  local result=$bin_dir/$program stamp=$bin_dir/$program.inputs
  if [ -x "$result" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$1" ]; then return 0; fi
  [ -x "$cache_dir/$program-$1" ] || return 1
  say "taking it from $cache_dir"
  put "$cache_dir/$program-$1" "$result"
  printf '%s\n' "$1" >"$stamp"
}

# keep HASH BUILT: put a finished result into place and into the cache
keep() {
  put "$2" "$bin_dir/$program"
  printf '%s\n' "$1" >"$bin_dir/$program.inputs"
  # A cache that cannot be written (read-only home) only costs the next clone its time.
  put "$2" "$cache_dir/$program-$1" || { say "not kept in $cache_dir"; return 0; }
  # Each is about 100 MB: the three newest are enough to go back and forth between branches.
  local old
  for old in $(cd "$cache_dir" && ls -t -- "$program"-* | tail -n +4); do rm -f -- "$cache_dir/$old"; done
}

# put FROM TO: a reader of TO sees the old file or the new one, never half of it
put() {
  mkdir -p "$(dirname -- "$2")" && cp -- "$1" "$2.new.$$" && chmod 0755 "$2.new.$$" && mv -f -- "$2.new.$$" "$2"
}

# clean_env COMMAND…: only what a toolchain needs to find itself and the network. The collector builder takes
# environment variables for settings, and a GOFLAGS or CGO_ENABLED of the caller would change the result.
clean_env() {
  local name pass=()
  for name in HOME PATH USER LANG TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME \
    GOPATH GOCACHE GOMODCACHE GOENV GOPROXY GONOPROXY GOPRIVATE GOSUMDB GONOSUMDB GOTOOLCHAIN \
    CARGO_HOME RUSTUP_HOME CARGO_NET_OFFLINE \
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR; do
    [ -z "${!name+x}" ] || pass+=("$name=${!name}")
  done
  env -i "${pass[@]}" "$@"
}

# progress: `go build -v` names every package; one line in fifty is enough, and everything else is a message
progress() {
  awk -v program="$program" '
    /^go: downloading / { if (++modules % 50 == 0) print program ": " modules " modules downloaded"; next }
    /^[a-zA-Z0-9._\/~-]+$/ { if (++packages % 100 == 0) print program ": " packages " packages compiled"; next }
    { print }
    { fflush() }' >&2
}
