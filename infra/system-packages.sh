#!/bin/sh
# Installs the named Debian packages when root; otherwise says exactly what is missing.
# Missing packages never stop the build: what cannot run without them says so itself.
set -u
missing=""
for package in "$@"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing system packages:$missing" >&2
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # a list of package names
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 ||
    echo "could not install:$missing" >&2
else
  echo "missing system packages (run as root: apt-get install --no-install-recommends$missing)" >&2
fi
exit 0
