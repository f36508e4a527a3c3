# SPDX-License-Identifier: Apache-2.0
"""Masks follow the photo: test_follow.py STIPPLE. The quickstart's network on both photos, through one file."""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    from PIL import Image
except ImportError as missing:
    print(f'skipped: {missing}')
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHOTOS = [ROOT / 'tools/photos' / name for name in ('coffee.jpg', 'chelsea.jpg')]
LEAST = 0.3  # rank correlation of a place's sampling share with the local contrast


def local_contrast(photo, window=9):
    """Standard deviation of the grey value in a window, per pixel."""
    grey = numpy.asarray(Image.open(photo).convert('L'), numpy.float64) / 255
    views = numpy.lib.stride_tricks.sliding_window_view(numpy.pad(grey, window // 2, mode='edge'), (window, window))
    return views.std(axis=(2, 3))


def sampling_share(folder, size):
    """How often each pixel's place was sampled, over all masks."""
    masks = sorted(folder.glob('*.mask*.png'))
    assert masks, 'no mask was written'
    return sum(numpy.asarray(Image.open(mask).convert('L').resize(size, Image.NEAREST)) > 0 for mask in masks) / len(masks)


def ranks(values):
    """Ranks; equal values share the mean of theirs."""
    _, inverse, counts = numpy.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return (ends - (counts - 1) / 2)[inverse.ravel()]


def main():
    stipple = pathlib.Path(sys.argv[1]).resolve()
    worst = 1.0
    with tempfile.TemporaryDirectory() as name:
        model = pathlib.Path(name) / 'model.onnx'
        subprocess.run([sys.executable, '-m', 'tools.zoo', 'resnet50', '--photo', PHOTOS[0], '--output', model], cwd=ROOT, check=True)
        for photo in PHOTOS:
            masks = pathlib.Path(name) / photo.stem
            subprocess.run([stipple, 'run', model, photo, '--masks', masks], check=True, stdout=subprocess.DEVNULL)
            share = sampling_share(masks, Image.open(photo).size)
            found = numpy.corrcoef(ranks(share), ranks(local_contrast(photo)))[0, 1]
            print(f'{photo.name}: sampled {share.mean():.3f}, rank correlation with local contrast {found:.3f}')
            worst = min(worst, found)
    return 0 if worst >= LEAST else 1


if __name__ == '__main__':
    sys.exit(main())
