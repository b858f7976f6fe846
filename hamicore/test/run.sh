#!/bin/sh
# Runs the library over the fake driver. Usage: OUT=libraries BUILD=objects FAKE=fake-driver run.sh
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc="${CC:-cc} -O2 -std=gnu11 -Wall -Wextra -Werror -I$here/include -I$here/src -I$here/test -pthread"

$cc -o "$BUILD/mkfiles" "$here/test/mkfiles.c" "$here/src/hc_region.c" "$here/src/hc_sys.c" || exit 1
$cc -o "$BUILD/e2e" "$here/test/e2e.c" -ldl || exit 1
$cc -DDIRECT -o "$BUILD/e2e-direct" "$here/test/e2e.c" -L"$FAKE/lib" -l:libcuda.so.1 -ldl || exit 1

export FAKEGPU_STATE="$work/state" LD_LIBRARY_PATH="$FAKE/lib" HC_TEST_DIR="$work/files"
"$FAKE/bin/fakegpu-ctl" init --config "$here/../test/fakegpu/cards.json" --state "$FAKEGPU_STATE" --cards 1 || exit 1
uuid=$("$FAKE/bin/fakegpu-ctl" dump | grep -o 'GPU-[0-9a-f-]*' | head -n 1)
failed=0

# A behaviour, its sentence, and the program; fresh files for each.
check() {
    rm -rf "$HC_TEST_DIR" && mkdir -p "$HC_TEST_DIR"
    "$BUILD/mkfiles" "$HC_TEST_DIR" "$uuid" 3000 300
    case $1 in
    closed) echo damaged > "$HC_TEST_DIR/limits" ;;
    unlimited) rm "$HC_TEST_DIR/limits" ;;
    esac
    if (LD_PRELOAD="$OUT/libvgpu-test.so" CUDA_DEVICE_MEMORY_LIMIT=999g "$BUILD/$3" "$1") 2> "$work/err"; then
        echo "ok: $2"
    else
        echo "FAIL: $2"
        cat "$work/err"
        failed=1
    fi
}

check limit "2500 MiB fit under 3000 with a context of 300, 400 more do not, freed memory returns" e2e
check paths "managed, pitched and physical memory are charged and given back" e2e
check pools "stream-ordered memory is charged by what its pool has reserved" e2e
check contexts "contexts are charged, and take their allocations with them" e2e
check lookups "dlsym and both generations of cuGetProcAddress give the right hook" e2e
check caller "look-ups by caller keep their meaning, twice" e2e
check harmless "umask, signal handlers and errno stay as they were" e2e
check nvml "NVML shows the slice" e2e
check direct "a program linked to the driver is limited" e2e-direct
check race "two racing processes get exactly the slice" e2e
check fork-storm "1,000 forks while threads allocate: none hangs" e2e
check kill-storm "60 processes killed at random: nothing stays charged" e2e
check exec "a process that executes itself starts with nothing" e2e
check closed "a damaged limits file refuses the GPU" e2e
check unlimited "without a limits file everything is forwarded" e2e
exit $failed
