#!/bin/sh
# Each library must export exactly the symbols of its table, and need nothing but the C library.
#   exports.sh OUT
set -eu
check() {
    want=$(sed -n "s/^ *ROW($3.*/\1/p" "$2" | sort)
    got=$(nm -D --defined-only "$1" | awk '{print $3}' | grep -vx "${4:-}" | sort)
    if [ "$want" != "$got" ]; then
        echo "FAIL $1 exports other symbols than $2"
        printf '%s\n' "$want" >"$out/want.txt"
        printf '%s\n' "$got" | diff "$out/want.txt" - || true
        exit 1
    fi
    echo "ok    $(basename "$1") exports the $(echo "$want" | wc -l) symbols of $2, and no other"
}
out=$1
check "$out/lib/libcuda.so.1" cuda/api_table.h '[A-Za-z0-9]*, \([A-Za-z0-9_]*\),'
check "$out/lib/libnvidia-ml.so.1" nvml/api_table.h '\([A-Za-z0-9_]*\),' nvmlErrorString
