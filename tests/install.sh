#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `meson install` puts in place is complete, and a program that knows pkg-config alone builds and runs on it:
# install.sh BUILD_FOLDER COMPILER
set -eu
build=$1
compiler=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
meson install -C "$build" --no-rebuild --quiet --destdir "$work/root"

status=0
# expect FOLDER NAME: somewhere below the installed FOLDER's parent (the library folder's name differs between systems).
expect() {
    if [ -z "$(find "$work/root" -path "*/$1")" ]; then
        echo "not installed: $1"
        status=1
    fi
}
for file in bin/stipple libstipple.so libstipple.so.0 pkgconfig/stipple.pc libexec/stipple/stipple-probe man1/stipple.1* bash-completion/completions/stipple \
    include/stipple/stipple.h; do
    expect "$file"
done
[ "$status" = 0 ] || exit 1

cat > "$work/program.c" <<'END'
#include <stdio.h>

#include <stipple/stipple.h>

int main(void)
{
    stp_context *context;
    if (stp_context_create(&context, NULL) != STP_OK)
        return 1;
    printf("stipple %s, last error: '%s'\n", stp_version(), stp_last_error(context));
    stp_context_destroy(&context);
    return 0;
}
END
pc=$(find "$work/root" -name stipple.pc)
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$work/root"
$compiler -std=c11 -Wall -Werror "$work/program.c" -o "$work/program" $(pkg-config --cflags --libs stipple)
library=$(find "$work/root" -name libstipple.so.0)
LD_LIBRARY_PATH=${library%/*} "$work/program"
# The installed command finds the installed library by itself only where the linker looks.
LD_LIBRARY_PATH=${library%/*} "$(find "$work/root" -path '*/bin/stipple')" --version
