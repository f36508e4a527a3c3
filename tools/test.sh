#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds, and runs every test.
set -eu
script=test.sh
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/common.sh"

usage() {
    cat <<'END'
usage: sh tools/test.sh [--all]

Sets up (tools/setup.sh), builds into BUILD_DIR (default: build; CC chooses the compiler) and runs the tests.
  --all  the slow ones too: the same tests under ASan and UBSan (built into BUILD_DIR-sanitized), the kernels under Oclgrind, the tests on
         every other OpenCL device of the rig, damaged files, replay of whole networks
The last line says how many passed, failed and were skipped; the exit code is 0 only if some passed and none failed.
END
}

all=
case ${1-} in
'') ;;
--all) all=yes ;;
--help | -h) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac

# run_tests FOLDER LOG ARGUMENT...: one call of meson test; what it found is in the log, which the summary reads.
run_tests() {
    in=$1
    log=$2
    shift 2
    rm -f "$in/meson-logs/$log.json"
    meson test -C "$in" --no-rebuild --print-errorlogs --logbase "$log" "$@" < /dev/null || status=1
}

folder=$(build_folder)
sanitized=$folder-sanitized
status=0
sh "$root/tools/setup.sh"
say "building into $folder"
build "$folder"
say "running the tests"
run_tests "$folder" tests --no-suite slow
if [ -n "$all" ]; then
    say "running the slow tests"
    run_tests "$folder" slow --suite slow
    say "building for ASan and UBSan into $sanitized"
    build "$sanitized" -Db_sanitize=address,undefined -Dbuildtype=debugoptimized -Db_lundef=false
    say "running the tests under ASan and UBSan"
    ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions="$root/tests/lsan.supp" \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        run_tests "$sanitized" sanitized --no-suite slow --no-suite unsanitized --timeout-multiplier 5
fi
# A crash of meson test itself fails the run too, whatever the logs say.
if [ -n "$all" ]; then
    set -- "$folder/meson-logs/tests.json" "$folder/meson-logs/slow.json" "$sanitized/meson-logs/sanitized.json"
else
    set -- "$folder/meson-logs/tests.json"
fi
python3 "$root/tests/summary.py" "$@" || status=1
exit "$status"
