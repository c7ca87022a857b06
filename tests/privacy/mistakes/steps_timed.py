"""Times every step.

The time of a step reveals a little about its batch size. Side channels are not covered.
"""

import time
from itertools import pairwise

from small_methods import Denoiser

from dpbench import METHODS

UNSEEN = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        times = [time.perf_counter()]
        for _ in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            times.append(time.perf_counter())
        print("slowest step", max(later - earlier for earlier, later in pairwise(times)))
