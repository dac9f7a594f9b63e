#!/usr/bin/env bash
# Builds the container image without an engine and tries what is in it. Needs root and Debian's buildah.
#
# Where the base image cannot be pulled, a stand-in of Debian and its Python takes its place.
# The server runs as compose runs it: read-only root, /tmp in memory, no capabilities, no new privileges.
# Not tried: limits of memory and processes, and the timer of HEALTHCHECK (its command is).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { echo "image: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
for tool in buildah mmdebstrap; do
    command -v "${tool}" > /dev/null || fail "nothing was checked, ${tool} is missing; Debian: apt-get install buildah mmdebstrap"
done

work=$(mktemp -d)
server=
clean_up() {
    [ -z "${server}" ] || kill -- "-${server}" 2> /dev/null || true
    store umount --all > /dev/null 2>&1 || true
    rm -rf "${work}"
}
trap clean_up EXIT
store() { buildah --root "${work}/root" --runroot "${work}/run" --storage-driver vfs "$@"; }
inside() { store run --isolation chroot "$@"; }

arguments=()
base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)
if store pull --quiet "${base}" > /dev/null 2>&1; then
    say "base is ${base}"
else
    say "base ${base} is out of reach; making a stand-in from Debian"
    base=localhost/stand-in
    arguments=(--build-arg "PYTHON_IMAGE=${base}" --build-arg BASE_WITHOUT_DIGEST=yes)
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
        bookworm "${work}/base.tar" # its Python is 3.11
    container=$(store from scratch)
    store add --quiet "${container}" "${work}/base.tar" / > /dev/null
    inside "${container}" -- ln -s /usr/bin/python3 /usr/local/bin/python
    store commit --quiet "${container}" "${base}" > /dev/null
    rm "${work}/base.tar"
fi

# The build sees the machine's certificates and pip settings, and keeps neither.
mounts=()
for path in /etc/ssl/certs /etc/pip.conf; do
    [ ! -e "${path}" ] || mounts+=(--volume "${path}:${path}:ro")
done
SECONDS=0
store bud --quiet --isolation chroot --format docker --network host --pull-never "${mounts[@]}" "${arguments[@]}" --tag encodery . \
    > "${work}/build.log" 2>&1 || { cat "${work}/build.log"; fail "the build"; }
say "built in ${SECONDS} s"

config() { store inspect --type image --format "$1" encodery; }
[ "$(config '{{.Docker.Config.User}}')" = 10001:10001 ] || fail "the user is $(config '{{.Docker.Config.User}}')"
config '{{.Docker.Config.Healthcheck}}' | grep -q encodery.probe || fail "there is no health check"

container=$(store from --pull-never encodery)
tree=$(store mount "${container}")
say "$(du -sm "${tree}" | cut -f1) MB in all, $(du -sm "${tree}/opt/venv" | cut -f1) MB of it dependencies," \
    "$(du -sm "${tree}/srv/models" | cut -f1) MB models"
for name in torch transformers pip training tests; do
    found=$(find "${tree}/opt" "${tree}/srv" -maxdepth 6 -type d -name "${name}" -not -path '*/site-packages/*/*')
    [ -z "${found}" ] || fail "${name} is in the image: ${found}"
done
writable=$(inside "${container}" -- find /srv /opt -not -type l -writable)
[ -z "${writable}" ] || fail "the user may write ${writable}"

# The image's command on another port, locked down as in docker-compose.yml.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mapfile -t command < <(config '{{range .Docker.Config.Cmd}}{{println .}}{{end}}' | sed '/^$/d')
mapfile -t environment < <(config '{{range .Docker.Config.Env}}{{println .}}{{end}}' | sed '/^$/d')
environment+=("ENCODERY_LISTEN_PORT=${port}")
mapfile -t health < <(config '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | sed '/^$/d; /^CMD$/d')
cat > "${work}/lock_down.sh" << 'SH'
set -eu
tree=$1
shift
mount --bind "${tree}" "${tree}"
mount -o remount,bind,ro "${tree}"
mount -t tmpfs -o size=64m,noexec,nosuid,nodev tmpfs "${tree}/tmp"
mount --rbind /proc "${tree}/proc"
mount --rbind /dev "${tree}/dev"
exec chroot "${tree}" setpriv --reuid=10001 --regid=10001 --clear-groups \
    --bounding-set=-all --inh-caps=-all --no-new-privs env --ignore-environment --chdir=/srv/encodery "$@"
SH
set -m # a process group of its own, so that all of it can be stopped
unshare --mount bash "${work}/lock_down.sh" "${tree}" "${environment[@]}" "${command[@]}" \
    > "${work}/server.log" 2>&1 &
server=$!
set +m
SECONDS=0
until inside --env "ENCODERY_LISTEN_PORT=${port}" "${container}" -- "${health[@]}" > "${work}/health.log" 2>&1; do
    kill -0 "${server}" 2> /dev/null || { cat "${work}/server.log"; fail "the server stopped"; }
    [ "${SECONDS}" -lt 60 ] || { cat "${work}/server.log" "${work}/health.log"; fail "not ready in 60 s"; }
    sleep 0.5
done
for privilege in '^NoNewPrivs:\s*1$' '^CapBnd:\s*0*$'; do
    grep -q "${privilege}" "/proc/${server}/status" || fail "the server kept privileges, no ${privilege}"
done
inside_root="/proc/${server}/root"
! touch "${inside_root}/srv/written" 2> /dev/null || fail "the root is not read-only"
say "ready after ${SECONDS} s, as uid $(stat -c %u "/proc/${server}")"
inside "${container}" -- python -c "
import json, urllib.request
request = urllib.request.Request('http://127.0.0.1:${port}/encode', b'{\"inputs\": \"a first vector\"}', {'Content-Type': 'application/json'})
answer = json.load(urllib.request.urlopen(request, timeout=10))
assert len(answer['embeddings'][0]) == answer['dim'], answer
print('image: encoded a text into', answer['dim'], 'numbers by', answer['model'], answer['version'])
" || { cat "${work}/server.log"; fail "no vector came back"; }
! grep -i telemetry "${work}/server.log" || fail "onnxruntime tried to report to its makers"
kill -TERM -- "-${server}"
wait "${server}" && status=0 || status=$?
server=
case "${status}" in 0 | 143) ;; *) fail "the server ended with ${status} on SIGTERM" ;; esac
python3 - "${port}" << 'PYTHON' || fail "the server outlived SIGTERM"
import socket, sys
with socket.socket() as probe:
    sys.exit(probe.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0)
PYTHON
say "passed; not tried: limits of memory and processes, the health check's timer"
