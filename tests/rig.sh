#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command with one OpenCL runtime and no other: tests/rig.sh pocl|intel|rusticl|oclgrind COMMAND...
# A runtime that is not installed is exit code 77 with the reason (meson's skip). Nothing outside a temporary folder is changed.
# STIPPLE_VENV: the Python environment that holds Intel's runtime (default .venv beside tests/).
set -eu

usage() {
    echo "usage: tests/rig.sh pocl|intel|rusticl|oclgrind COMMAND..." >&2
    exit 2
}

skip() {
    echo "skipped: $*" >&2
    exit 77
}

[ $# -ge 2 ] || usage
device=$1
shift

root=$(cd "$(dirname "$0")/.." && pwd)
venv=${STIPPLE_VENV:-$root/.venv}
library=

# The library that a system .icd file names.
from_icd() {
    file=/etc/OpenCL/vendors/$1
    [ -f "$file" ] || skip "$file is missing: install $2"
    library=$(head -n 1 "$file")
}

# Intel's runtime cannot build programs from a path with a space: it looks for its files beside its own real path.
without_space() {
    ln -s "$venv"/lib/* "$vendors/"
    rm "$vendors/libintelocl.so"
    cp "$library" "$vendors/"
    library=$vendors/libintelocl.so
}

# The user's cache is not for tests; those of the cache make one of their own.
export STIPPLE_CACHE=off

# Not exec below: the folder is removed afterwards.
vendors=$(mktemp -d "${TMPDIR:-/tmp}/stipple-rig.XXXXXX")
trap 'rm -rf "$vendors"' EXIT
trap 'exit 130' INT TERM

case $device in
pocl)
    from_icd pocl.icd pocl-opencl-icd
    ;;
intel)
    library=$venv/lib/libintelocl.so
    [ -f "$library" ] || skip "$library is missing: pip install intel-opencl-rt intel-cmplr-lib-rt into $venv, or set STIPPLE_VENV"
    case $venv in *[[:space:]]*) without_space ;; esac
    export LD_LIBRARY_PATH="${library%/*}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    ;;
rusticl)
    from_icd rusticl.icd mesa-opencl-icd
    export RUSTICL_ENABLE=llvmpipe
    ;;
oclgrind)
    # It stands in for the loader, so that no vendor folder is read.
    command -v oclgrind >/dev/null || skip "oclgrind is missing: install oclgrind"
    rmdir "$vendors"
    exec oclgrind "$@"
    ;;
*)
    usage
    ;;
esac

echo "$library" >"$vendors/$device.icd"
code=0
OCL_ICD_VENDORS=$vendors "$@" || code=$?
exit $code
