#!/bin/bash
# Installs the Debian packages that the embedded cluster, the C code and their tests need. Does nothing,
# quickly, when all are there. Without root it says what is missing.
set -eu

# command or file that shows a package's presence = package
wanted="
cc=gcc
make=make
/usr/include/stdio.h=libc6-dev
/usr/lib/x86_64-linux-gnu/libc.a=libc6-dev
clang=clang
clang-format=clang-format
git=git
ip=iproute2
iptables=iptables
mount=mount
nsenter=util-linux
runc=runc
/usr/lib/cni/bridge=containernetworking-plugins
busybox=busybox-static
"

packages=""
for pair in $wanted; do
    probe=${pair%%=*}
    package=${pair#*=}
    case $probe in
    /*) [ -e "$probe" ] && continue ;;
    *) command -v "$probe" >/dev/null 2>&1 && continue ;;
    esac
    case " $packages " in *" $package "*) ;; *) packages="$packages $package" ;; esac
done
# A dynamic busybox has the same name, and would not run in an image without its libraries.
if command -v busybox >/dev/null 2>&1 && ! dpkg-query -W -f '${Status}' busybox-static 2>/dev/null | grep -q '^install ok installed'; then
    case " $packages " in *" busybox-static "*) ;; *) packages="$packages busybox-static" ;; esac
fi

if ! command -v go >/dev/null 2>&1; then
    echo "prerequisites: Go 1.24 or newer is missing: see https://go.dev/doc/install" >&2
    exit 1
fi
[ -z "$packages" ] && exit 0

if [ "$(id -u)" != 0 ]; then
    echo "prerequisites: missing Debian packages:$packages" >&2
    echo "prerequisites: as root: apt-get install --no-install-recommends$packages" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "prerequisites: this is no Debian; install what provides:$packages" >&2
    exit 1
fi
echo "prerequisites: installing$packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# shellcheck disable=SC2086 # a list of package names
apt-get install -q -y --no-install-recommends $packages >/dev/null
echo "prerequisites: done"
