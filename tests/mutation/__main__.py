"""`make mutation`: probes and whether they caught it, a line for each mutation, and `caught N of M` at the end.

python -m tests.mutation                      all
python -m tests.mutation --only authz         of one group or probe
python -m tests.mutation --controls           of negative controls only
python -m tests.mutation --beside             and whether unrelated probes stay green, which takes longer
python -m tests.mutation --beside --sample 20 the same of twenty, always the same ones, as of all
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from random import Random

from tests.mutation.catalogue import all_mutations, unbroken, undoubted
from tests.mutation.trial import Trial, tried
from tests.services.conformance.mutations.mutation import Mutation


def main() -> int:
    """Try all that is asked for; 0 where every mutation is caught and every probe can be broken."""
    options = _options()
    numbers = [
        number
        for number, mutation in enumerate(all_mutations())
        if mutation.probe.startswith(options.only or "") and (mutation.control or not options.controls)
    ]
    if options.sample:
        numbers = sorted(Random(options.sample).sample(numbers, min(options.sample, len(numbers))))
    trials = sorted(_tried(numbers, jobs=options.jobs, beside=options.beside), key=lambda trial: trial.number)
    missing = [] if options.only or options.controls or options.sample else list(_missing())
    sys.stdout.writelines(f"MISSING  {line}\n" for line in missing)
    caught = sum(trial.caught and not trial.beside.red for trial in trials)
    sys.stdout.write(f"caught {caught} of {len(trials) + len(missing)}\n")
    return 0 if caught == len(trials) + len(missing) else 1


def _missing() -> Iterator[str]:
    yield from (f"{feature}: nothing breaks it" for feature in unbroken())
    yield from (f"{feature}: nothing breaks its negative control" for feature in undoubted())


def _tried(numbers: list[int], *, jobs: int, beside: bool) -> Iterator[Trial]:
    mutations = all_mutations()
    # What is unrelated to a fault is so whichever of its probes is tried: once is enough.
    first = {mutations[number].name: number for number in reversed(numbers)}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(partial(tried, number, beside=beside and first[mutations[number].name] == number))
            for number in numbers
        ]
        for done in as_completed(running):
            trial = done.result()
            sys.stdout.write(_line(mutations[trial.number], trial))
            sys.stdout.flush()
            yield trial


def _line(mutation: Mutation, trial: Trial) -> str:
    mark = "caught" if trial.caught and not trial.beside.red else "MISSED"
    wanted = "control" if mutation.control else mutation.code
    others = trial.beside
    beside = f"  beside {others.played}" + (f" and not {others.left_out}" if others.left_out else "")
    beside = (beside if others.played else "") + "".join(f"\n        also red: {each}" for each in others.red)
    said = "" if trial.caught else f"  said: {trial.said}"
    return f"{mark}  {mutation.probe:<34}  {mutation.name:<36}  {wanted:<22}  {trial.seconds:5.1f} s{said}{beside}\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="FEATURE", help="only probes whose name begins so")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at the same time")
    parser.add_argument("--controls", action="store_true", help="only those that break a negative control")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only so many of them")
    parser.add_argument("--beside", action="store_true", help="also play unrelated probes, which must stay green")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
