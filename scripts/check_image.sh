#!/usr/bin/env bash
# Builds the container image without an engine and tries what is in it. Needs root and Debian's buildah.
#
# Where the base image cannot be pulled, a stand-in of Debian and its Python takes the name.
# Not tried, since chroot isolation has neither: read-only root, dropped capabilities, the timer of HEALTHCHECK.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

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

base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)
if store pull --quiet "${base}" > /dev/null 2>&1; then
    say "base is ${base}"
else
    say "base ${base} is out of reach; making a stand-in from Debian"
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
store bud --quiet --isolation chroot --format docker --network host --pull-never "${mounts[@]}" --tag encodery . \
    > "${work}/build.log" 2>&1 || { cat "${work}/build.log"; fail "the build"; }
say "built in ${SECONDS} s"

config() { store inspect --type image --format "$1" encodery; }
[ "$(config '{{.Docker.Config.User}}')" = 10001:10001 ] || fail "the user is $(config '{{.Docker.Config.User}}')"
config '{{.Docker.Config.Healthcheck}}' | grep -q /health/ready || fail "there is no health check"

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

# The command of the image on another port, then its own health check and one request.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mapfile -t command < <(config '{{range .Docker.Config.Cmd}}{{println .}}{{end}}' | sed "/^$/d; s/^8000\$/${port}/")
mapfile -t health < <(config '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | sed "/^$/d; /^CMD\$/d; s/:8000/:${port}/")
set -m # a process group of its own, so that all of it can be stopped
inside "${container}" -- "${command[@]}" > "${work}/server.log" 2>&1 &
server=$!
set +m
SECONDS=0
until inside "${container}" -- "${health[@]}" > "${work}/health.log" 2>&1; do
    kill -0 "${server}" 2> /dev/null || { cat "${work}/server.log"; fail "the server stopped"; }
    [ "${SECONDS}" -lt 60 ] || { cat "${work}/server.log" "${work}/health.log"; fail "not ready in 60 s"; }
    sleep 0.5
done
say "ready after ${SECONDS} s, as uid $(inside "${container}" -- id -u)"
inside "${container}" -- python -c "
import json, urllib.request
request = urllib.request.Request('http://127.0.0.1:${port}/encode', b'{\"inputs\": \"a first vector\"}', {'Content-Type': 'application/json'})
answer = json.load(urllib.request.urlopen(request, timeout=10))
assert len(answer['embeddings'][0]) == answer['dim'], answer
print('image: encoded a text into', answer['dim'], 'numbers by', answer['model'], answer['version'])
" || { cat "${work}/server.log"; fail "no vector came back"; }
kill -TERM -- "-${server}"
wait "${server}" || true
server=
python3 - "${port}" << 'PYTHON' || fail "the server outlived SIGTERM"
import socket, sys
with socket.socket() as probe:
    sys.exit(probe.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0)
PYTHON
say "passed; not tried: read-only root, capabilities, the health check's timer"
