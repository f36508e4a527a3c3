#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone, as C11 and as C++17: headers.sh INCLUDE_FOLDER COMPILER...
# The compilers are commands; one whose name holds ++ is given C++, the others C.
set -eu
include=$1
shift
status=0
tried=0
for header in "$include"/stipple/*.h; do
    name=stipple/${header##*/}
    for compiler; do
        case $compiler in
        *++*) language='-x c++ -std=c++17' ;;
        *) language='-x c -std=c11 -Wstrict-prototypes' ;;
        esac
        # A compiler may be several words ("ccache gcc").
        if ! printf '#include <%s>\n' "$name" |
            $compiler $language -pedantic -Wall -Wextra -Wshadow -Werror -fsyntax-only "-I$include" -; then
            echo "$name does not compile alone with $compiler $language"
            status=1
        fi
        tried=$((tried + 1))
    done
done
echo "$tried compilations"
[ "$tried" -gt 0 ] || status=1
exit "$status"
