#!/usr/bin/env python3
"""One table of what bench_step and the peers printed in several rounds: their key=value lines on standard input.

Times are medians over the rounds of CPU time, so that other programs on the machine hardly count, with the range; the
wall's median stands beside it. Ratios are those of the medians.
"""
import statistics
import sys

PEERS = "torch_eager", "torch_by_hand", "torch_batched", "numpy"


def read(lines):
    """Lists of values, by kind of line: {(bench, what makes the line one of a kind): {key: [value in each round]}}."""
    found = {}
    for line in lines:
        pairs = dict(word.split("=", 1) for word in line.split() if "=" in word)
        kind = tuple(pairs.get(key) for key in ("bench", "row", "estimator", "team", "peer"))
        for key, value in pairs.items():
            found.setdefault(kind, {}).setdefault(key, []).append(value)
    return found


def median(lines, key):
    return statistics.median(float(value) for value in lines[key]) if lines else float("nan")


def text(number, form):
    return "-" if number != number else format(number, form)


def machine(lines):
    others = [float(value) for value in lines["others"]]
    peaks = "  ".join(f"{name} {median(lines, name):.0f}" for name in ("fma", "sgemm", "read_l1", "read_l2", "read_l3"))
    print(f"kernels {lines['class'][0]}, OpenBLAS {lines['openblas'][0]}, OPENBLAS_CORETYPE {lines['coretype'][0]}")
    print(f"limits of one core, GFLOP/s and GB/s: {peaks}")
    print(f"others kept {statistics.median(others):.2f} cores busy, at most {max(others):.2f}; "
          f"{len(others)} rounds\n")


def against_peers(found, rows):
    nan = float("nan")
    print(f"{'':92} times as fast as\n{'D,d,K,B':<22} {'us a step':>9} {'range':>15} {'(wall)':>8} {'GFLOP/s':>8} "
          f"{'sgemm':>6} {'floor':>6} {'trial':>6}   {'eager':>6} {'batched':>8} {'numpy':>6}   the best of them")
    for row in rows:
        step = found["step", row, "ste", "1", None]
        times = [float(value) for value in step["cpu_us"]]
        ours, span = statistics.median(times), f"{min(times):.1f}..{max(times):.1f}"
        peers = {name: median(found.get(("peer", row, None, None, name)), "cpu_us") / ours for name in PEERS}
        batched = min((peers[name] for name in ("torch_by_hand", "torch_batched")), key=lambda r: (r != r, r))
        known = [name for name in PEERS if peers[name] == peers[name]]
        best = min(known, key=peers.get, default=None)
        print(f"{row:<22} {ours:9.2f} {span:>15} {median(step, 'us'):8.1f} "
              f"{median(step, 'gflops'):8.1f} {median(step, 'of_sgemm'):6.0%} {median(step, 'of_floor'):6.0%} "
              f"{median(step, 'trial'):6.2f}   {text(peers['torch_eager'], '.1f'):>6} {text(batched, '.1f'):>8} "
              f"{text(peers['numpy'], '.1f'):>6}   {text(peers.get(best, nan), '.1f'):>5} {best or ''}")


def among_estimators(found, rows):
    names = list(dict.fromkeys(kind[2] for kind in found if kind[0] == "step"))
    teams = any(kind[3] == "2" for kind in found)
    print(f"\n{'us a step':<22} " + " ".join(f"{name:>15}" for name in names) +
          (f"   {'two threads, ste':>16}" if teams else ""))
    for row in rows:
        times = [median(found.get(("step", row, name, "1", None)), "cpu_us") for name in names]
        line = f"{row:<22} " + " ".join(f"{text(time, '.2f'):>15}" for time in times)
        if teams:  # by the wall: against one thread by the wall
            pair = [median(found.get(("step", row, "ste", team, None)), "us") for team in "12"]
            line += f"   {text(pair[0] / pair[1], '.2f'):>15}x"
        print(line)


def main():
    found = read(sys.stdin)
    rows = list(dict.fromkeys(kind[1] for kind in found if kind[0] == "step"))
    machine(found["machine", None, None, None, None])
    against_peers(found, rows)
    among_estimators(found, rows)
    print("\nsgemm, floor: share of OpenBLAS's rate, and of what multiply-adds and memory would allow. trial: a whole\n"
          "trial over its steps times a step. eager: PyTorch as one would write it; batched: by hand, the faster of one\n"
          "trial and of 16 side by side.")


if __name__ == "__main__":
    main()
