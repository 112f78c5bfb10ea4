#!/usr/bin/env bash
# Runs .ci/run on a bare Debian: a fresh one, made by debootstrap with nothing but its minimum, in a folder of its own.
#
#   tools/bare.sh                        Debian 12, then Debian 13
#   tools/bare.sh trixie                 one of them
#   tools/bare.sh bookworm COMMAND …     another command in place of .ci/run
#
# Needs root and debootstrap. What is tested is what is committed. BARE_FOLDER: where the Debians are made (/var/tmp).
# How this machine reaches package registries (proxies, mirrors, certificates: variables and files) holds there, too.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

readonly ROOT=$PWD
readonly FOLDER=${BARE_FOLDER:-/var/tmp}
# Files in which pip, npm, Maven, Cargo, Go and apt are told where to fetch from.
readonly FILES=(
  /etc/pip.conf /etc/npmrc /etc/maven/settings.xml /etc/hosts /etc/resolv.conf /usr/local/share/ca-certificates
  "$HOME/.npmrc" "$HOME/.m2/settings.xml" "$HOME/.cargo/config.toml" "$HOME/.cargo/config" "$HOME/.config/go/env"
  "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" "${PIP_FIND_LINKS:-/nowhere}"
)
readonly VARIABLES='^([a-z]+_proxy|[A-Z]+_PROXY|PIP_[A-Z_]+|GO(PROXY|SUMDB|NOSUMDB|NOSUMCHECK|PRIVATE|FLAGS|INSECURE)|CARGO_[A-Z_]+|NPM_CONFIG_[A-Z_]+|npm_config_[a-z_]+|MAVEN_[A-Z_]+|SSL_CERT_(FILE|DIR)|[A-Z_]*CA_(BUNDLE|CERTS)|GIT_SSL_CAINFO)='

say() { printf '\ntools/bare.sh: %s\n' "$*" >&2; }

# mirror: where this machine gets Debian from; nothing where it does not say, and debootstrap knows one itself
mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -vE '^[[:space:]]*#' | grep -oE '(https?|file):/[^[:space:]]*/debian/?([[:space:]]|$)' | head -n 1 | tr -d '[:space:]' || true
}

# take_over DEBIAN: files that say how registries are reached, and certificates that this machine trusts
take_over() {
  local file target
  for file in "${FILES[@]}"; do
    [ -e "$file" ] || continue
    target=$1${file/#$HOME//root}
    mkdir -p -- "$(dirname -- "$target")"
    cp -rLT -- "$file" "$target"
  done
  for file in /etc/apt/apt.conf.d/*; do
    if grep -q '^Acquire::' "$file" 2>/dev/null; then cp -- "$file" "$1/etc/apt/apt.conf.d/"; fi
  done
  # Until the package of that name makes its own of them.
  if [ -e /etc/ssl/certs/ca-certificates.crt ] && [ ! -e "$1/etc/ssl/certs/ca-certificates.crt" ]; then
    mkdir -p -- "$1/etc/ssl/certs"
    cp -L -- /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  fi
}

# make_debian SUITE DEBIAN
make_debian() {
  local from
  from=$(mirror)
  say "making $1 in $2"
  rm -rf --one-file-system -- "$2"
  debootstrap --variant=minbase "$1" "$2" ${from:+"$from"} >&2
  # Packages of servers start none: the tests start their own.
  printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
  chmod +x -- "$2/usr/sbin/policy-rc.d"
  # Files that are taken over stay: a package that brings one of its own would ask, and nobody answers.
  printf 'Dpkg::Options { "--force-confold"; };\n' >"$2/etc/apt/apt.conf.d/99keep-files"
}

# within DEBIAN COMMAND…: with the folders that a system has, which go when the command ends
within() {
  local debian=$1 passed=()
  shift
  mapfile -t passed < <(env | grep -E "$VARIABLES" || true)
  # A mount namespace of its own: whatever happens, nothing stays mounted below the folder that is removed next time.
  # shellcheck disable=SC2016 # the inner shell's own
  unshare --mount --propagation private bash -euo pipefail -c '
    debian=$1; shift
    mount -t proc proc "$debian/proc"
    mount --rbind /sys "$debian/sys"
    mount --rbind /dev "$debian/dev"
    exec chroot "$debian" "$@"
  ' bash "$debian" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 "${passed[@]}" "$@" </dev/null
}

# run SUITE COMMAND…
run() {
  local suite=$1 debian=$FOLDER/flask-chest-bare-$1 log=$ROOT/.build/bare-$1.log
  shift
  mkdir -p -- "$ROOT/.build"
  make_debian "$suite" "$debian"
  take_over "$debian"
  git clone --quiet --no-hardlinks -- "$ROOT" "$debian/src"
  say "in $suite: $*"
  # shellcheck disable=SC2016 # the inner shell's own
  within "$debian" sh -c 'cd /src && exec "$@"' sh "$@" 2>&1 | tee -- "$log"
  say "$suite: all is well; what was said is in $log"
  rm -rf --one-file-system -- "$debian"
}

[ "$(id -u)" = 0 ] || { say "needs root: sudo $0"; exit 1; }
for needed in debootstrap unshare git; do
  command -v "$needed" >/dev/null || { say "needs $needed: apt-get install debootstrap util-linux git"; exit 1; }
done
suites=(bookworm trixie)
if [ $# -gt 0 ]; then suites=("$1"); shift; fi
[ $# -gt 0 ] || set -- .ci/run
for suite in "${suites[@]}"; do run "$suite" "$@"; done
