#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh checkout to pictures of where a sparse network looked at a photo.
set -eu
script=quickstart.sh
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/common.sh"

usage() {
    cat <<'END'
usage: sh tools/quickstart.sh [PHOTO]

Sets up (tools/setup.sh), builds into BUILD_DIR (default: build; CC chooses the compiler), makes a sparse ResNet-50 backbone with seeded
weights, and runs it on PHOTO (PNG or JPEG; one is shipped). Says where the outputs and the pictures of the sampling masks are.
END
}

case ${1-} in
--help | -h) usage && exit 0 ;;
-*) usage >&2 && exit 2 ;;
esac
[ $# -le 1 ] || { usage >&2 && exit 2; }
photo=${1:-$root/tools/photos/coffee.jpg}
[ -f "$photo" ] || fail "$photo: there is no such file"
case $photo in /*) ;; *) photo=$PWD/$photo ;; esac
folder=$(build_folder)
model=$folder/models/resnet50-sparse.onnx
results=$folder/quickstart

sh "$root/tools/setup.sh"
say "building into $folder"
build "$folder"

# Made once, and again when the zoo has changed.
if [ ! -f "$model" ] || [ -n "$(find "$root/tools/zoo" -name '*.py' -newer "$model")" ]; then
    say "making the model: ResNet-50, mean sampling density 0.3"
    mkdir -p "$folder/models"
    (cd "$root" && .venv/bin/python -m tools.zoo resnet50 --density 0.3 --photo tools/photos/coffee.jpg --output "$model.part") ||
        fail "the model could not be made: see above"
    mv "$model.part" "$model"
fi

say "running the model on $photo"
"$folder/tools/stipple" run "$model" "$photo" --masks "$results/masks" --output "$results/outputs" ||
    fail "the run failed: see above"
say "where the network looked, one picture per mask and a heat map over the photo: $results/masks"
say "the network's outputs as .npy files: $results/outputs"
