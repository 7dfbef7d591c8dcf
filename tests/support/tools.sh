#!/usr/bin/env bash
# Gets the programs that some tests need, out of Debian's packages: downloaded and unpacked into .tools/,
# not installed, so that no service starts and nothing outside this checkout changes.
# Programs that are on PATH already are left alone. Arguments narrow it down to the programs that they name.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/../.."

tools="$PWD/.tools"
# Programs for administrators lie where users do not look, and so do those of a PostgreSQL that is installed.
export PATH="$PATH:/usr/sbin:/sbin"
for folder in /usr/lib/postgresql/*/bin; do
  PATH+=":$folder"
done
system="$tools/debian"
packages=()
only=("$@")

# want PROGRAM PACKAGE...: remember the packages where the program is missing
want() {
  local program=$1
  shift
  if [ ${#only[@]} -gt 0 ] && [[ " ${only[*]} " != *" $program "* ]]; then
    return
  fi
  if [ -x "$tools/bin/$program" ] || command -v "$program" >/dev/null; then
    echo "  $program: here already"
  else
    echo "  $program: from Debian's $*"
    packages+=("$@")
  fi
}

# unpack PACKAGE...: the packages and whatever they need that is not installed
unpack() {
  local archives="$tools/archives" package
  mkdir -p "$archives/partial" "$system" "$tools/bin"
  if [ "$(id -u)" = 0 ]; then
    apt-get update --quiet --quiet
  fi
  apt-get install --quiet --quiet --yes --download-only --no-install-recommends \
    -o Dir::Cache::archives="$archives" -o APT::Sandbox::User=root -o Debug::NoLocking=true "$@"
  for package in "$archives"/*.deb; do
    dpkg-deb --extract "$package" "$system"
  done
  rm -r "$archives"
}

# launch NAME COMMAND...: write .tools/bin/NAME, which runs the command on the unpacked packages
launch() {
  local name=$1 libraries
  shift
  libraries=$(find "$system" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd :)
  cat >"$tools/bin/$name" <<LAUNCHER
#!/bin/sh
export LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export FONTCONFIG_FILE="$tools/fonts.conf"
export PYTHONPATH="$system/usr/lib/python3/dist-packages\${PYTHONPATH:+:\$PYTHONPATH}"
exec $* "\$@"
LAUNCHER
  chmod +x "$tools/bin/$name"
}

# find_templates: Debian's Alertmanager reads its templates from a folder of the installed package, and does not start
# without them. The name is replaced, in the program, by one of the same length that leads to the unpacked folder, which its
# launcher opens.
find_templates() {
  local program="$system/usr/bin/prometheus-alertmanager" folder=/usr/share/prometheus/alertmanager
  [ -x "$program" ] || return 0
  sed -i "s#$folder#/proc/self/fd/9/./././././././././#g" "$program"
  sed -i "s#^exec .*#& 9<\"$system$folder\"#" "$tools/bin/prometheus-alertmanager"
}

# fonts: have unpacked programs find the unpacked fonts, and the machine's own
fonts() {
  cat >"$tools/fonts.conf" <<FONTS
<?xml version="1.0"?>
<fontconfig>
  <dir>$system/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>$tools/fonts</cachedir>
</fontconfig>
FONTS
}

swift=(swift-proxy swift-account swift-container swift-object)

command -v apt-get >/dev/null || {
  echo "These programs come from Debian's packages, and there is no apt-get here." >&2
  echo "Install chromium, promtool, prometheus-alertmanager, amtool, OpenStack Swift's servers, PostgreSQL 15 and HAProxy yourself, on PATH." >&2
  exit 1
}

echo "Programs for the tests:"
want promtool prometheus
want prometheus-alertmanager prometheus-alertmanager
want swift-python "${swift[@]}"
want chromium chromium fonts-dejavu-core
want ip iproute2
want mkfs.ext4 e2fsprogs
want e2fsck e2fsprogs
want postgres postgresql-15
want haproxy haproxy

if [ ${#packages[@]} -gt 0 ]; then
  unpack "${packages[@]}"
  fonts
  python=/usr/bin/python3
  [ -x "$python" ] || python="$system/usr/bin/python3"
  if [ -d "$system/usr/lib/python3/dist-packages/swift" ]; then
    launch swift-python "$python"  # a Python that can import swift
  fi
  for program in "$system"/usr/bin/{promtool,prometheus,prometheus-alertmanager,amtool} "$system"/usr/lib/chromium/chromium \
    "$system"/{usr/,}{bin,sbin}/ip "$system"/{usr/,}sbin/{mkfs.ext4,e2fsck} "$system"/usr/sbin/haproxy \
    "$system"/usr/lib/postgresql/*/bin/{createdb,dropdb,initdb,pg_basebackup,pg_dump,pg_restore,postgres}; do
    if [ -x "$program" ]; then
      launch "$(basename "$program")" "$program"
    fi
  done
  find_templates
fi
echo "All here."
