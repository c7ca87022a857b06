"""Runs two queries of one mechanism in two threads at the same time: both would draw the same noise.

Run them one after the other: noise depends on the number of the release, so its inputs are recorded.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

from small_methods import MeanImage, pixels

from dpbench import METHODS, NoisySum, Plan

CAUGHT_BY = "replay"
REFUSED = "release 1 of 'sum' starts from other values"


@METHODS.register("mistake")
class Mistake(MeanImage):
    @classmethod
    def plan(cls, config, spec, request):
        return Plan(NoisySum(name="sum", clip=16.0, count=2))

    def fit(self, private, run):
        meet = Barrier(2, timeout=0.5)

        def ask(sign):
            def contribution(batch):
                with suppress(BrokenBarrierError):
                    meet.wait()  # as if both took long
                return sign * pixels(batch)

            return private.noisy_sum("sum", contribution)

        with ThreadPoolExecutor(2) as pool:
            sums = list(pool.map(ask, (1, -1)))
        self.mean = (sums[0] - sums[1]) / (2 * self.spec.n_train)
