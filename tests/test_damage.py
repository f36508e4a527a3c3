# SPDX-License-Identifier: Apache-2.0
"""Damaged files (damage.py) of two small networks of the zoo, one that samples: no crash, no hang, no mute error, nothing half
written; and where both run, the same answer as ONNX Runtime's.

test_damage.py [--count N] [--seed N] --reference PROGRAM             with the C reference (ref_model)
test_damage.py [--count N] [--seed N] --command PROGRAM [OPTION…]     with `stipple run MODEL … OPTION…`"""
import argparse
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

try:
    import numpy
    import onnx
    from onnx import numpy_helper

    import damage
    from runners import Command, Reference
    from tools.zoo import compare, networks, photo
    from tools.zoo.layers import Settings
except ImportError as missing:
    print(f'test_damage: skipped: {missing}')
    sys.exit(77)

SECONDS = 120  # for one file; all take far less than one


def run_onnxruntime(data, feed, queue):
    import onnxruntime
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(data, options, ['CPUExecutionProvider'])
        known = [i.name for i in session.get_inputs()]
        names = [o.name for o in session.get_outputs()]
        queue.put(dict(zip(names, session.run(names, {k: v for k, v in feed.items() if k in known}))))
    except Exception as error:  # its exceptions have no common base
        queue.put(str(error))


def ask_onnxruntime(data, feed):
    """Its outputs, or why there are none. In a process of its own: a damaged file may take it down."""
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=run_onnxruntime, args=(data, feed, queue))
    process.start()
    try:
        return queue.get(timeout=SECONDS if process.is_alive() else 5)
    except Exception:  # queue.Empty
        return 'ONNX Runtime did not come back'
    finally:
        process.kill()
        process.join()


class Runner:
    def __init__(self, program, folder, feed):
        self.program, self.folder, self.feed = program, folder, feed
        for key, value in feed.items():
            (folder / f'{key}.pb').write_bytes(numpy_helper.from_array(value, key).SerializeToString())

    def run(self, path):
        """Outputs by file name, or the error's text. Raises AssertionError on what may never be."""
        with tempfile.TemporaryDirectory() as name:
            output = pathlib.Path(name)
            line = self.program.command(path, self.folder, self.feed, output)
            try:
                done = subprocess.run(line, capture_output=True, timeout=SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise AssertionError('it hangs') from None
            said, written = done.stderr.decode(errors='replace').strip(), sorted(output.iterdir())
            # 2: the input that is given on the command line is not in the damaged file.
            assert done.returncode in (0, 1, 2), f'it ended with {done.returncode}: {said[-3000:]}'
            # Sanitizers end a program with 1 too, or not at all.
            assert 'Sanitizer' not in said and 'runtime error' not in said, said[-3000:]
            if done.returncode == 0:
                return {file.name: numpy.load(file) for file in written}
            assert len(said) > 10, f'a mute error: "{said}"'
            assert not written, f'it failed ({said}), but wrote {written}'
            return said


def check_answer(runner, path, variant, outputs, samples):
    """Holds an answer against ONNX Runtime's: of a network that samples by replay, which takes the command."""
    must = variant['expect'] == 'run'
    if not samples:
        theirs = ask_onnxruntime(path.read_bytes(), runner.feed)
        if isinstance(theirs, str):
            assert not must, f'ONNX Runtime: {theirs}'
            return False
        for name, array in theirs.items():
            error, share = compare.check_output(outputs[compare.output_name(name) + '.npy'], array)
            assert not error, f"output '{name}': {error} ({share:.1e} of the largest magnitude)"
        return True
    if not must or not isinstance(runner.program, Command):
        return False
    for thing, error, detail in compare.compare_run(runner.program.program, path, runner.feed, runner.program.options):
        assert not error, f'{thing}: {error} {detail}'
    return True


def check_variant(runner, path, variant, samples, counts):
    result = runner.run(path)
    if isinstance(result, str):
        assert variant['expect'] != 'run', f'refused: {result}'
        counts['refused'] += 1
        return result
    assert variant['expect'] != 'error', 'accepted'
    counts['ran'] += 1
    counts['compared'] += check_answer(runner, path, variant, result, samples)
    return 'ran'


def check_network(network, program, options):
    """How many variants failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = networks.build(network, Settings(), photo.load(ROOT / 'tools' / 'photos' / 'coffee.jpg', (96, 64)))
        onnx.save(model, folder / 'good.onnx')
        feed = {'image': numpy.random.default_rng(0).standard_normal((1, 3, 33, 48)).astype(numpy.float32)}
        runner, samples = Runner(program, folder, feed), any(node.op_type == 'Sample' for node in model.graph.node)
        counts, failed = {'ran': 0, 'refused': 0, 'compared': 0}, 0
        for variant in damage.make(folder / 'good.onnx', folder / 'damaged', options.count, options.seed):
            try:
                said = check_variant(runner, folder / 'damaged' / variant['file'], variant, samples, counts)
                if options.verbose:
                    print(f"{network} {variant['file']} ({variant['what']}): {said}")
            except (AssertionError, compare.CompareError, KeyError) as error:
                failed += 1
                print(f"FAILED {network} {variant['file']}, seed {options.seed} ({variant['what']}): {error}", flush=True)
        print(f'{network}: {counts}, {failed} failed', flush=True)
        return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=500, help='variants of each network')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--verbose', action='store_true', help='also print what was said of each')
    parser.add_argument('--reference', metavar='PROGRAM')
    parser.add_argument('--command', nargs=argparse.REMAINDER, metavar='PROGRAM')
    options = parser.parse_args()
    program = Reference(options.reference) if options.reference else Command(options.command[0], options.command[1:])
    return 1 if sum(check_network(network, program, options) for network in ('tiny', 'tiny_plain')) else 0


if __name__ == '__main__':
    sys.exit(main())
