# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it, which set `script` to their name and `root` to the repository's root first.

say() {
    echo "$script: $*"
}

warn() {
    echo "$script: warning: $*" >&2
}

fail() {
    echo "$script: $*" >&2
    exit 1
}

# The build folder as an absolute path: BUILD_DIR (from the current folder), or build in the repository.
build_folder() {
    case ${BUILD_DIR-} in
    '') echo "$root/build" ;;
    /*) echo "$BUILD_DIR" ;;
    *) echo "$PWD/$BUILD_DIR" ;;
    esac
}

# build FOLDER [MESON OPTION]...: configures FOLDER unless it is configured already, and compiles. Meson honours CC and CFLAGS.
build() {
    build_in=$1
    shift
    if [ ! -f "$build_in/build.ninja" ]; then
        meson setup "$@" "$build_in" "$root" < /dev/null || fail "meson setup failed: see above"
    fi
    meson compile -C "$build_in" < /dev/null || fail "the build failed: see above"
}
