#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building, running and testing stipple need on Debian 12 and 13.
set -eu
script=setup.sh
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/common.sh"

usage() {
    cat <<'END'
usage: sh tools/setup.sh

Installs the Debian packages that are missing (as root, or with sudo), and makes a Python environment in .venv for the model zoo and the
tests. What is there already is left alone: a second call changes nothing, is quick and needs no root. Building the library and the
command needs the packages only, not .venv.
END
}

# What building needs comes first, then what running needs, then what the tests need.
packages='gcc g++ libc6-dev dpkg-dev meson ninja-build pkgconf python3
    ocl-icd-opencl-dev opencl-headers libpng-dev libjpeg-dev libcjson-dev libexif-dev libsqlite3-dev
    pocl-opencl-icd
    libcmocka-dev librandom123-dev python3-venv ca-certificates'
# More OpenCL devices for the tests; not every release has them.
optional_packages='mesa-opencl-icd oclgrind'

venv=$root/.venv
stamp=$venv/.stipple-requirements
# Debian's own where there is one: that is what python3-venv belongs to.
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
absent=$venv/.stipple-absent-packages

# missing PACKAGE...: those that are not installed.
missing() {
    installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null | sed -n 's/^installed //p')
    for package; do
        printf '%s\n' "$installed" | grep -qxF -e "$package" || printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# What apt-get says is shown only if it fails.
apt() {
    if ! said=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet -o DPkg::Lock::Timeout=300 "$@" < /dev/null 2>&1); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}

# The optional packages of this release that are missing.
missing_optional() {
    for package in $(missing $optional_packages); do
        grep -qxF -e "$package" "$absent" 2> /dev/null || printf '%s ' "$package"
    done
}

install_optional() {
    for package; do
        if [ -z "$(apt-cache search --names-only "^$package\$")" ]; then
            say "$package is not part of this release: the tests go without it"
            mkdir -p "$venv"
            echo "$package" >> "$absent"
        elif ! apt install --yes --no-install-recommends "$package"; then
            warn "$package could not be installed: the tests that use it will be skipped"
        fi
    done
}

install_packages() {
    needed=$(missing $packages)
    wanted=$(missing_optional)
    if [ -z "$needed$wanted" ]; then
        say "all Debian packages are installed"
        return
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo > /dev/null; then
        [ -n "$needed" ] || { warn "without root: the tests go without $wanted"; return; }
        fail "these packages are missing and neither root nor sudo is at hand; as root: apt-get install $needed"
    fi
    say "installing Debian packages: $needed$wanted"
    apt update || warn "apt-get update failed: trying with the package lists that are here"
    if [ -n "$needed" ]; then
        apt install --yes --no-install-recommends $needed || fail "apt-get could not install: $needed"
    fi
    install_optional $wanted
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$1" < /dev/null
}

# What the environment was made from; when that changes, pip is asked again.
wanted_stamp() {
    "$python" --version
    cat "$root/tools/requirements.txt" "$root/tools/requirements-rig.txt"
}

# Not if its making was interrupted, or Python was replaced since.
venv_is_usable() {
    [ "$("$venv/bin/python" --version 2>&1)" = "$("$python" --version)" ] && "$venv/bin/python" -c 'import pip' 2> /dev/null
}

make_venv() {
    if [ -f "$stamp" ] && [ "$(wanted_stamp)" = "$(cat "$stamp")" ]; then
        say "the Python environment is complete"
        return
    fi
    say "installing Python packages into .venv (about 400 MB to fetch if it is new)"
    mkdir -p "$venv"
    rm -f "$stamp"
    if ! venv_is_usable; then
        rm -rf "${venv:?}/bin" "${venv:?}/lib"
        "$python" -m venv "$venv" || fail "$python -m venv failed"
    fi
    pip_install "$root/tools/requirements.txt" || fail "pip could not install tools/requirements.txt"
    if pip_install "$root/tools/requirements-rig.txt"; then
        wanted_stamp > "$stamp"
    else
        warn "Intel's OpenCL runtime could not be installed: the tests on it will be skipped (the next call tries again)"
    fi
}

case ${1-} in
'') ;;
--help | -h) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac

if command -v dpkg-query > /dev/null && command -v apt-get > /dev/null; then
    install_packages
else
    warn "not a Debian system: install the equivalents of these yourself:" $packages
fi
make_venv
