#!/usr/bin/env bash
# Browser tests drive Debian's chromium; installs it where that is allowed and it is missing.
set -euo pipefail
if command -v "${CHROMIUM:-chromium}" >/dev/null; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Browser tests need chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM." >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
