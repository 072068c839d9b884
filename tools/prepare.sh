#!/usr/bin/env bash
# Makes .venv and installs this checkout into it.
#
#   tools/prepare.sh run      what swhkit needs to run
#   tools/prepare.sh dev      the tools of development as well
#   tools/prepare.sh clients  programs of others that tests ask the web API with, in .venv-clients
#
# System packages that are lacking are installed when this is root, and named otherwise. When neither the checkout's
# place nor pyproject.toml has changed since the last time, nothing is done. PYTHON names the interpreter to use.
set -euo pipefail

what=${1:?usage: tools/prepare.sh run|dev|clients}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=$root/.venv

say() { printf '%s\n' "$*" >&2; }

# packages NAME...: install Debian packages, or say which are needed and stop.
packages() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "Needed and not installed: $*. On Debian: apt-get install $*"
        exit 1
    fi
    say "Installing $*"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update -qq
    quietly apt-get install -y -qq --no-install-recommends "$@"
}

# quietly COMMAND...: what it says is only of interest when it fails.
quietly() {
    local words
    if ! words=$("$@" </dev/null 2>&1); then
        say "$words"
        say "$* failed"
        exit 1
    fi
}

# python: prints an interpreter of version 3.11 or later, or nothing.
python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

system() {
    local lacking=()
    command -v git >/dev/null || lacking+=(git)
    # git needs the certificates only for https; without root that is left to whoever wants it.
    if [ "$(id -u)" -eq 0 ] && [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then lacking+=(ca-certificates); fi
    if [ -z "$(python)" ]; then
        if [ -n "${PYTHON:-}" ]; then say "PYTHON=$PYTHON is not Python 3.11 or later."; exit 1; fi
        lacking+=(python3 python3-venv)
    elif ! "$(python)" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own, one for each version.
        lacking+=("$("$(python)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    fi
    if [ "$what" = dev ]; then
        # Servers and tools that the tests start: an ssh server, a compiler for the fault injector, SQLite's shell,
        # certificates.
        PATH=$PATH:/usr/sbin command -v sshd >/dev/null || lacking+=(openssh-server)
        command -v ssh >/dev/null || lacking+=(openssh-client)
        command -v "${CC:-gcc}" >/dev/null || lacking+=(gcc libc6-dev)
        command -v sqlite3 >/dev/null || lacking+=(sqlite3)
        command -v openssl >/dev/null || lacking+=(openssl)
        # What loaders read other version control systems with, and their servers.
        command -v hg >/dev/null || lacking+=(mercurial)
        command -v svnadmin >/dev/null || lacking+=(subversion)
        command -v brz >/dev/null || lacking+=(brz)
        command -v cvs >/dev/null || lacking+=(cvs)
        command -v rsync >/dev/null || lacking+=(rsync)
        PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep 'libarchive\.so' >/dev/null || lacking+=(libarchive13)
    fi
    if [ ${#lacking[@]} -ne 0 ]; then packages "${lacking[@]}"; fi
    if [ -z "$(python)" ]; then say "Needed: Python 3.11 or later; name one with PYTHON=…"; exit 1; fi
}

# fingerprint: all that an installed .venv depends on.
fingerprint() {
    { printf '%s\n' "$root"; "$venv/bin/python" -VV; cat pyproject.toml; } 2>/dev/null | sha256sum | cut -d' ' -f1
}

# current STAMP...: whether one of these was left by an installation that still fits.
current() {
    local stamp
    for stamp in "$@"; do
        if [ "$(cat "$venv/$stamp" 2>/dev/null)" = "$(fingerprint)" ] && [ -x "$venv/bin/swhkit" ]; then return 0; fi
    done
    return 1
}

install() {
    # Scripts in a .venv that was copied or half made point elsewhere: begin anew.
    if [ "$(cat "$venv/swhkit-root" 2>/dev/null)" != "$root" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        say "Making .venv with $(python)"
        rm -rf "$venv"
        "$(python)" -m venv "$venv"
        printf '%s\n' "$root" >"$venv/swhkit-root"
    fi
    say "Installing swhkit into .venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --prefer-binary -e "$1" </dev/null >&2
}

# clients: .venv-clients with what tests/clients pins; nothing of swhkit, and no part of it.
clients() {
    local venv=$root/.venv-clients pins=tests/clients/requirements.txt wanted
    wanted=$({ printf '%s\n' "$root"; "$(python)" -VV; cat "$pins"; } | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$venv/pins" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "Installing the clients into .venv-clients"
    rm -rf "$venv"
    "$(python)" -m venv "$venv"
    quietly "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$pins"
    printf '%s\n' "$wanted" >"$venv/pins"
}

case $what in
    run) target=.          stamps=(swhkit-run swhkit-dev) ;;
    dev) target='.[dev]'   stamps=(swhkit-dev) ;;
    clients) ;;
    *)   say "usage: tools/prepare.sh run|dev|clients"; exit 2 ;;
esac

system
mkdir -p .make
exec 9>.make/lock # two at once take turns; pip may not share a .venv
flock 9
if [ "$what" = clients ]; then
    clients
elif ! current "${stamps[@]}"; then
    install "$target"
    fingerprint >"$venv/swhkit-$what"
fi
