#!/bin/sh
# The Debian package's life on this machine's Debian, run by `unshare --mount`: all that it writes goes to memory, and no service runs.
# deb-life.sh PACKAGE
set -eu
deb=$1

memory=/mnt
mount -t tmpfs -o size=1500m tmpfs "$memory"
for folder in usr etc var; do
  mkdir -p "$memory/$folder/upper" "$memory/$folder/work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$memory/$folder/upper,workdir=$memory/$folder/work" "/$folder"
done
# No Docker and no systemd: both have their sockets here.
mount -t tmpfs tmpfs /run
unset DOCKER_HOST

files() {
  # The Docker of this machine works on meanwhile.
  find /etc /var/lib /usr/bin /usr/lib/fairlead /lib/systemd/system/ /usr/share/man/man1 /usr/share/bash-completion \
    -not -path '/var/lib/dpkg/*' -not -path '/var/lib/docker/*' \
    -not -path '/var/lib/systemd/deb-systemd-helper-*' -not -path '/etc/*-' -not -path /etc/.pwd.lock 2> /dev/null | sort
}
told() { printf '== %s\n' "$*"; }

files > "$memory/before"
told install
dpkg -i "$deb" 2>&1
stat -c '%a %U:%G %n' /etc/fairlead /etc/fairlead/*
getent passwd fairlead
ls /etc/systemd/system/multi-user.target.wants/fairlead.service
fairlead serve --check-config
told "the command is refused what dpkg does"
fairlead service install 2>&1 && exit 1
told "install again"
sha256sum /etc/fairlead/* > "$memory/sums"
dpkg -i "$deb" 2>&1
sha256sum -c "$memory/sums"
told remove
mkdir -p /var/lib/fairlead
echo 0123456789abcdef > /var/lib/fairlead/instance
dpkg -r fairlead 2>&1
sha256sum -c "$memory/sums"
ls /var/lib/fairlead
[ ! -e /usr/bin/fairlead ] && [ ! -e /usr/lib/fairlead ]
told purge
dpkg -P fairlead 2>&1
! getent passwd fairlead
files > "$memory/after"
diff "$memory/before" "$memory/after"
told "nothing is left"
