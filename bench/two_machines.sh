#!/usr/bin/env bash
# train_on_cluster() over a network, on one Linux machine: three network namespaces (a driver, node1, node2) with
# addresses, host names, process tables and /tmp of their own, joined by a bridge. node1 and node2 run sshd and see the
# training's folder by sshfs alone. As on a fresh Debian, each of them calls itself 127.0.1.1.
#
#   bench/two_machines.sh [scenario ...]     (as root; default: all; bench/two_machines/driver.R says what they are)
#
# R finds the package and its Python as in any session (R_LIBS, KERASBRIDGE_VENV). Nothing stays behind: the namespaces
# end with this script.

set -eu
here=$(cd "$(dirname "$0")" && pwd)

lacks=
[ "$(id -u)" = 0 ] || lacks="$lacks root;"
for program in ip unshare sshd ssh ssh-keygen sshfs Rscript; do
  command -v "$program" > /dev/null || lacks="$lacks the program $program;"
done
[ -c /dev/fuse ] || lacks="$lacks /dev/fuse;"
if [ -n "$lacks" ]; then
  echo "Two machines can't be made here, for want of:$lacks" >&2
  echo "Debian: apt-get install iproute2 util-linux openssh-server openssh-client sshfs r-base-core" >&2
  exit 2
fi

work=$(mktemp -d /var/tmp/two-machines-XXXXXX) # not under /tmp, which each machine has for itself
tag=$(basename "$work" | tr -dc 'A-Za-z0-9' | tail -c 6)
export work tag
mkdir "$work/shared" "$work/keys"
home=$(getent passwd 0 | cut -d: -f6)
export home
made_ssh=; [ -d "$home/.ssh" ] || { mkdir -m 700 "$home/.ssh"; made_ssh=yes; } # something to mount over
mkdir -p /run/sshd
pids=()

clean() {
  trap - EXIT
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2> /dev/null || true; done # each takes its machine along
  sleep 0.5
  for name in driver node1 node2; do ip netns del "$tag-$name" 2> /dev/null || true; done
  rm -rf --one-file-system "$work"
  [ -z "$made_ssh" ] || rmdir "$home/.ssh" 2> /dev/null || true
}
trap clean EXIT
trap 'exit 130' INT TERM

ssh-keygen -q -t ed25519 -N '' -f "$work/keys/id"
ssh-keygen -q -t ed25519 -N '' -f "$work/keys/host"
cat > "$work/keys/config" << END
Host *
  User root
  IdentityFile $work/keys/id
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  UserKnownHostsFile $work/keys/known
END
for name in driver node1 node2; do echo "$name $(cut -d' ' -f1,2 "$work/keys/host.pub")"; done > "$work/keys/known"

# the network: a switch that stands in the driver's namespace, a cable to each node
for name in driver node1 node2; do ip netns add "$tag-$name"; ip -n "$tag-$name" link set lo up; done
ip -n "$tag-driver" link add switch type bridge
ip -n "$tag-driver" addr add 10.77.0.1/24 dev switch
ip -n "$tag-driver" link set switch up
number=10
for name in node1 node2; do
  number=$((number + 1))
  ip -n "$tag-driver" link add "to-$name" type veth peer name eth0 netns "$tag-$name"
  ip -n "$tag-driver" link set "to-$name" master switch up
  ip -n "$tag-$name" addr add "10.77.0.$number/24" dev eth0
  ip -n "$tag-$name" link set eth0 up
done

# hosts NAME: what each machine knows of names; its own is that of a fresh Debian
hosts() {
  echo "127.0.0.1 localhost"
  for one in driver:1 node1:11 node2:12; do
    if [ "${one%:*}" = "$1" ]; then echo "127.0.1.1 $1"; else echo "10.77.0.${one#*:} ${one%:*}"; fi
  done
}

# as_machine NAME COMMAND...: go on as it, with all that makes NAME a machine of its own
as_machine() {
  name=$1; shift
  hosts "$name" > "$work/hosts-$name"
  exec ip netns exec "$tag-$name" unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
    bash -c '
      set -eu
      name=$1; shift
      hostname "$name"
      mount -t tmpfs none /tmp; mount -t tmpfs none /dev/shm; mount -t tmpfs none /run; mkdir -m 755 /run/sshd
      mount --bind "$work/hosts-$name" /etc/hosts
      mount -t tmpfs -o mode=700 none "$home/.ssh"; install -m 600 "$work/keys/config" "$home/.ssh/config"
      /usr/sbin/sshd -E "$work/sshd-$name.log" -f /dev/null -h "$work/keys/host" -o PidFile=none -o UsePAM=no \
        -o PermitRootLogin=yes -o StrictModes=no -o "AuthorizedKeysFile=$work/keys/id.pub" \
        -o PasswordAuthentication=no -o "Subsystem=sftp internal-sftp" -o PrintMotd=no
      exec "$@"' bash "$name" "$@"
}

# the nodes see the folder through the network alone
node='until sshfs "driver:$work/shared" "$work/shared" 2> "$work/sshfs-$(hostname)"; do sleep 0.2; done
touch "$work/up-$(hostname)"; exec sleep infinity'
as_machine driver sleep infinity & pids+=($!)
for name in node1 node2; do as_machine "$name" bash -c "$node" & pids+=($!); done
disown -a # their ends are no news
for name in node1 node2; do
  for _ in $(seq 100); do [ -e "$work/up-$name" ] && break; sleep 0.1; done
  [ -e "$work/up-$name" ] || { echo "$name didn't come up: $(cat "$work/sshfs-$name" "$work/sshd-$name.log")" >&2; exit 1; }
done
nsenter --target "$(pgrep -P "${pids[0]}")" --mount --uts --ipc --net --pid env TMPDIR=/tmp \
  Rscript "$here/two_machines/driver.R" "$work" "$tag" "$@"
