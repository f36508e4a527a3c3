# SPDX-License-Identifier: Apache-2.0
"""What the command makes of photos and tensors, against Pillow and NumPy. See command.py."""
import unittest

from command import FLOAT, CommandTest, Image, TensorProto, node, numpy, numpy_helper
from PIL import ImageOps


class Photos(CommandTest):
    def input_of(self, photo, **metadata):
        """The tensor that a photo became."""
        self.call('run', self.identity(**metadata), photo, '--output', 'out')
        return numpy.load(self.folder / 'out' / 'y.npy')[0]

    def save(self, image, name, **options):
        image.save(self.folder / name, **options)
        return self.folder / name

    def coffee(self):
        return Image.open(self.photo('source.png', 61, 43)).convert('RGB')

    def check(self, got, image, levels=0.0):
        """`got` is the image to within that many levels of 255."""
        wanted = numpy.asarray(image.convert('RGB'), numpy.float32).transpose(2, 0, 1) / 255
        self.assertEqual(got.shape, wanted.shape)
        self.assertLessEqual(abs(got - wanted).max(), (levels + 1e-4) / 255)

    def test_png_modes(self):
        photo = self.coffee()
        alpha = photo.convert('L').point(lambda value: value // 2)
        rgba, grey_alpha = photo.copy(), photo.convert('L')
        rgba.putalpha(alpha)
        grey_alpha.putalpha(alpha)
        for image in [photo, photo.convert('1'), photo.convert('L'), photo.quantize(200), photo.quantize(5)]:
            self.check(self.input_of(self.save(image, 'photo.png')), image)
        self.check(self.input_of(self.save(rgba, 'photo.png')), photo)
        self.check(self.input_of(self.save(grey_alpha, 'photo.png')), photo.convert('L'))

    def test_png_of_16_bits(self):
        pixels = numpy.random.default_rng(0).integers(0, 65536, (20, 30), dtype=numpy.uint16)
        got = self.input_of(self.save(Image.fromarray(pixels), 'photo.png'))
        self.assertTrue(numpy.array_equal(got, numpy.broadcast_to(pixels.astype(numpy.float32) / 65535, (3, 20, 30))))

    def test_jpeg_kinds(self):
        photo = self.coffee()
        for image, options in [(photo, {}), (photo, {'progressive': True}), (photo, {'subsampling': 0}),
                               (photo.convert('L'), {}), (photo.convert('CMYK'), {})]:
            path = self.save(image, 'photo.jpg', quality=90, **options)
            # Two versions of libjpeg may round differently.
            self.check(self.input_of(path), Image.open(path), 2)

    def test_orientation(self):
        for orientation in range(1, 9):
            for name in ('photo.jpg', 'photo.png'):
                exif = Image.Exif()
                exif[0x0112] = orientation
                path = self.save(self.coffee(), name, exif=exif)
                self.check(self.input_of(path), ImageOps.exif_transpose(Image.open(path)), 2)

    def test_kind_is_not_the_extension(self):
        photo = self.coffee()
        self.check(self.input_of(self.save(photo, 'photo.jpg', format='PNG')), photo)

    def test_resize(self):
        path = self.photo('photo.png', 157, 91)
        planes = [plane.convert('F') for plane in Image.open(path).split()]
        for rule, size in [('exact=40x60', (60, 40)), ('exact=91x30', (30, 91)), ('exact=200x333', (333, 200)),
                           ('exact=1x1', (1, 1)), ('shorter=50', (86, 50)), ('longer=100', (100, 58)),
                           ('shorter=500,longer=300', (300, 174))]:
            got = self.input_of(path, image_resize=rule)
            wanted = numpy.stack([numpy.asarray(plane.resize(size, Image.Resampling.BILINEAR))
                                  for plane in planes]) / 255
            self.assertEqual(got.shape, wanted.shape, rule)
            self.assertLess(abs(got - wanted).max(), 1e-5, rule)

    def test_normalised_and_padded(self):
        path = self.photo('photo.png', 40, 30)
        pixels = numpy.asarray(Image.open(path), numpy.float32).transpose(2, 0, 1)[::-1] / 255
        got = self.input_of(path,
                            image_order='BGR',
                            image_mean='0.1,0.2,0.3',
                            image_std='0.5,0.25,2',
                            image_resize='multiple=32')
        self.assertEqual(got.shape, (3, 32, 64))
        wanted = (pixels - numpy.array([[[0.1]], [[0.2]], [[0.3]]], numpy.float32)) / numpy.array([[[0.5]], [[0.25]],
                                                                                                   [[2]]])
        self.assertLess(abs(got[:, :30, :40] - wanted).max(), 1e-6)
        self.assertFalse(got[:, 30:].any() or got[:, :, 40:].any())

    def test_fixed_size_of_the_model(self):
        path = self.photo('photo.png', 157, 91)
        self.call('run', self.identity(size=(24, 32)), path, '--output', 'out')
        self.assertEqual(numpy.load(self.folder / 'out' / 'y.npy').shape, (1, 3, 24, 32))


class Tensors(CommandTest):
    """Files as NumPy and onnx write them, and back."""

    def passed_through(self, value, kind, path):
        shape = list(value.shape)
        model = self.model('same.onnx', [node('Identity', ['x'], ['y'])], [('x', kind, shape)], [('y', kind, None)])
        self.call('run', model, '--input', f'x={path}', '--output', 'out')
        got = numpy.load(self.folder / 'out' / 'y.npy')
        self.assertEqual((got.dtype, got.shape, got.flags.c_contiguous), (value.dtype, value.shape, True))
        self.assertEqual(got.tobytes(), value.tobytes())

    def test_types_and_shapes(self):
        random = numpy.random.default_rng(0)
        for dtype, kind in [('float32', FLOAT), ('int32', TensorProto.INT32), ('int64', TensorProto.INT64),
                            ('bool', TensorProto.BOOL)]:
            for shape in [(2, 3, 4, 5), (7, ), (1, 6)]:
                value = (random.standard_normal(shape) * 100).astype(dtype)
                self.passed_through(value, kind, self.array('x.npy', value))
                self.passed_through(value, kind, self.array('x.npy', numpy.asfortranarray(value)))
                path = self.folder / 'x.pb'
                path.write_bytes(numpy_helper.from_array(value, 'x').SerializeToString())
                self.passed_through(value, kind, path)

    def test_refused(self):
        model = self.identity()
        for value, says in [(numpy.zeros((1, 3, 4, 4)), '<f8'), (numpy.zeros((1, 3, 4, 4), '>f4'), '>f4'),
                            (numpy.zeros((1, 3, 4), numpy.float32), "'x'"),
                            (numpy.zeros((1, 3, 4, 4), numpy.int32), "'x'"),
                            (numpy.zeros((1, 4, 4, 4), numpy.float32), "'x'")]:
            self.refused('run', model, '--input', f'x={self.array("x.npy", value)}', says=says)
        (self.folder / 'x.pb').write_bytes(b'\xff\xff\xff')
        self.refused('run', model, '--input', 'x=x.pb', says='x.pb')
        (self.folder / 'x.txt').write_text('1 2 3')
        self.refused('run', model, '--input', 'x=x.txt', says='x.txt')
        self.refused('run', model, '--input', 'x=nowhere.npy', says='nowhere.npy')
        self.refused('run', model, '--input', f'x={self.folder}', says='not a regular file')


if __name__ == '__main__':
    unittest.main()
