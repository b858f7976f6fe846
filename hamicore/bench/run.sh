#!/bin/sh
# Usage: OUT=libraries BUILD=objects FAKE=fake-driver run.sh RESULT-FILE
set -eu
result=$1
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$result")"

${CC:-cc} -O2 -std=gnu11 -Wall -Wextra -Werror -I"$here/include" -I"$here/src" -o "$BUILD/bench" \
    "$here/bench/bench.c" "$here/src/hc_elf.c" -ldl
${CC:-cc} -O2 -std=gnu11 -Wall -Wextra -Werror -I"$here/include" -I"$here/src" -o "$BUILD/mkfiles" \
    "$here/test/mkfiles.c" "$here/src/hc_region.c" "$here/src/hc_sys.c"

export FAKEGPU_STATE="$work/state" LD_LIBRARY_PATH="$FAKE/lib" HC_TEST_DIR="$work"
"$FAKE/bin/fakegpu-ctl" init --config "$here/../test/fakegpu/cards.json" --state "$FAKEGPU_STATE" --cards 1
uuid=$("$FAKE/bin/fakegpu-ctl" dump | grep -o 'GPU-[0-9a-f-]*' | head -n 1)
"$BUILD/mkfiles" "$work" "$uuid" 40000 300
LD_PRELOAD="$OUT/libvgpu-test.so" "$BUILD/bench" "$OUT/libvgpu.so" "$result"
