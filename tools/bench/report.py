# SPDX-License-Identifier: Apache-2.0
"""What the comparison found, as a table, CSV and a plot."""

import csv
import statistics

COLUMNS = (
    "network form batch height width scattered photo cpu threads device on_device fma_peak_gflops runtime version exact density "
    "sampled theoretical_factor dense_gmac done_gmac runs min_ms median_ms gflops share_of_peak fastest_peer "
    "peer_factor peer_share twin_factor twin_share load_s peak_mb difference").split()


class Report:
    """`facts`: columns that are the same in every row; `entries`: pool.Entry with times."""

    def __init__(self, facts, entries):
        self.facts = facts
        self.least = {entry.label: min(entry.times) for entry in entries}
        peers = [e for e in entries if e.runtime != "stipple" and e.float32]
        self.fastest = min(peers, key=lambda e: self.least[e.label], default=None)
        twins = [e for e in entries if e.runtime == "stipple" and e.density is None]
        self.twin = max(twins, key=lambda e: e.exact)  # what sampling is compared with: the same arithmetic
        self.dense_macs = self.twin.stats["dense_macs"]
        self.dense = [self._row(e) for e in entries if e.density is None]
        self.sparse = [self._row(e) for e in entries if e.density is not None]

    def _row(self, entry):
        least = self.least[entry.label]
        factor = None
        row = dict.fromkeys(COLUMNS) | self.facts
        row |= {"label": entry.label, "runtime": entry.runtime, "version": entry.version, "exact": int(entry.exact),
                "runs": len(entry.times), "min_ms": least, "median_ms": statistics.median(entry.times),
                "load_s": entry.load, "peak_mb": entry.memory / 1e6,
                "dense_gmac": self.dense_macs / 1e9, "done_gmac": entry.stats.get("done_macs", self.dense_macs) / 1e9}
        if entry.density is None:
            row["difference"] = entry.difference
        else:
            factor = entry.stats["dense_macs"] / entry.stats["done_macs"]
            row |= {"density": entry.density, "sampled": entry.stats["sampled"], "theoretical_factor": factor}
            row |= {"twin_factor": self.least[self.twin.label] / least}
            row |= {"twin_share": row["twin_factor"] / factor}
        row["gflops"] = 2e3 * row["done_gmac"] / least
        if self.facts["fma_peak_gflops"]:
            row["share_of_peak"] = row["gflops"] / self.facts["fma_peak_gflops"]
        if self.fastest:
            row |= {"fastest_peer": self.fastest.label, "peer_factor": self.least[self.fastest.label] / least}
            row["peer_share"] = row["peer_factor"] / factor if factor else None
        return row

    def text(self):
        facts = self.facts
        masks = "scattered at random" if facts["scattered"] else f"after {facts['photo']}"
        peak = facts["fma_peak_gflops"]
        lines = [
            f"network  {facts['network']} {facts['form']}, {facts['batch']}×3×{facts['height']}×{facts['width']}, "
            f"{self.dense_macs / 1e9:.1f} GMAC dense; masks {masks}",
            f"CPU      {facts['cpu']}; threads: {facts['threads']}; float32 fma peak: "
            + (f"{peak:.0f} GFLOP/s, measured" if peak else "not measured"),
            f"device   {facts['device']}",
            "timed    one run, from the first kernel's start to the last one's end, by the device's clock;"
            if facts["on_device"] else
            "timed    one run, from inputs in host memory to all outputs in host memory; setting inputs is left out;",
            "         PyTorch's outputs stay channels_last on a CPU. Memory is a whole process's, with the Python in it.",
            "",
        ]
        lines += _table(
            ["dense", "min ms", "median ms", "GFLOP/s", "of peak", "speed", "load s", "peak MB", "difference"],
            [[f"{r['label']} {r['version']}", _number(r["min_ms"]), _number(r["median_ms"]), f"{r['gflops']:.0f}",
              _share(r["share_of_peak"]), _share(r["peer_factor"]), f"{r['load_s']:.2f}", f"{r['peak_mb']:.0f}",
              f"{r['difference']:.0e}"] for r in self.dense])
        if self.fastest:
            lines.append(f"speed: against {self.fastest.label}, the fastest float32 peer")
        lines += ["GFLOP/s: as the direct algorithm counts, so that Winograd may pass the peak; "
                  "difference: from the first line's outputs", ""]
        peer = self.fastest.label if self.fastest else "peer"
        lines += _table(
            ["sparse", "sampled", "theory", "min ms", "median ms", f"× {peer}", "share", f"× {self.twin.label}",
             "share", "peak MB"],
            [[r["label"], f"{r['sampled']:.3f}", f"{r['theoretical_factor']:.2f}", _number(r["min_ms"]),
              _number(r["median_ms"]), _share(r["peer_factor"]), _share(r["peer_share"]), _share(r["twin_factor"]),
              _share(r["twin_share"]), f"{r['peak_mb']:.0f}"] for r in self.sparse])
        lines.append("theory: the factor by which MACs are fewer; share: how much of it the time shows")
        return "\n".join(lines)

    def write_csv(self, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.dense + self.sparse)

    def write_plot(self, path):
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
        for exact in sorted({row["exact"] for row in self.sparse}):
            rows = sorted((r for r in self.sparse if r["exact"] == exact), key=lambda r: r["sampled"])
            label = "stipple, sparse" + (", exact" if exact else "")
            axes.plot([r["sampled"] for r in rows], [r["min_ms"] for r in rows], "o-", label=label)
        rows = sorted((r for r in self.sparse if not r["exact"]), key=lambda r: r["sampled"])
        base = self.fastest or self.twin
        theory = [self.least[base.label] / r["theoretical_factor"] for r in rows]
        axes.plot([r["sampled"] for r in rows], theory, "k+:", label=f"theory: {base.label} / factor")
        styles = ["-", "--", "-.", (0, (1, 1))]
        for index, row in enumerate(self.dense):
            axes.axhline(row["min_ms"], color=f"C{index + 2}", linestyle=styles[index % len(styles)], linewidth=1,
                         label=f"{row['label']}, dense twin: {_number(row['min_ms'])} ms")
        top = 2 * max(row["min_ms"] for row in (*self.sparse, *self.dense) if row["runtime"] == "stipple")
        facts = self.facts
        axes.set(xlabel="sampled share of the sites", ylabel="time of a run, least, ms", xlim=(0, 1), ylim=(0, top),
                 title=f"{facts['network']} {facts['form']}, {facts['batch']}×3×{facts['height']}×{facts['width']}\n"
                       f"{facts['cpu']}, {facts['threads']} threads")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        figure.savefig(path, dpi=120)


def _number(ms):
    return f"{ms:.2f}" if ms < 100 else f"{ms:.0f}"


def _share(value):
    return "–" if value is None else f"{value:.2f}"


def _table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in [head, *rows]]
