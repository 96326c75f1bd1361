#!/bin/sh
# switch-to-configuration: activate this system and restart the units that differ.
# Exit 4 if one of them fails, as NixOS does.
set -eu
PATH=/usr/bin:/bin
system=@system@

case ${1-} in
  switch | test | boot) ;;
  *)
    echo "usage: switch-to-configuration switch|test|boot" >&2
    exit 1
    ;;
esac
[ "$1" = boot ] && exit 0

old=$(readlink -f /run/current-system || true)
changed='' gone=''
for file in "$system"/etc/systemd/system/*.service; do
  unit=${file##*/}
  [ -f "$file" ] || continue
  cmp -s "$file" "$old/etc/systemd/system/$unit" || changed="$changed $unit"
done
for file in "$old"/etc/systemd/system/*.service; do
  unit=${file##*/}
  [ -e "$file" ] && [ ! -e "$system/etc/systemd/system/$unit" ] && gone="$gone $unit"
done
[ -z "$gone" ] || systemctl stop $gone || true
"$system/activate"
systemctl daemon-reload
[ -z "$changed" ] || systemctl restart $changed || exit 4
