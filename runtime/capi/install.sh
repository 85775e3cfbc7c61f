#!/usr/bin/env bash
# Installs libkinograph for programs in C and C++:
#
#   install.sh PREFIX [CARGO OPTIONS]     builds it first, for example with --no-default-features --features png
#   install.sh --from DIRECTORY PREFIX    takes it from a directory where cargo built it
#
#   PREFIX/include/kinograph.h
#   PREFIX/lib/libkinograph.so -> libkinograph.so.ABI, libkinograph.a (on macOS: .dylib)
#   PREFIX/lib/pkgconfig/kinograph.pc
#   PREFIX/lib/cmake/kinograph/
#
# In cargo's directory the library is called libkinograph_capi, as `kinograph` is the Rust crate there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  echo "usage: install.sh [--from DIRECTORY] PREFIX [CARGO OPTIONS]" >&2
  exit 2
}

from=
if [ "${1:-}" = --from ]; then
  [ $# -ge 2 ] || usage
  from=$2
  shift 2
fi
case "${1:-}" in '' | -*) usage ;; esac
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
shift

if [ -z "$from" ]; then
  target=${CARGO_TARGET_DIR:-$here/../../target}
  cargo build --release --manifest-path "$here/Cargo.toml" --target-dir "$target" "$@"
  from=$target/release
fi

abi=$(sed -n 's/^#define KINOGRAPH_ABI_VERSION \([0-9]*\)$/\1/p' "$here/include/kinograph.h")
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$here/../../Cargo.toml")
case "$(uname -s)" in
  Darwin) built=libkinograph_capi.dylib shared=libkinograph.$abi.dylib link=libkinograph.dylib libs="-liconv -lSystem -lm" ;;
  Linux) built=libkinograph_capi.so shared=libkinograph.so.$abi link=libkinograph.so libs="-lm -ldl -lpthread" ;;
  *) built=libkinograph_capi.so shared=libkinograph.so.$abi link=libkinograph.so libs="-lm -lpthread" ;;
esac

# A template with its values filled in.
plain=$(printf '%s' "$prefix" | sed 's/[&|\\]/\\&/g')
fill() {
  sed -e "s|@PREFIX@|$plain|g" -e "s|@VERSION@|$version|g" -e "s|@SHARED@|$shared|g" -e "s|@SYSTEM_LIBS@|$libs|g" "$1"
}

lib=$prefix/lib
mkdir -p "$prefix/include" "$lib/pkgconfig" "$lib/cmake/kinograph"
install -m 644 "$here/include/kinograph.h" "$prefix/include/"
install -m 755 "$from/$built" "$lib/$shared"
install -m 644 "$from/libkinograph_capi.a" "$lib/libkinograph.a"
ln -sf "$shared" "$lib/$link"
fill "$here/install/kinograph.pc.in" >"$lib/pkgconfig/kinograph.pc"
for name in kinograph-config kinograph-config-version; do
  fill "$here/install/$name.cmake.in" >"$lib/cmake/kinograph/$name.cmake"
done
echo "installed libkinograph $version (binary interface $abi) in $prefix"
