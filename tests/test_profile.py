# SPDX-License-Identifier: Apache-2.0
"""stipple profile: the timeline keeps to Chrome's trace format, and the picture is one. See command.py."""
import json
import unittest
import xml.etree.ElementTree

from command import CommandTest

SVG = '{http://www.w3.org/2000/svg}'


class Profile(CommandTest):
    def trace(self, *arguments):
        done = self.call('profile', *arguments, '--trace', 'trace.json')
        self.assertIn('trace    trace.json', done.stdout)
        return json.loads((self.folder / 'trace.json').read_text())

    def check_trace(self, trace):
        """The Trace Event Format: docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU."""
        self.assertLessEqual(set(trace), {'traceEvents', 'displayTimeUnit', 'otherData'})
        spans, waits = [], {}
        for event in trace['traceEvents']:
            self.assertIsInstance(event['name'], str)
            self.assertIn(event['ph'], ('X', 'M', 'b', 'n', 'e'))
            self.assertTrue(all(isinstance(event[key], int) for key in ('pid', 'tid')))
            self.assertIsInstance(event['ts'], (int, float))
            self.assertIsInstance(event.get('args', {}), dict)
            if event['ph'] == 'X':
                self.assertGreaterEqual(event['dur'], 0)
                spans.append(event)
            elif event['ph'] in 'bne':
                self.assertEqual(event['cat'], 'queue')
                waits.setdefault(event['id'], []).append((event['ph'], event['ts']))
        self.assertEqual(len(waits), len(spans))
        for phases in waits.values():
            self.assertEqual([phase for phase, _ in phases], ['b', 'n', 'e'])
            self.assertEqual(sorted(time for _, time in phases), [time for _, time in phases])
        for before, after in zip(spans, spans[1:]):  # the queue is in order
            self.assertLessEqual(before['ts'] + before['dur'], after['ts'] + 1e-3)
        return spans

    def test_trace(self):
        spans = self.check_trace(self.trace(*self.blocks()))
        names = [span['name'] for span in spans]
        self.assertEqual((spans[0]['cat'], names[0], spans[0]['args']['transfer']), ('transfer', 'x', 'write'))
        self.assertEqual({span['name'] for span in spans if span['args'].get('transfer') == 'read'}, {'y', 'z'})
        first = spans[names.index('first')]
        self.assertEqual((first['cat'], first['args']['op']), ('kernel', 'Conv'))
        self.assertIn(first['args']['kernel'], ('conv_rows', 'conv_tile'))
        self.assertEqual(first['args']['macs'], 20 * 24 * 8 * 3 * 9)
        self.assertIn('fill1', names)
        dense = self.check_trace(self.trace(*self.blocks(), '--dense', '--exact', '--runs', '1'))
        self.assertGreater(sum(span['args'].get('macs') or 0 for span in dense), sum(span['args'].get('macs') or 0 for span in spans))

    def test_roofline(self):
        model = self.blocks()
        strange = self.folder / 'a & <b>.onnx'
        strange.write_bytes(model[0].read_bytes())
        self.call('profile', strange, *model[1:], '--roofline', 'roof.svg')
        root = xml.etree.ElementTree.parse(self.folder / 'roof.svg').getroot()
        self.assertEqual(root.tag, SVG + 'svg')
        texts = [text.text for text in root.iter(SVG + 'text')]
        self.assertTrue(texts[0].startswith(f'{strange} on '), texts[0])
        titles = [title.text for title in root.iter(SVG + 'title')]
        self.assertTrue(any(title.startswith('first: ') for title in titles), titles)
        width, height = float(root.get('width')), float(root.get('height'))
        for circle in root.iter(SVG + 'circle'):
            self.assertTrue(0 < float(circle.get('cx')) < width and 0 < float(circle.get('cy')) < height)

    def test_photo(self):
        self.check_trace(self.trace(self.identity(), self.photo()))

    def test_usage(self):
        model = self.identity()
        self.refused('profile', model, self.photo(), code=2, says='--trace')
        self.refused('profile', '--trace', 'x', code=2, says='MODEL')
        self.refused('profile', model, self.photo(), self.photo('b.png'), '--trace', 'x', code=2, says='one PHOTO')
        self.refused('profile', model, self.photo(), '--trace', '/nowhere/x', says='/nowhere/x')
        self.refused('profile', model, self.photo(), '--roofline', '/nowhere/x', says='/nowhere/x')


if __name__ == '__main__':
    unittest.main()
