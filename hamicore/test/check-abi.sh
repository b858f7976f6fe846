#!/bin/sh
# Fails when the library could be refused by an old loader, which would leave a container unlimited
# without a word, or when it exports a name that is not the driver's.
set -eu
lib=$1
fail=0

needed=$(readelf -dW "$lib" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' | tr '\n' ' ')
if [ "$needed" != "libc.so.6 " ]; then
    echo "check-abi: $lib needs $needed, want libc.so.6 alone" >&2
    fail=1
fi

for version in $(readelf -VW "$lib" | grep -o 'GLIBC_[0-9.]*' | sort -u); do
    highest=$(printf '%s\n2.17\n' "${version#GLIBC_}" | sort -V | tail -n 1)
    if [ "$highest" != 2.17 ]; then
        echo "check-abi: $lib needs $version, want at most GLIBC_2.17" >&2
        readelf --dyn-syms -W "$lib" | grep "@$version" >&2 || true
        fail=1
    fi
done

if readelf -VW "$lib" | grep -q 'Version definition'; then
    echo "check-abi: $lib defines named versions" >&2
    fail=1
fi

foreign=$(readelf --dyn-syms -W "$lib" | awk '$7 != "UND" && $8 != "" && NR > 3 {print $8}' |
    grep -v -E '^(cu[A-Z][A-Za-z0-9_]*|nvml[A-Z][A-Za-z0-9_]*|dlsym|dlvsym)$' || true)
if [ -n "$foreign" ]; then
    echo "check-abi: $lib exports $foreign" >&2
    fail=1
fi

if readelf -lW "$lib" | grep GNU_STACK | grep -q RWE || readelf -dW "$lib" | grep -q TEXTREL; then
    echo "check-abi: $lib has an executable stack or text relocations" >&2
    fail=1
fi
exit $fail
