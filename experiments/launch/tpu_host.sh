#!/usr/bin/env bash
# What launch.py runs on the hosts of a TPU, in the repository's copy:
#   tpu_host.sh restore WORKDIR BUCKET                     the first host: brings the work directory back, if it is gone
#   tpu_host.sh run WORKDIR BUCKET MINUTES ARGUMENTS ...   every host: trains, and keeps a copy in the bucket
set -uo pipefail
verb=$1 workdir=$2 bucket=$3
shift 3
archive=$bucket/repcon_jax-${workdir//\//-}.tar

restore() {
    if [ -z "$bucket" ] || [ -d "$workdir" ]; then return 0; fi
    # A bucket that can't be read is not an empty one: starting afresh would overwrite what it holds.
    if ! listed=$(gcloud storage ls "$bucket"); then
        echo "error: bucket $bucket can't be listed from the TPU; give its service account access to it." >&2
        return 2
    fi
    if ! grep -qxF "$archive" <<<"$listed"; then return 0; fi
    rm -rf .restored && mkdir .restored && gcloud storage cp --quiet "$archive" .kept.tar &&
        tar -xf .kept.tar -C .restored && mkdir -p "$(dirname "$workdir")" && mv .restored "$workdir"
}

# Hard links stand still while training goes on, and an object in a bucket is replaced whole or not at all.
keep() (
    if [ -z "$bucket" ] || ! [ -d "$workdir" ]; then return 0; fi # only the first host has one
    flock 9
    rm -rf .kept && cp -al "$workdir" .kept || return
    tar -cf .kept.tar -C .kept .
    # 1: metrics.jsonl grew meanwhile, which a resumed run cuts off.
    if [ $? -le 1 ]; then gcloud storage cp --quiet .kept.tar "$archive"; fi
) 9>.kept.lock

run() {
    local minutes=$1 code keeper
    shift
    (while sleep "$((minutes * 60))"; do keep; done) >/dev/null 2>&1 &
    keeper=$!
    .venv/bin/python -m repcon_jax "$@" --distributed auto
    code=$?
    kill "$keeper"
    keep || echo "error: the work directory could not be copied to $bucket; fetch it before deleting the TPU." >&2
    return "$code"
}

"$verb" "$@"
