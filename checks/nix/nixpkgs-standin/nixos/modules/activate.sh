#!/bin/sh
# Make this system the one that /etc and /run/current-system show. Runs before systemd
# at boot, and again from switch-to-configuration.
set -eu
PATH=/usr/bin:/bin
system=@system@

mkdir -p /etc/systemd/system /run
# What an earlier system put there and this one has not.
if [ -e /etc/.standin ]; then
  while read -r unit; do
    rm -rf "/etc/systemd/system/$unit"
  done </etc/.standin
fi
(cd "$system/etc/systemd/system" && ls) >/etc/.standin
cp -a "$system/etc/systemd/system/." /etc/systemd/system/

{
  printf 'root:x:0:0:root:/root:/bin/sh\n'
  cat "$system/etc/passwd" && echo
  printf 'messagebus:x:101:101::/nonexistent:/usr/sbin/nologin\n'
  printf 'nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n'
} >/etc/passwd
{
  printf 'root:x:0:\ntty:x:5:\nutmp:x:43:\nadm:x:4:\nsystemd-journal:x:102:\n'
  cat "$system/etc/group" && echo
  printf 'messagebus:x:101:\nnogroup:x:65534:\n'
} >/etc/group
[ -e /etc/nsswitch.conf ] || printf 'passwd: files\ngroup: files\nhosts: files dns\n' >/etc/nsswitch.conf
ln -sfn "$system" /run/current-system
